// Credentials that an owner enters in the form of a connect link: checked at the provider, and only then stored.
import { LRUCache } from 'lru-cache';
import { type AuthMode, credentialFieldsOf, readableCredentials, tokenTypeOf } from '../../../domain/auth-modes.ts';
import { upTo } from '../../../domain/cache-bounds.ts';
import type { InputIssue } from '../../../domain/errors.ts';
import type { Values } from '../../../domain/fields.ts';
import { readCredentials } from '../../../domain/imported-credentials.ts';
import type { ConnectSession } from '../../../domain/integration.ts';
import { createLane } from '../../../domain/lane.ts';
import { identifyingFields } from '../../../domain/provider.ts';
import { type Clock, type Logger, StoreError } from '../../../ports/index.ts';
import type { ResolvedIntegration, Targets } from '../../integrations/index.ts';
import { newId } from '../../secrets/index.ts';
import { givenCredentials } from '../received-grant/given-credentials.ts';
import { newConnection, type ReceivedCredentials } from '../received-grant/new-connection.ts';
import type { ReceivedGrant } from '../received-grant/store-grant.ts';
import type { CheckCredentials } from './check-credentials.ts';

/** Of one session: who has a link may try keys with it, which the provider would hold against the deployment. */
const MAX_TRIES = 10;
const MAX_SESSIONS = 10_000;
const CHECKS = { atOnce: 16, waiting: 100 };

export interface EnterCredentials {
  /** What is wrong with them, without asking anyone. */
  issues(auth: AuthMode, entered: Values): InputIssue[];
  /**
   * A grant to be stored, or why it must not be. Precondition: there are no issues. `chosen`: the params that the owner has
   * entered, too. Rejects with `StoreError`.
   */
  check(
    session: ConnectSession,
    found: ResolvedIntegration,
    entered: Values,
    params: Values,
    chosen: readonly string[],
  ): Promise<ReceivedGrant | 'rejected' | 'unexpected' | 'unavailable'>;
}

/** For the form. A mode whose secrets are the integration's has no fields: its connections differ by their params. */
export const askedCredentials = ({ provider, auth }: Pick<ResolvedIntegration, 'provider' | 'auth'>) => ({
  fields: credentialFieldsOf(auth),
  readable: readableCredentials(auth),
  helpUrl: auth.help_url ?? provider.docs_url,
});

interface Parts {
  targets: Pick<Targets, 'targetOf'>;
  checkCredentials: CheckCredentials;
  clock: Clock;
  log: Logger;
}

export function createEnterCredentials({ targets, checkCredentials, clock, log }: Parts): EnterCredentials {
  const lane = createLane(CHECKS);
  const tries = new LRUCache<string, number>(upTo(MAX_SESSIONS));

  return {
    issues(auth, entered) {
      const read = readCredentials(auth, entered);
      return 'issues' in read ? read.issues : [];
    },

    async check(session, found, entered, params, chosen) {
      const { id, integration, owner, label, scopes: asked } = session;
      const { auth } = found;
      const tried = (tries.get(id) ?? 0) + 1;
      tries.set(id, tried);
      if (tried > MAX_TRIES) return 'unavailable';
      const read = readCredentials(auth, entered);
      if ('issues' in read) return 'rejected';
      const now = clock.now();
      const { values } = targets.targetOf(found, { params, captured: {} });
      const received: ReceivedCredentials = {
        ...givenCredentials(auth, read.values, values, asked ?? undefined, now),
        tokenType: tokenTypeOf(auth),
        scopes: asked ?? found.integration.scopes,
        idleIn: undefined,
        endsIn: undefined,
        captured: {},
        identity: null,
        account: null,
        replacesScopes: false,
      };
      const place = { integration, owner, label, params, metadata: {} };
      // An id of its own: limits of the API are counted by connection.
      const connection = newConnection(newId('con', now), place, auth, received, now);
      const checked = await lane.run(() => checkCredentials(connection, received.credentials));
      if (checked === 'full') throw new StoreError('too many credentials are being checked');
      const { verdict, account, isProved } = checked;
      log.info({ session: id, integration, verdict }, 'connect: entered credentials were checked');
      if (verdict !== 'accepted' && verdict !== 'unchecked') return verdict;
      if (!isProved && chosen.some((name) => needsProof(found, name))) return 'rejected';
      return { received: { ...received, account }, params, receivedAt: now };
    },
  };
}

/** It says whose account it is, and is nothing by which a token was requested: another's would do as well. */
function needsProof({ provider, auth }: ResolvedIntegration, name: string): boolean {
  if (!Object.hasOwn(identifyingFields(provider, auth), name)) return false;
  return !('token_request' in auth && JSON.stringify([auth.token_url, auth.token_request]).includes(`{${name}}`));
}
