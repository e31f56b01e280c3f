// The issuers whose JWTs are trusted: those of this deployment's OpenID integrations, and those of the configuration.
import { Refusal } from '../../domain/errors.ts';
import { trustedIssuerOf } from '../../domain/target.ts';
import type { Store, TrustedIssuer } from '../../ports/index.ts';
import type { Targets } from './targets.ts';

export interface TrustedIssuers {
  /** With its accepted audiences and where its keys are; undefined: not trusted. Rejects with `StoreError`. */
  find(issuer: string): Promise<TrustedIssuer | undefined>;
  /** To be called when an integration has changed. */
  invalidate(): void;
}

interface Parts {
  store: Pick<Store, 'integrations'>;
  targets: Targets;
  configured: readonly TrustedIssuer[];
}

export function createTrustedIssuers({ store, targets, configured }: Parts): TrustedIssuers {
  let known: Promise<Map<string, TrustedIssuer>> | undefined;

  async function readAll(): Promise<Map<string, TrustedIssuer>> {
    const issuers = new Map<string, TrustedIssuer>();
    const add = (found: TrustedIssuer) => {
      const before = issuers.get(found.issuer);
      const audiences = [...new Set([...(before?.audiences ?? []), ...found.audiences])];
      issuers.set(found.issuer, { ...found, ...before, audiences });
    };
    for (const found of configured) add(found);
    let after: string | undefined;
    do {
      const page = await store.integrations({ limit: 500, after });
      for (const { id } of page.data) {
        const found = await targets.find(id);
        if (found instanceof Refusal) continue;
        const target = targets.targetOf(found, { params: {}, captured: {} });
        const issuer = trustedIssuerOf(target);
        // The audience of an integration's ID tokens is its client (OpenID Connect Core 2).
        if (issuer !== null) add({ issuer, audiences: [target.clientId] });
      }
      after = page.next ?? undefined;
    } while (after !== undefined);
    return issuers;
  }

  return {
    async find(issuer) {
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
