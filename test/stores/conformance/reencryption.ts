// The contract of the store: which key encrypts what, and re-encryption.
import { beforeEach, describe, expect, test } from 'vitest';
import type { Ciphertext } from '../../../src/domain/connection.ts';
import { type EncryptedSecret, type SecretColumn, type SecretRowKey, StoreError } from '../../../src/ports/index.ts';
import {
  aFlow,
  anEntry,
  anIntegration,
  aRevocation,
  aSession,
  connected,
  NOW,
  recorded,
  someRefreshedFields,
} from '../builders.ts';
import type { Opened } from './index.ts';

let made = 0;
const by = (kid: string) => `v3.${kid}.n.${++made}` as Ciphertext;
const credentialsBy = (kid: string) => ({
  accessToken: by(kid),
  refreshToken: by(kid),
  idToken: by(kid),
  credentials: by(kid),
});
const named = (texts: SecretColumn[]) => texts.map(({ table, id, column }) => `${table} ${id} ${column}`).sort();

export function reencryption(at: Opened): void {
  const elsewhere = async (kid: string) => (await at.store.reencryptBatch(kid, null, 500, () => undefined)).left;
  /** Re-encrypts with `new` what is selected, and returns what each ciphertext became. */
  async function reencryptAll(isSelected: (secret: EncryptedSecret) => boolean = () => true) {
    const became = new Map<string, Ciphertext>();
    const reencrypt = (secret: EncryptedSecret) => {
      if (!isSelected(secret)) return undefined;
      const to = by('new');
      became.set(`${secret.table} ${secret.column}`, to);
      return to;
    };
    return { ...(await at.store.reencryptBatch('new', null, 500, reencrypt)), became };
  }

  /** One row of each table that holds secrets, all encrypted by the key `old`. */
  async function oneOfEach() {
    await at.store.putIntegration(anIntegration({ clientSecret: by('old'), privateKey: by('old') }), anEntry());
    const { connection, credentials } = await connected(at.store, {}, credentialsBy('old'));
    const session = aSession();
    await at.store.addSession(session, anEntry());
    const flow = aFlow(session.id, { verifier: by('old'), nonce: by('old') });
    await at.store.beginFlow(flow, NOW);
    const revocation = aRevocation({ accessToken: by('old'), refreshToken: by('old') });
    await at.store.addPendingRevocation(revocation);
    return { connection, credentials, flow, revocation };
  }

  describe('secrets by key', () => {
    test('are returned with their row and the row that they are bound to', async () => {
      const { connection, credentials, flow, revocation } = await oneOfEach();
      const texts = await elsewhere('new');
      const of = (table: string) => texts.filter((text) => text.table === table);
      const { clientSecret, privateKey } = (await at.store.integration('slack'))!;
      const set = { table: 'integrations', id: 'slack', boundTo: 'slack', bound: [] };
      expect(of('integrations')).toEqual([
        { ...set, column: 'client_secret', ciphertext: clientSecret },
        { ...set, column: 'private_key', ciphertext: privateKey },
      ]);
      const granted = {
        table: 'grants',
        id: connection.id,
        boundTo: connection.id,
        bound: ['slack', connection.owner, connection.label],
      };
      expect(of('grants')).toEqual([
        { ...granted, column: 'access_token', ciphertext: credentials.accessToken },
        { ...granted, column: 'refresh_token', ciphertext: credentials.refreshToken },
        { ...granted, column: 'id_token', ciphertext: credentials.idToken },
        { ...granted, column: 'credentials', ciphertext: credentials.credentials },
      ]);
      const flowing = {
        table: 'flows',
        id: flow.stateDigest,
        boundTo: flow.stateDigest,
        bound: [flow.sessionId, 'slack'],
      };
      expect(of('flows')).toEqual([
        { ...flowing, column: 'verifier', ciphertext: flow.verifier },
        { ...flowing, column: 'nonce', ciphertext: flow.nonce },
      ]);
      const owed = {
        table: 'outbox_revocations',
        id: revocation.id,
        boundTo: revocation.connectionId,
        bound: ['slack', 'user:1', 'work'],
      };
      expect(of('outbox_revocations')).toEqual([
        { ...owed, column: 'access_token', ciphertext: revocation.accessToken },
        { ...owed, column: 'refresh_token', ciphertext: revocation.refreshToken },
      ]);
      expect(texts).toHaveLength(10);
      expect(await at.store.keysInUse()).toEqual([{ kid: 'old', secrets: 10, outdated: 0 }]);
      expect(await elsewhere('old')).toEqual([]);
    });

    test('are found when only one of a row is by another key, and null is none', async () => {
      const { connection } = await connected(
        at.store,
        {},
        { accessToken: by('new'), refreshToken: by('old'), idToken: null, credentials: null },
      );
      expect(named(await elsewhere('new'))).toContain(`grants ${connection.id} refresh_token`);
      expect((await elsewhere('new')).filter(({ table }) => table === 'grants')).toHaveLength(1);
      await at.store.putIntegration(anIntegration({ clientSecret: null, privateKey: null }), anEntry());
      expect(await at.store.keysInUse()).toEqual([
        { kid: 'new', secrets: 1, outdated: 0 },
        { kid: 'old', secrets: 1, outdated: 0 },
      ]);
    });

    // A pattern, a prefix or a case-insensitive comparison would confuse these.
    test.each(['k_1', 'kx1', 'K_1', 'k_', 'k_12', 'k-1'])(
      'of key %s are not confused with those of a similar name',
      async (kid) => {
        const all = ['k_1', 'kx1', 'K_1', 'k_', 'k_12', 'k-1'];
        for (const one of all)
          await at.store.addPendingRevocation(aRevocation({ id: one, accessToken: by(one), refreshToken: null }));
        const found = await elsewhere(kid);
        expect(found.map(({ id }) => id).sort()).toEqual(all.filter((one) => one !== kid).sort());
        const inUse = await at.store.keysInUse();
        for (const one of all) expect(inUse).toContainEqual({ kid: one, secrets: 1, outdated: 0 });
      },
    );

    test.each([
      '',
      'x',
      'v1.',
      'v1..n.c',
      'v2..n.c',
      'v3..n.c',
      'v4.new.n.c',
      'V3.new.n.c',
      `v3.${'k'.repeat(40)}.n.c`,
      'v3.new',
    ])('have no key in the text %j', async (text) => {
      const broken = aRevocation({ accessToken: text as Ciphertext, refreshToken: by('new') });
      await at.store.addPendingRevocation(broken);
      const outdated = /^v[12]\./.test(text) ? 1 : 0;
      expect(await at.store.keysInUse()).toContainEqual({ kid: null, secrets: 1, outdated });
      expect(named(await elsewhere('new'))).toEqual([`outbox_revocations ${broken.id} access_token`]);
    });

    test('are returned in batches of whole rows, each once', async () => {
      await oneOfEach();
      for (let i = 0; i < 5; i++) await connected(at.store, {}, credentialsBy('old'));
      const seen: EncryptedSecret[] = [];
      let after: SecretRowKey | null = null;
      do {
        const { left, next, skipped } = await at.store.reencryptBatch('new', after, 2, () => undefined);
        expect(new Set(left.map(({ table, id }) => `${table} ${id}`)).size).toBeLessThanOrEqual(2);
        expect(skipped).toBe(0);
        seen.push(...left);
        after = next;
      } while (after !== null);
      expect(seen).toEqual(await elsewhere('new'));
      expect(new Set(named(seen)).size).toBe(10 + 20);
    });
  });

  describe('reencryptBatch', () => {
    test('replaces the ciphertexts, and nothing else of a row', async () => {
      const { connection } = await oneOfEach();
      const integration = await at.store.integration('slack');
      const { reencrypted, left, skipped, next, became } = await reencryptAll();
      expect({ reencrypted, left, skipped, next }).toEqual({ reencrypted: 10, left: [], skipped: 0, next: null });
      expect(await at.store.keysInUse()).toEqual([{ kid: 'new', secrets: 10, outdated: 0 }]);
      expect(await at.store.integration('slack')).toEqual({
        ...integration,
        clientSecret: became.get('integrations client_secret'),
        privateKey: became.get('integrations private_key'),
      });
      const accessToken = became.get('grants access_token');
      expect(await at.store.servedRow(connection.id)).toEqual({ connection, accessToken });
    });

    test('leaves a secret that is not re-encrypted, also in a row of which another is', async () => {
      const { connection, credentials } = await oneOfEach();
      const { reencrypted, left, became } = await reencryptAll(({ column }) => column !== 'access_token');
      expect(reencrypted).toBe(8);
      expect(named(left).map((one) => one.replace(/ .* /, ' '))).toEqual([
        'grants access_token',
        'outbox_revocations access_token',
      ]);
      const claim = { attempt: 'att_1', generation: 99, now: NOW, monotonic: 0 };
      expect(await at.store.claim(connection.id, claim)).toMatchObject({
        credentials: {
          accessToken: credentials.accessToken,
          refreshToken: became.get('grants refresh_token'),
          idToken: became.get('grants id_token'),
          credentials: became.get('grants credentials'),
        },
      });
    });

    test('leaves secrets of the key, and null', async () => {
      const credentials = { accessToken: by('new'), refreshToken: by('old'), idToken: null, credentials: null };
      const { connection } = await connected(at.store, {}, credentials);
      const { became } = await reencryptAll();
      const claim = { attempt: 'att_1', generation: 99, now: NOW, monotonic: 0 };
      expect(await at.store.claim(connection.id, claim)).toMatchObject({
        credentials: { ...credentials, refreshToken: became.get('grants refresh_token') },
      });
    });

    test('continues after a row, and takes no more rows than the limit', async () => {
      await oneOfEach();
      for (let i = 0; i < 4; i++) await connected(at.store, {}, credentialsBy('old'));
      const steps: number[] = [];
      let after: SecretRowKey | null = null;
      do {
        const step = await at.store.reencryptBatch('new', after, 3, () => by('new'));
        steps.push(step.reencrypted);
        after = step.next;
      } while (after !== null);
      // Integration (2) and two grants (4 each), three grants, then the flow and the revocation (2 each).
      expect(steps).toEqual([10, 12, 4]);
      expect(await at.store.keysInUse()).toEqual([{ kid: 'new', secrets: 26, outdated: 0 }]);
    });

    test('concurrent calls re-encrypt each secret once', async () => {
      for (let i = 0; i < 10; i++) await connected(at.store, {}, credentialsBy('old'));
      const secrets = (await elsewhere('new')).length;
      const other = await at.another();
      try {
        let reencrypted = 0;
        for (let round = 0; round < 5 && (await elsewhere('new')).length > 0; round++) {
          const both = [at.store, other, at.store, other].map((store) =>
            store.reencryptBatch('new', null, 500, () => by('new')),
          );
          for (const done of await Promise.all(both)) reencrypted += done.reencrypted;
        }
        expect(reencrypted).toBe(secrets);
      } finally {
        await other.close();
      }
    });

    test('a failure half-way changes nothing', async () => {
      await oneOfEach();
      const before = await elsewhere('new');
      const failing = at.store.reencryptBatch('new', null, 500, ({ table }) => {
        if (table === 'outbox_revocations') throw new Error('it does not open');
        return by('new');
      });
      await expect(failing).rejects.toBeInstanceOf(StoreError);
      await expect(failing).rejects.toThrow('it does not open');
      expect(await elsewhere('new')).toEqual(before);
    });

    test('does not prevent a refresh in flight from being committed', async () => {
      const { connection } = await connected(at.store, {}, credentialsBy('old'));
      const claim = { attempt: 'att_1', generation: 99, now: NOW, monotonic: 0 };
      const claimed = await at.store.claim(connection.id, claim);
      if (typeof claimed === 'string') throw new Error(claimed);
      await reencryptAll();
      const held = { fence: claimed.fence, generation: claimed.connection.generation };
      const credentials = credentialsBy('new');
      expect(await at.store.commitRefresh(connection.id, held, someRefreshedFields(), credentials, anEntry)).toBe(
        'committed',
      );
      expect((await at.store.servedRow(connection.id))?.accessToken).toBe(credentials.accessToken);
    });

    test('re-encrypted tokens move to the outbox when revoked afterwards', async () => {
      const { connection } = await connected(at.store, {}, credentialsBy('old'));
      const { became } = await reencryptAll();
      await at.store.revoke(connection.id, 'pending', NOW, anEntry());
      expect(await at.store.claimRevocations('slack', NOW, NOW + 1, 10)).toMatchObject([
        { accessToken: became.get('grants access_token'), refreshToken: became.get('grants refresh_token') },
      ]);
      expect(await elsewhere('new')).toEqual([]);
    });
  });

  describe('removeKeyCheck', () => {
    beforeEach(async () => {
      for (const kid of ['k_1', 'kx1']) await at.store.addKeyCheck({ kid, ciphertext: by(kid) });
    });
    const kids = async () => (await at.store.keyChecks()).map(({ kid }) => kid);

    test('deletes that check alone, and is recorded', async () => {
      const entry = anEntry();
      await at.store.removeKeyCheck('k_1', entry);
      expect(await kids()).toEqual(['kx1']);
      expect(await recorded(at.store, entry)).toBe(true);
    });

    test('without effect, and not recorded, when there is none', async () => {
      const entry = anEntry();
      await at.store.removeKeyCheck('k', entry);
      expect(await kids()).toEqual(['k_1', 'kx1']);
      expect(await recorded(at.store, entry)).toBe(false);
    });
  });
}
