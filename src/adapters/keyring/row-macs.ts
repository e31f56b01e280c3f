// Message authentication codes of rows: HMAC-SHA-256 under a key derived from the ring, so that only who has the ring can
// make a row that counts.
//
// A code is `m1.<kid>.<43 characters base64url>`, of the canonical JSON of `["m1", kid, table, id, values]`.
import { createHmac, type KeyObject, timingSafeEqual } from 'node:crypto';
import { canonicalJson } from '../../domain/canonical-json.ts';
import type { AuthenticatedRow } from '../../ports/index.ts';

const FORM = /^m1\.([A-Za-z0-9_-]{1,32})\.([A-Za-z0-9_-]{43})$/;
/** No row is named so: rows have a slash. */
const PURPOSE = 'row authentication';

type DerivedKeys = (info: string) => KeyObject;

const codeOf = (kid: string, keyOf: DerivedKeys, { table, id, values }: AuthenticatedRow): Buffer =>
  createHmac('sha256', keyOf(PURPOSE))
    .update(canonicalJson(['m1', kid, table, id, values]))
    .digest();

export const macOf = (kid: string, keyOf: DerivedKeys, row: AuthenticatedRow): string =>
  `m1.${kid}.${codeOf(kid, keyOf, row).toString('base64url')}`;

/** In constant time. False too where the key is not in the ring. */
export function verifiesMac(
  keysOf: (kid: string) => DerivedKeys | undefined,
  row: AuthenticatedRow,
  mac: string,
): boolean {
  const [, kid, encoded] = FORM.exec(mac) ?? [];
  const keyOf = kid === undefined ? undefined : keysOf(kid);
  if (kid === undefined || encoded === undefined || !keyOf) return false;
  return timingSafeEqual(codeOf(kid, keyOf, row), Buffer.from(encoded, 'base64url'));
}
