// Connect sessions, as callers create them for owners and follow what becomes of them.

import { isCode } from '../../../domain/auth-modes.ts';
import { ADMIN_ID } from '../../../domain/caller.ts';
import { type InputIssue, Refusal, refuse } from '../../../domain/errors.ts';
import { asMeant, fieldIssues } from '../../../domain/fields.ts';
import type { ConnectSession, Integration } from '../../../domain/integration.ts';
import { connectionFields } from '../../../domain/provider.ts';
import { SESSION_TTL_MS } from '../../../domain/time-limits.ts';
import { isLoopback } from '../../../domain/urls.ts';
import type { ConnectSessionFilter, Page, PageRequest, Store } from '../../../ports/index.ts';
import { type Call, sees } from '../../audit/index.ts';
import { digest, newId, newSecret } from '../../secrets/index.ts';
import { readableScopes } from '../readable-scopes.ts';
import type { EndedCandidates } from './ended-candidates.ts';
import { createFinishSession, type FinishedSession, type FinishParts, type FinishRequest } from './finish.ts';

export interface ConnectSessionRequest {
  /** With a connection to renew, it need not be named, and neither need the owner. */
  integration?: string | undefined;
  owner?: string | undefined;
  label?: string | undefined;
  scopes?: string[] | undefined;
  /** True: a renewed connection gives up the other scopes that it has. */
  replaceScopes?: boolean | undefined;
  params?: Record<string, string> | undefined;
  metadata?: Record<string, unknown> | undefined;
  returnUrl?: string | undefined;
  /** The connection to renew. */
  connectionId?: string | undefined;
  finish?: boolean | undefined;
  displayOwner?: string | undefined;
  codeChallenge?: string | undefined;
}

/** A request whose integration and owner are known. */
type Place = ConnectSessionRequest & { integration: string; owner: string };

/** `url` contains the secret of the session, which is not stored: it is returned once. */
export interface CreatedSession {
  session: ConnectSession;
  url: string;
}

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

export interface ConnectSessionParts extends FinishParts {
  store: FinishParts['store'] & Pick<Store, 'session' | 'addSession' | 'connection' | 'connectSessions' | 'endSession'>;
  publicUrl: string;
  /** Origins that a `return_url` may have at every integration. */
  returnOrigins: readonly string[];
}

export function createConnectSessions(
  parts: ConnectSessionParts & { endedCandidates: Pick<EndedCandidates, 'destroy'> },
): ConnectSessions {
  const { store, targets, access, clock, publicUrl, returnOrigins, endedCandidates } = parts;

  /** The label of the connection to renew, or why it cannot be renewed. */
  async function renewable(call: Call, wanted: Place, id: string): Promise<string | Refusal | InputIssue[]> {
    const connection = await store.connection(id);
    if (!connection || !sees(call, connection)) return refuse({ code: 'not_found', what: 'connection', id });
    if (connection.integration !== wanted.integration || connection.owner !== wanted.owner) {
      return [{ path: 'connection_id', message: 'is a connection of another integration or owner' }];
    }
    if (connection.status === 'revoked') return refuse({ code: 'connection_revoked', connection_id: id });
    if (wanted.label !== undefined && wanted.label !== connection.label) {
      return [{ path: 'label', message: 'a renewed connection keeps its label: leave it out' }];
    }
    return connection.label;
  }

  /** With the integration and owner of the connection that is to be renewed, where the request names none. */
  async function placed(call: Call, request: ConnectSessionRequest): Promise<Place | Refusal> {
    const { integration, owner, connectionId: id } = request;
    if (integration !== undefined && owner !== undefined) return { ...request, integration, owner };
    if (id === undefined) {
      const missing = { integration, owner };
      const issues = (['integration', 'owner'] as const)
        .filter((path) => missing[path] === undefined)
        .map((path) => ({ path, message: 'is required without a connection_id' }));
      return refuse({ code: 'invalid_request', detail: 'the connect session has invalid settings', issues });
    }
    const connection = await store.connection(id);
    if (!connection || !sees(call, connection)) return refuse({ code: 'not_found', what: 'connection', id });
    return {
      ...request,
      integration: integration ?? connection.integration,
      owner: owner ?? connection.owner,
    };
  }

  async function create(
    call: Call,
    action: 'connections:write' | 'token',
    request: ConnectSessionRequest,
  ): Promise<CreatedSession | Refusal> {
    const wanted = await placed(call, request);
    if (wanted instanceof Refusal) return wanted;
    const { integration, owner } = wanted;
    const denied = access.denied(call, action, integration, owner);
    if (denied) return denied;
    const found = await targets.find(integration);
    if (found instanceof Refusal) return found;

    const scopes = wanted.scopes ?? found.integration.scopes;
    const scopesDenied = access.denied(call, action, integration, owner, wanted.connectionId, { scopes });
    if (scopesDenied) return scopesDenied;
    if (!isCode(found.auth)) {
      const detail = `connections of "${integration}" are not created in a browser: import them with POST /v1/connections`;
      return refuse({ code: 'invalid_request', detail });
    }
    const fields = connectionFields(found.provider, found.auth);
    const params = asMeant(fields, wanted.params ?? {});
    const issues = fieldIssues('params', fields, params, 'allowed');
    const allowed = [...returnOrigins, ...found.integration.returnOrigins];
    if (wanted.returnUrl !== undefined) issues.push(...returnUrlIssues(wanted.returnUrl, allowed, publicUrl));
    issues.push(...finishIssues(wanted, found.integration));
    let label = wanted.label ?? '';
    if (wanted.connectionId !== undefined) {
      const renewed = await renewable(call, wanted, wanted.connectionId);
      if (renewed instanceof Refusal) return renewed;
      if (typeof renewed === 'string') label = renewed;
      else issues.push(...renewed);
    }
    if (issues.length > 0)
      return refuse({ code: 'invalid_request', detail: 'the connect session has invalid settings', issues });

    const secret = newSecret();
    const now = clock.now();
    const session: ConnectSession = {
      id: newId('cs', now),
      secretDigest: digest(secret),
      integration,
      owner,
      label,
      scopes: wanted.scopes ?? null,
      replaceScopes: wanted.replaceScopes ?? null,
      params,
      metadata: wanted.metadata ?? null,
      returnUrl: wanted.returnUrl ?? null,
      connectionId: wanted.connectionId ?? null,
      account: null,
      status: 'pending',
      error: null,
      pageError: null,
      browserDigest: null,
      finish: wanted.finish ?? null,
      displayOwner: wanted.displayOwner ?? null,
      codeChallenge: wanted.codeChallenge ?? null,
      finishDigest: null,
      wrongAttempts: 0,
      createdBy: call.principal.caller.id,
      createdWith: call.principal.credential.id,
      createdAt: now,
      expiresAt: now + SESSION_TTL_MS,
    };
    const subject = { integration, owner, connectionId: session.connectionId, detail: session.id };
    const by = access.record(call, 'connect_session.created', subject);
    const added = await store.addSession(session, by, creatorOf(call));
    if (added === 'creator_gone') return refuse({ code: 'unauthenticated', reason: 'unknown' });
    return { session, url: `${publicUrl}/connect/${secret}` };
  }

  async function read(call: Call, id: string): Promise<ConnectSession | Refusal> {
    const session = await store.session(id);
    if (!session || !sees(call, session)) return refuse({ code: 'not_found', what: 'connect session', id });
    return access.denied(call, 'connections:write', session.integration, session.owner) ?? session;
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

/** Who must still be there when the session is stored. The admin key is in no table. */
function creatorOf({
  principal: { caller, credential },
}: Call): { callerId: string; keyId: string | null } | undefined {
  if (caller.id === ADMIN_ID || credential.kind === 'console') return undefined;
  return { callerId: caller.id, keyId: credential.kind === 'key' ? credential.id : null };
}

function finishIssues(
  { finish, returnUrl, codeChallenge }: ConnectSessionRequest,
  { id, requireFinish }: Pick<Integration, 'id' | 'requireFinish'>,
): InputIssue[] {
  if (finish)
    return returnUrl === undefined
      ? [{ path: 'return_url', message: 'is required with finish: the browser takes the finish code there' }]
      : [];
  return [
    ...(requireFinish ? [{ path: 'finish', message: `must be true: integration "${id}" has require_finish` }] : []),
    ...(codeChallenge === undefined ? [] : [{ path: 'code_challenge', message: 'needs finish: true' }]),
  ];
}

/**
 * Owners are sent back only to origins that the deployment allows (RFC 9700 4.11), or to the broker's own. A broker on
 * loopback, which is one in development, also allows loopback.
 */
function returnUrlIssues(returnUrl: string, allowed: readonly string[], publicUrl: string): InputIssue[] {
  const path = 'return_url';
  if (!URL.canParse(returnUrl)) return [{ path, message: 'not an absolute URL' }];
  // Browsers treat these as slashes or drop them, and URL parsers disagree.
  if (/[\\\s\p{Cc}]/u.test(returnUrl))
    return [{ path, message: 'must not hold backslashes, spaces or control characters' }];
  const url = new URL(returnUrl);
  if (!/^https?:$/.test(url.protocol)) return [{ path, message: 'must be an http or https URL' }];
  if (url.username || url.password) return [{ path, message: 'must not hold a user name or password' }];
  const own = new URL(publicUrl);
  if (url.origin === own.origin || allowed.includes(url.origin)) return [];
  if (isLoopback(own.hostname) && isLoopback(url.hostname)) return [];
  const message = `the origin ${url.origin} is not allowed: add it to return_origins of the integration or of the configuration`;
  return [{ path, message }];
}
