// The issuers whose JWTs are trusted: those that the configuration lists, and those of this deployment's OpenID integrations,
// each for its client id alone.

import type { Provider } from '../../domain/provider.ts';
import type { Store, TrustedIssuer } from '../../ports/index.ts';
import { openIdClient } from './openid-clients.ts';

export interface TrustedIssuers {
  /**
   * What it is trusted for, and where its keys are; undefined: not trusted. Never this broker itself: its JWTs are those of
   * sessions, which end. Rejects with `StoreError`.
   */
  find(issuer: string): Promise<TrustedIssuer | undefined>;
  /** To be called when an integration has changed. */
  invalidate(): void;
}

interface Parts {
  store: Pick<Store, 'integrations'>;
  catalogue: ReadonlyMap<string, Provider>;
  /** Of the configuration; several of one issuer differ in their audiences only. */
  listed: readonly Omit<TrustedIssuer, 'clientIds' | 'isListed'>[];
  publicUrl: string;
}

export function createTrustedIssuers({ store, catalogue, listed, publicUrl }: Parts): TrustedIssuers {
  let known: Promise<Map<string, TrustedIssuer>> | undefined;

  /**
   * The admin of one integration chooses its issuer and its client id: that must not be an audience of the broker's own, or
   * one that another issuer is listed for.
   */
  const isTaken = (audience: string, issuer: string): boolean =>
    audience === publicUrl || listed.some((other) => other.issuer !== issuer && other.audiences.includes(audience));

  async function readAll(): Promise<Map<string, TrustedIssuer>> {
    const issuers = new Map<string, TrustedIssuer>();
    for (const entry of listed) {
      const audiences = new Set([...(issuers.get(entry.issuer)?.audiences ?? []), ...entry.audiences]);
      issuers.set(entry.issuer, { ...entry, audiences: [...audiences], clientIds: [], isListed: true });
    }
    let after: string | undefined;
    do {
      const page = await store.integrations({ limit: 500, after });
      for (const integration of page.data) {
        // A row that something else than a broker has written vouches for no one.
        const client = integration.isAuthentic === false ? undefined : openIdClient(catalogue, integration);
        if (!client || isTaken(client.clientId, client.issuer)) continue;
        const { issuer, clientId } = client;
        const before = issuers.get(issuer) ?? { issuer, audiences: [], clientIds: [], isListed: false };
        issuers.set(issuer, { ...before, clientIds: [...new Set([...before.clientIds, clientId])] });
      }
      after = page.next ?? undefined;
    } while (after !== undefined);
    return issuers;
  }

  return {
    async find(issuer) {
      if (issuer === publicUrl) return undefined;
      known ??= readAll().catch((error: unknown) => {
        known = undefined;
        throw error;
      });
      return (await known).get(issuer);
    },
    invalidate() {
      known = undefined;
    },
  };
}
