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
const MAX_SIGNATURES = 20;

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
    const signatures = list.split(/[ ,]+(?=v1a?,)/, MAX_SIGNATURES);
    const of = (version: string) =>
      signatures.flatMap((one) =>
        one.startsWith(version) ? (decoded(one.slice(version.length).trim(), 'base64') ?? []) : [],
      );
    const found = { id, timestamp, symmetric: of('v1,'), asymmetric: of('v1a,') };
    return found.symmetric.length + found.asymmetric.length === 0 ? undefined : found;
  }
  return undefined;
}
