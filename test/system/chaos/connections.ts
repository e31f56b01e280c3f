// The connections of a chaos run: imports them, revokes and replaces them. Two in a row have one account, whose revocation ends
// both, and each tenth one is at a tenant of its own kind.
import type { Answer } from '../../support/broker.ts';
import type { ChaosProvider } from './processes.ts';

export const INTEGRATION = 'chaos';
/** The token endpoint is in the path of the tenant. */
export const TENANTS = { quiet: 'quiet', noisy: 'noisy' };

/** The catalogue's entry for the chaos provider. */
export const PROVIDER_ENTRY = {
  id: INTEGRATION,
  name: 'Chaos',
  category: 'generic',
  docs_url: 'https://chaos.test/docs',
  confidence: 'unverified',
  auth: [
    {
      mode: 'oauth2_code',
      authorization_url: '{base}/authorize',
      token_url: '{base}/token/{tenant}',
      revocation_url: '{base}/revoke',
      revocation_ends: 'grant',
      params: {
        base: { title: 'Base', example: 'https://a.test', pattern: 'https?://[a-z0-9.:]+' },
        reuse_window: { title: 'Reuse window', example: '30', pattern: '[0-9]+', optional: true },
      },
      connection_params: { tenant: { title: 'Tenant', example: 'quiet', pattern: '[a-z]+' } },
      refresh: { rotates: 'always', reuse_grace: '{reuse_window}' },
      token_answer: { capture: { account: 'account' } },
      account: { issuer: '{base}', id: ['{account}'], name: ['{account}'] },
    },
  ],
};

export interface Connections {
  /** The ids of those that are read. */
  ids(): readonly string[];
  /** The name (owner) of one that is read; undefined: it was removed. */
  nameOf(id: string): string | undefined;
  isNoisy(name: string): boolean;
  /** Imports connections of these names, each with a token family of its own. */
  add(names: readonly string[]): Promise<void>;
  /** Revokes the connections of this name, which is no longer read; what became of it upstream. */
  revoke(name: string): Promise<string>;
  /** Whether the account of the connection is known to the broker. */
  hasAccount(name: string): Promise<boolean>;
}

type Ask = (method: string, path: string, body?: unknown) => Promise<Answer>;

const numberOf = (name: string) => Number(name.slice(name.lastIndexOf('_') + 1));
export const nameOf = (n: number) => `owner_${n}`;
export const accountOf = (name: string) => `account_${numberOf(name) >> 1}`;
const isNoisy = (name: string) => numberOf(name) % 10 === 9;

export function createConnections(provider: Pick<ChaosProvider, 'control'>, ask: Ask): Connections {
  const names = new Map<string, string>();
  let ids: string[] = [];
  const idOf = (name: string) => ids.find((id) => names.get(id) === name);

  async function add(added: readonly string[]): Promise<void> {
    const { refreshTokens } = await provider.control('seed', { names: [...added] });
    for (let i = 0; i < added.length; i += 20) {
      const imports = added.slice(i, i + 20).map(async (owner, k) => {
        const { status, body } = await ask('POST', '/v1/connections', {
          integration: INTEGRATION,
          owner,
          params: { tenant: isNoisy(owner) ? TENANTS.noisy : TENANTS.quiet },
          credentials: { refresh_token: refreshTokens[i + k] },
        });
        if (status !== 201) throw new Error(`import of ${owner}: ${status} ${String(body.detail)}`);
        names.set(String(body.id), owner);
        ids.push(String(body.id));
      });
      await Promise.all(imports);
    }
  }

  return {
    ids: () => ids,
    nameOf: (id) => names.get(id),
    isNoisy,
    add,
    async revoke(name) {
      const id = idOf(name)!;
      ids = ids.filter((other) => other !== id);
      names.delete(id);
      const { status, body } = await ask('DELETE', `/v1/connections/${id}`);
      if (status !== 200) throw new Error(`revocation of ${name}: ${status} ${String(body.detail)}`);
      return String(body.upstream_revocation);
    },
    async hasAccount(name) {
      const { body } = await ask('GET', `/v1/connections/${idOf(name)}`);
      return body.account !== null && body.account !== undefined;
    },
  };
}
