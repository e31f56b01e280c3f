// DPoP proofs in a race: the owner connects again between the read of the token and the read of its key.
import { expect, test } from 'vitest';
import { createLogger } from '../../../src/adapters/telemetry/logger.ts';
import { createAccess } from '../../../src/broker/audit/access.ts';
import { createAuditBuffer } from '../../../src/broker/audit/log/audit-buffer.ts';
import { toServedToken } from '../../../src/broker/cache/index.ts';
import { createDpopProofs } from '../../../src/broker/tokens/dpop-proofs.ts';
import type { Permission } from '../../../src/domain/caller.ts';
import type { Ciphertext } from '../../../src/domain/connection.ts';
import { Refusal } from '../../../src/domain/errors.ts';
import { aConnection, NOW } from '../../stores/builders.ts';

/** The vault of this test does not encrypt. */
const sealed = (text: string) => text as unknown as Ciphertext;
const clock = { now: () => NOW, monotonic: () => 0 };
const access = createAccess({
  auditBuffer: createAuditBuffer({
    store: { appendAudit: async () => undefined, touchKeys: async () => undefined },
    log: createLogger('silent'),
  }),
  clock,
});
const callWith = (scopes: string[]) => {
  const permissions: Permission[] = [{ actions: ['token'], integrations: ['*'], owners: ['*'], scopes }];
  const caller = { id: 'clr_1', name: 'a service', permissions };
  const credential = { kind: 'key' as const, id: 'key_1', expiresAt: null };
  return { principal: { caller, credential, rateLimit: null }, address: null, requestId: 'r1' };
};

test.each<[string, string[], 'forbidden' | 'signed']>([
  ['403 for a caller that may not have the scopes of the newer token', ['read'], 'forbidden'],
  ['signed for one that may', ['read', 'write'], 'signed'],
])('DPoP proof for a connection that was renewed with more scopes: %s', async (_, scopes, outcome) => {
  const before = aConnection({ scopes: ['read'], tokenType: 'DPoP' });
  const after = { ...before, generation: 2, scopes: ['read', 'write'] };
  const proofs = createDpopProofs({
    store: {
      dpopBoundRow: async () => ({
        connection: after,
        accessToken: sealed('wide'),
        credentials: sealed('{"dpop:key":"pem"}'),
      }),
    },
    vault: { decrypt: String },
    reader: { read: () => toServedToken(before, 'narrow', clock) },
    signProof: async (_key, { accessToken }) => `proof of ${accessToken}`,
    access,
    clock,
  });
  const made = await proofs.create(callWith(scopes), before.id, {
    method: 'GET',
    url: 'https://a.example',
    nonce: undefined,
  });
  if (outcome === 'signed') expect(made).toMatchObject({ proof: 'proof of wide' });
  else
    expect(made instanceof Refusal && made.fault).toMatchObject({ code: 'forbidden', missing: { scopes: ['write'] } });
});
