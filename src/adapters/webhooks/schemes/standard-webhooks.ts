// Standard Webhooks 1.0.0: `v1` (HMAC-SHA256) and `v1a` (Ed25519) over `{id}.{timestamp}.{body}`.

import { createHmac } from 'node:crypto';
import { WEBHOOK_TOLERANCE_S } from '../../../domain/time-limits.ts';
import type { VerifyOf } from '../../../domain/webhook-dialect.ts';
import { decoded, sameBytes } from '../constant-time.ts';
import { standardPublicKeys, symmetricKeys } from '../keys.ts';
import { isWithin, timeOf } from '../signatures.ts';
import type { Scope } from '../values.ts';
import { accepted, type RefusalReason, refused, type Verification } from '../verification.ts';
import { isSignedBy } from './signed-text.ts';

type Data = VerifyOf<'standard_webhooks'>;
/** Characters. Of keys that are rotated there are a few, and all senders stay far below it. */
const MAX_LIST = 4_096;
const MAX_SIGNATURES = 20;
/** Each is verified over the whole body. */
const MAX_ASYMMETRIC = 4;

interface Headers {
  id: string;
  timestamp: string;
  symmetric: Buffer[];
  asymmetric: Buffer[];
}

export function precheckStandardWebhook(data: Data, scope: Scope): RefusalReason | undefined {
  if (symmetricKeys(scope.keys).length + standardPublicKeys(scope.keys).length === 0) return 'no_key';
  const headers = readHeaders(data, scope);
  if (headers === undefined) return 'no_signature';
  const at = timeOf(headers.timestamp, 's');
  return at !== undefined && isWithin(at, WEBHOOK_TOLERANCE_S, scope.sent.request.receivedAt) ? undefined : 'stale';
}

export function verifyStandardWebhook(data: Data, scope: Scope): Verification {
  const reason = precheckStandardWebhook(data, scope);
  const headers = readHeaders(data, scope);
  if (reason !== undefined || headers === undefined || scope.sent.body === undefined)
    return refused(reason ?? 'no_signature');
  const start = Buffer.from(`${headers.id}.${headers.timestamp}.`);
  const text = Buffer.concat([start, scope.sent.body]);
  const secret = symmetricKeys(scope.keys).find((key) => {
    const right = createHmac('sha256', key).update(text).digest();
    return headers.symmetric.some((sent) => sameBytes(sent, right));
  });
  if (secret !== undefined) return accepted({ secret });
  const isPublic = standardPublicKeys(scope.keys).some((key) =>
    headers.asymmetric.some((sent) => isSignedBy(null, text, key, sent)),
  );
  return isPublic ? accepted() : refused('wrong_signature');
}

function readHeaders({ prefixes }: Data, { sent }: Scope): Headers | undefined {
  for (const prefix of prefixes) {
    const [id, timestamp, list] = ['id', 'timestamp', 'signature'].map((name) => sent.header(`${prefix}${name}`));
    if (id === undefined || timestamp === undefined || list === undefined) continue;
    const [symmetric, asymmetric] = [
      signaturesIn(list, 'v1', MAX_SIGNATURES),
      signaturesIn(list, 'v1a', MAX_ASYMMETRIC),
    ];
    return symmetric.length + asymmetric.length === 0 ? undefined : { id, timestamp, symmetric, asymmetric };
  }
  return undefined;
}

/** Of a list that is separated by spaces, and by commas where a header was repeated: `v1,… v1a,…`. */
function signaturesIn(list: string, version: string, most: number): Buffer[] {
  const words = list.length > MAX_LIST ? [] : list.split(/[ ,]/).filter((word) => word !== '');
  const found = words.filter((_, index) => words[index - 1] === version);
  return found.slice(0, most).flatMap((text) => decoded(text, 'base64') ?? []);
}
