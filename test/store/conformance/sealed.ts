// The contract of the store: which key sealed what, and sealing it anew.
import { beforeEach, describe, expect, test } from 'vitest';
import type { Sealed } from '../../../src/domain/connection.ts';
import type { SealedPlace, SealedText } from '../../../src/ports.ts';
import {
  aFlow,
  aGrant,
  anEntry,
  anIntegration,
  aRevocation,
  aRotation,
  aSession,
  connected,
  NOW,
  recorded,
} from '../builders.ts';
import type { Opened } from '../conformance.ts';

let made = 0;
const by = (kid: string) => `v1.${kid}.n.${++made}` as Sealed;
const grantBy = (kid: string) => ({
  accessToken: by(kid),
  refreshToken: by(kid),
  idToken: by(kid),
  credentials: by(kid),
});
const placeOf = ({ table, id, column }: SealedPlace): SealedPlace => ({ table, id, column });
const named = (texts: SealedPlace[]) => texts.map(({ table, id, column }) => `${table} ${id} ${column}`).sort();

export function sealedTexts(at: Opened): void {
  const elsewhere = (kid: string) => at.store.sealedElsewhere(kid, undefined, 500);
  const anew = (text: SealedText, to = by('new')) => ({ ...placeOf(text), from: text.sealed, to });

  /** One row of each table that holds secrets, all by the key `old`. */
  async function oneOfEach() {
    await at.store.putIntegration(anIntegration({ clientSecret: by('old'), privateKey: by('old') }), anEntry());
    const { connection, grant } = await connected(at.store, {}, grantBy('old'));
    const session = aSession();
    await at.store.addSession(session, anEntry());
    const flow = aFlow(session.id, { verifier: by('old'), nonce: by('old') });
    await at.store.beginFlow(flow, NOW);
    const revocation = aRevocation({ accessToken: by('old'), refreshToken: by('old') });
    await at.store.addPendingRevocation(revocation);
    return { connection, grant, flow, revocation };
  }

  describe('secrets by their key', () => {
    test('are told with the row that they stand in and the one that they are bound to', async () => {
      const { connection, grant, flow, revocation } = await oneOfEach();
      const texts = await elsewhere('new');
      const of = (table: string) => texts.filter((text) => text.table === table);
      const { clientSecret, privateKey } = (await at.store.integration('slack'))!;
      const set = { table: 'integrations', id: 'slack', sealedFor: 'slack' };
      expect(of('integrations')).toEqual([
        { ...set, column: 'client_secret', sealed: clientSecret },
        { ...set, column: 'private_key', sealed: privateKey },
      ]);
      const granted = { table: 'grants', id: connection.id, sealedFor: connection.id };
      expect(of('grants')).toEqual([
        { ...granted, column: 'access_token', sealed: grant.accessToken },
        { ...granted, column: 'refresh_token', sealed: grant.refreshToken },
        { ...granted, column: 'id_token', sealed: grant.idToken },
        { ...granted, column: 'credentials', sealed: grant.credentials },
      ]);
      const flowing = { table: 'flows', id: flow.stateDigest, sealedFor: flow.stateDigest };
      expect(of('flows')).toEqual([
        { ...flowing, column: 'verifier', sealed: flow.verifier },
        { ...flowing, column: 'nonce', sealed: flow.nonce },
      ]);
      const owed = { table: 'outbox_revocations', id: revocation.id, sealedFor: revocation.connectionId };
      expect(of('outbox_revocations')).toEqual([
        { ...owed, column: 'access_token', sealed: revocation.accessToken },
        { ...owed, column: 'refresh_token', sealed: revocation.refreshToken },
      ]);
      expect(texts).toHaveLength(10);
      expect(await at.store.keysInUse()).toEqual([{ kid: 'old', secrets: 10 }]);
      expect(await elsewhere('old')).toEqual([]);
    });

    test('are found when only one of a row is by another key, and nothing where there is nothing', async () => {
      const { connection } = await connected(
        at.store,
        {},
        { accessToken: by('new'), refreshToken: by('old'), idToken: null, credentials: null },
      );
      expect(named(await elsewhere('new'))).toContain(`grants ${connection.id} refresh_token`);
      expect((await elsewhere('new')).filter(({ table }) => table === 'grants')).toHaveLength(1);
      await at.store.putIntegration(anIntegration({ clientSecret: null, privateKey: null }), anEntry());
      expect(await at.store.keysInUse()).toEqual([
        { kid: 'new', secrets: 1 },
        { kid: 'old', secrets: 1 },
      ]);
    });

    // A pattern, a prefix or a comparison without case would take one of these for another.
    test.each(['k_1', 'kx1', 'K_1', 'k_', 'k_12', 'k-1'])('are by %s and no key with a name like it', async (kid) => {
      const all = ['k_1', 'kx1', 'K_1', 'k_', 'k_12', 'k-1'];
      for (const one of all)
        await at.store.addPendingRevocation(aRevocation({ id: one, accessToken: by(one), refreshToken: null }));
      const found = await elsewhere(kid);
      expect(found.map(({ id }) => id).sort()).toEqual(all.filter((one) => one !== kid).sort());
      const inUse = await at.store.keysInUse();
      for (const one of all) expect(inUse).toContainEqual({ kid: one, secrets: 1 });
    });

    test.each(['', 'x', 'v1.', 'v1..n.c', 'v2.new.n.c', 'V1.new.n.c', `v1.${'k'.repeat(40)}.n.c`, 'v1.new'])(
      'name no key in %j',
      async (text) => {
        const broken = aRevocation({ accessToken: text as Sealed, refreshToken: by('new') });
        await at.store.addPendingRevocation(broken);
        expect(await at.store.keysInUse()).toContainEqual({ kid: null, secrets: 1 });
        expect(named(await elsewhere('new'))).toEqual([`outbox_revocations ${broken.id} access_token`]);
      },
    );

    test('come in batches of whole rows, each once', async () => {
      await oneOfEach();
      for (let i = 0; i < 5; i++) await connected(at.store, {}, grantBy('old'));
      const seen: SealedText[] = [];
      for (let after: SealedPlace | undefined; ; ) {
        const batch = await at.store.sealedElsewhere('new', after, 2);
        if (batch.length === 0) break;
        expect(new Set(batch.map(({ table, id }) => `${table} ${id}`)).size).toBeLessThanOrEqual(2);
        seen.push(...batch);
        after = placeOf(batch.at(-1)!);
      }
      expect(seen).toEqual(await elsewhere('new'));
      expect(new Set(named(seen)).size).toBe(10 + 20);
    });
  });

  describe('sealing anew', () => {
    test('replaces the text, and nothing else of the row', async () => {
      const { connection } = await oneOfEach();
      const integration = await at.store.integration('slack');
      const texts = await elsewhere('new');
      const changes = texts.map((text) => anew(text));
      expect(await at.store.reseal(changes)).toBe(10);
      expect(await at.store.keysInUse()).toEqual([{ kid: 'new', secrets: 10 }]);
      const to = (table: string, column: string) =>
        changes.find((change) => change.table === table && change.column === column)!.to;
      expect(await at.store.integration('slack')).toEqual({
        ...integration,
        clientSecret: to('integrations', 'client_secret'),
        privateKey: to('integrations', 'private_key'),
      });
      const accessToken = to('grants', 'access_token');
      expect(await at.store.served(connection.id)).toEqual({ connection, accessToken });
    });

    test('does not take its place from what was refreshed meanwhile', async () => {
      const { connection } = await connected(at.store, {}, grantBy('old'));
      const changes = (await elsewhere('new')).map((text) => anew(text));
      const claimed = await at.store.claim(connection.id, {
        attempt: 'att_1',
        generation: 99,
        now: NOW,
        monotonic: 0,
      });
      if (typeof claimed === 'string') throw new Error(claimed);
      // A refresh token that stayed the same is sealed anew as well.
      const grant = aGrant();
      const held = { fence: claimed.fence, generation: claimed.connection.generation };
      expect(await at.store.rotate(connection.id, held, aRotation(), grant, anEntry())).toBe('kept');
      const others = changes.filter(({ table }) => table !== 'grants').length;
      expect(await at.store.reseal(changes)).toBe(others);
      expect((await at.store.served(connection.id))?.accessToken).toBe(grant.accessToken);
    });

    test('does not stop a refresh under way from being kept', async () => {
      const { connection } = await connected(at.store, {}, grantBy('old'));
      const claimed = await at.store.claim(connection.id, {
        attempt: 'att_1',
        generation: 99,
        now: NOW,
        monotonic: 0,
      });
      if (typeof claimed === 'string') throw new Error(claimed);
      await at.store.reseal((await elsewhere('new')).map((text) => anew(text)));
      const held = { fence: claimed.fence, generation: claimed.connection.generation };
      expect(await at.store.rotate(connection.id, held, aRotation(), grantBy('new'), anEntry())).toBe('kept');
    });

    test('brings nothing back that was destroyed or moved meanwhile', async () => {
      const { connection, grant } = await connected(at.store, {}, grantBy('old'));
      const changes = (await elsewhere('new')).filter(({ table }) => table === 'grants').map((text) => anew(text));
      await at.store.revoke(connection.id, 'pending', NOW, anEntry());
      expect(await at.store.reseal(changes)).toBe(0);
      expect((await at.store.served(connection.id))?.accessToken).toBeNull();
      const [pending] = await at.store.claimRevocations(NOW, NOW + 1, 10);
      expect(pending).toMatchObject({ accessToken: grant.accessToken, refreshToken: grant.refreshToken });
    });

    test('is for the row and column that it names', async () => {
      const same = by('old');
      const [one, other] = [
        { accessToken: same, refreshToken: same, idToken: same, credentials: same },
        { ...grantBy('old') },
      ];
      const first = await connected(at.store, {}, one);
      const second = await connected(at.store, {}, { ...other, accessToken: same });
      const to = by('new');
      const place = { table: 'grants', id: first.connection.id, column: 'refresh_token' } as const;
      expect(await at.store.reseal([{ ...place, from: same, to }])).toBe(1);
      expect((await at.store.served(first.connection.id))?.accessToken).toBe(same);
      expect((await at.store.served(second.connection.id))?.accessToken).toBe(same);
      const left = (await elsewhere('new')).filter(({ id }) => id === first.connection.id);
      expect(left.map(({ column }) => column)).toEqual(['access_token', 'id_token', 'credentials']);
      expect(await at.store.reseal([])).toBe(0);
    });
  });

  describe('the proof of a key', () => {
    beforeEach(async () => {
      for (const kid of ['k_1', 'kx1']) await at.store.addKeyCheck({ kid, sealed: by(kid) });
    });
    const kids = async () => (await at.store.keyChecks()).map(({ kid }) => kid);

    test('is removed, alone, and that is recorded', async () => {
      const entry = anEntry();
      await at.store.removeKeyCheck('k_1', entry);
      expect(await kids()).toEqual(['kx1']);
      expect(await recorded(at.store, entry)).toBe(true);
    });

    test('that is not there is not removed, and nothing is recorded', async () => {
      const entry = anEntry();
      await at.store.removeKeyCheck('k', entry);
      expect(await kids()).toEqual(['k_1', 'kx1']);
      expect(await recorded(at.store, entry)).toBe(false);
    });
  });
}
