// Connect sessions as callers see them: invite, and ask how it went.

import { isCode } from '../../domain/auth-modes.ts';
import { type InputIssue, Refusal, refuse } from '../../domain/errors.ts';
import { fieldIssues } from '../../domain/fields.ts';
import type { ConnectSession } from '../../domain/integration.ts';
import { connectionFields } from '../../domain/provider.ts';
import { SESSION_TTL_MS } from '../../domain/time-limits.ts';
import { isLoopback } from '../../domain/urls.ts';
import type { Clock, Store } from '../../ports/index.ts';
import type { Access, Call } from '../audit/index.ts';
import type { Targets } from '../integrations/index.ts';
import { digest, newId, newSecret } from '../secrets/index.ts';

export interface Invitation {
  integration: string;
  owner: string;
  label?: string | undefined;
  scopes?: string[] | undefined;
  params?: Record<string, string> | undefined;
  metadata?: Record<string, unknown> | undefined;
  returnUrl?: string | undefined;
  connectionId?: string | undefined;
}

interface Parts {
  store: Store;
  targets: Targets;
  access: Access;
  clock: Clock;
  publicUrl: string;
  /** Origins that a `return_url` may have at every integration. */
  returnOrigins: readonly string[];
}

export type Sessions = ReturnType<typeof createSessions>;

export function createSessions({ store, targets, access, clock, publicUrl, returnOrigins }: Parts) {
  /** The label of the connection to renew, or what is wrong with naming it. */
  async function renewable(wanted: Invitation, id: string): Promise<string | Refusal | InputIssue[]> {
    const connection = await store.connection(id);
    if (!connection) return refuse({ code: 'not_found', what: 'connection', id });
    if (connection.integration !== wanted.integration || connection.owner !== wanted.owner) {
      return [{ path: 'connection_id', message: 'is a connection of another integration or owner' }];
    }
    if (connection.status === 'revoked') return refuse({ code: 'connection_revoked', connection_id: id });
    if (wanted.label !== undefined && wanted.label !== connection.label) {
      return [{ path: 'label', message: 'a renewal keeps its label: leave it out' }];
    }
    return connection.label;
  }

  /** `right`: the action that must be covered. */
  async function make(
    call: Call,
    right: 'connections:write' | 'token',
    wanted: Invitation,
  ): Promise<{ session: ConnectSession; url: string } | Refusal> {
    const { integration, owner } = wanted;
    const denied = access.denied(call, right, integration, owner, wanted.connectionId);
    if (denied) return denied;
    const found = await targets.find(integration);
    if (found instanceof Refusal) return found;

    const scopes = wanted.scopes ?? found.integration.scopes;
    const tooFar = access.denied(call, right, integration, owner, wanted.connectionId, { scopes });
    if (tooFar) return tooFar;
    if (!isCode(found.auth)) {
      const detail = `connections of "${integration}" are not made in a browser: import them with POST /v1/connections`;
      return refuse({ code: 'invalid_request', detail });
    }
    const fields = connectionFields(found.provider, found.auth);
    const issues = fieldIssues('params', fields, wanted.params ?? {}, 'allowed');
    const allowed = [...returnOrigins, ...found.integration.returnOrigins];
    if (wanted.returnUrl !== undefined) issues.push(...returnUrlIssues(wanted.returnUrl, allowed, publicUrl));
    let label = wanted.label ?? '';
    if (wanted.connectionId !== undefined) {
      const renewed = await renewable(wanted, wanted.connectionId);
      if (renewed instanceof Refusal) return renewed;
      if (typeof renewed === 'string') label = renewed;
      else issues.push(...renewed);
    }
    if (issues.length > 0)
      return refuse({ code: 'invalid_request', detail: 'the connect session cannot be made', issues });

    const secret = newSecret();
    const now = clock.now();
    const session: ConnectSession = {
      id: newId('cs', now),
      secretDigest: digest(secret),
      integration,
      owner,
      label,
      scopes: wanted.scopes ?? null,
      params: wanted.params ?? {},
      metadata: wanted.metadata ?? null,
      returnUrl: wanted.returnUrl ?? null,
      connectionId: wanted.connectionId ?? null,
      status: 'pending',
      error: null,
      browserDigest: null,
      createdBy: call.principal.caller.id,
      createdAt: now,
      expiresAt: now + SESSION_TTL_MS,
    };
    const subject = { integration, owner, connectionId: session.connectionId, detail: session.id };
    await store.addSession(session, access.record(call, 'connect_session.created', subject));
    return { session, url: `${publicUrl}/connect/${secret}` };
  }

  return {
    /** The URL holds the session's secret and is not kept: it is told here, once. */
    create: (call: Call, wanted: Invitation) => make(call, 'connections:write', wanted),

    /** For an owner who has asked for it: who may have the token that comes of it may then invite them. */
    invite: (call: Call, wanted: Invitation) => make(call, 'token', wanted),

    async get(call: Call, id: string): Promise<ConnectSession | Refusal> {
      const session = await store.session(id);
      if (!session) return refuse({ code: 'not_found', what: 'connect session', id });
      const denied = access.denied(call, 'connections:write', session.integration, session.owner);
      if (denied) return denied;
      const over = session.status === 'pending' && session.expiresAt <= clock.now();
      return over ? { ...session, status: 'expired' } : session;
    },
  };
}

/**
 * An owner is only ever sent back to an origin that the deployment has named (RFC 9700 4.11), or to the broker's own.
 * A broker at a loopback address, which is one in development, also allows loopback.
 */
function returnUrlIssues(returnUrl: string, allowed: readonly string[], publicUrl: string): InputIssue[] {
  const path = 'return_url';
  if (!URL.canParse(returnUrl)) return [{ path, message: 'not an absolute URL' }];
  // Browsers read these as slashes or not at all, and other readers of URLs do not agree.
  if (/[\\\s\p{Cc}]/u.test(returnUrl))
    return [{ path, message: 'must not hold backslashes, spaces or control characters' }];
  const url = new URL(returnUrl);
  if (!/^https?:$/.test(url.protocol)) return [{ path, message: 'must be an http or https URL' }];
  if (url.username || url.password) return [{ path, message: 'must not hold a user name or password' }];
  const home = new URL(publicUrl);
  if (url.origin === home.origin || allowed.includes(url.origin)) return [];
  if (isLoopback(home.hostname) && isLoopback(url.hostname)) return [];
  const message = `the origin ${url.origin} is not allowed: add it to the integration's return_origins, or to the configuration's`;
  return [{ path, message }];
}
