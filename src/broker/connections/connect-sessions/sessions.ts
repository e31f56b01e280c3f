// Connect sessions, as callers create them for owners and follow what becomes of them.

import { Refusal, refuse } from '../../../domain/errors.ts';
import type { ConnectSession } from '../../../domain/integration.ts';
import type { ConnectSessionFilter, Page, PageRequest, Store } from '../../../ports/index.ts';
import type { Call } from '../../audit/index.ts';
import { readableScopes } from '../readable-scopes.ts';
import {
  type ConnectSessionRequest,
  type CreatedSession,
  type CreateSessionParts,
  createSessionCreation,
} from './create-session.ts';
import type { EndedCandidates } from './ended-candidates.ts';
import { createFinishSession, type FinishedSession, type FinishParts, type FinishRequest } from './finish.ts';
import { deniedSession, seesSession } from './permitted-sessions.ts';

export interface ConnectSessions {
  /** For callers with `connections:write`. */
  create(call: Call, wanted: ConnectSessionRequest): Promise<CreatedSession | Refusal>;
  /**
   * For callers with `token`, when the owner has asked for it (token exchange): a caller that may read the owner's token
   * may have the owner connect.
   */
  createForTokenExchange(call: Call, wanted: ConnectSessionRequest): Promise<CreatedSession | Refusal>;
  get(call: Call, id: string): Promise<ConnectSession | Refusal>;
  /** Those that the caller may read: see `ConnectionResource.list`. */
  list(
    call: Call,
    filter: Pick<ConnectSessionFilter, 'integration' | 'owner' | 'status'>,
    page: PageRequest,
  ): Promise<Page<ConnectSession> | Refusal>;
  /** Makes the candidate of a two-phase session a connection, for callers with `connections:write`. */
  finish(call: Call, id: string, wanted: FinishRequest): Promise<FinishedSession | Refusal>;
  /** Ends an open session; one that has ended stays as it is. What its browser brings from then on is given up. */
  cancel(call: Call, id: string): Promise<ConnectSession | Refusal>;
}

export interface ConnectSessionParts extends FinishParts, CreateSessionParts {
  store: FinishParts['store'] & CreateSessionParts['store'] & Pick<Store, 'session' | 'connectSessions' | 'endSession'>;
  access: FinishParts['access'];
}

export function createConnectSessions(
  parts: ConnectSessionParts & { endedCandidates: Pick<EndedCandidates, 'destroy'> },
): ConnectSessions {
  const { store, access, clock, endedCandidates } = parts;
  const create = createSessionCreation(parts);

  async function read(call: Call, id: string): Promise<ConnectSession | Refusal> {
    const session = await store.session(id);
    if (!session || !seesSession(call, session)) return refuse({ code: 'not_found', what: 'connect session', id });
    return deniedSession(access, call, session) ?? session;
  }

  const asOfNow = (session: ConnectSession): ConnectSession => {
    const isOpen = session.status === 'pending' || session.status === 'awaiting_finish';
    return isOpen && session.expiresAt <= clock.now() ? { ...session, status: 'expired' } : session;
  };

  return {
    create: (call, wanted) => create(call, 'connections:write', wanted),
    createForTokenExchange: (call, wanted) => create(call, 'token', wanted),
    finish: createFinishSession(parts),

    async get(call, id) {
      const session = await read(call, id);
      return session instanceof Refusal ? session : asOfNow(session);
    },

    async list(call, filter, page) {
      const within = readableScopes(access, call, 'connections:write', filter);
      if (within instanceof Refusal) return within;
      const now = clock.now();
      const found = await store.connectSessions({ ...filter, now, ...(within !== 'all' && { within }) }, page);
      return { ...found, data: found.data.map(asOfNow) };
    },

    async cancel(call, id) {
      const session = await read(call, id);
      if (session instanceof Refusal) return session;
      const { integration, owner, connectionId } = session;
      const by = access.record(call, 'connect_session.cancelled', { integration, owner, connectionId, detail: id });
      if (await store.endSession(id, { status: 'cancelled', error: null }, by)) await endedCandidates.destroy(id);
      return asOfNow((await store.session(id)) ?? session);
    },
  };
}
