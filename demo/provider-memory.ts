// In-memory storage of the local OpenID Provider: one for each provider, unbounded, so that tests may create any number of
// grants. Entries do not expire by themselves; the provider checks `exp`.
import type { Adapter, AdapterPayload } from 'oidc-provider';

export interface Memory {
  open(model: string): Adapter;
  /** Deletes all grants with their codes and tokens, as if all owners had withdrawn their consent. */
  withdrawGrants(): void;
}

export function createMemory(): Memory {
  const models = new Map<string, Map<string, AdapterPayload>>();
  const rowsOf = (model: string) => {
    const rows = models.get(model) ?? new Map<string, AdapterPayload>();
    models.set(model, rows);
    return rows;
  };

  const open = (model: string): Adapter => {
    const rows = rowsOf(model);
    const findBy = async (key: 'uid' | 'userCode', value: string) =>
      [...rows.values()].find((payload) => payload[key] === value);
    return {
      upsert: async (id, payload) => void rows.set(id, payload),
      find: async (id) => rows.get(id),
      findByUid: (uid) => findBy('uid', uid),
      findByUserCode: (code) => findBy('userCode', code),
      destroy: async (id) => void rows.delete(id),
      consume: async (id) => {
        const payload = rows.get(id);
        if (payload) payload.consumed = Math.floor(Date.now() / 1000);
      },
      revokeByGrantId: async (grantId) => {
        for (const [id, payload] of rows) if (payload.grantId === grantId) rows.delete(id);
      },
    };
  };

  const withdrawGrants = () => {
    for (const model of ['Grant', 'AuthorizationCode', 'AccessToken', 'RefreshToken']) rowsOf(model).clear();
  };
  return { open, withdrawGrants };
}
