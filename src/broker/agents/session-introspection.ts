// Introspection of the tokens of agent sessions (RFC 7662): for those who may see the session, and of JWTs for those who may verify
// JWTs, such as the service that is their audience.
import { type AgentSession, statusOfSession } from '../../domain/agent-session.ts';
import { ADMIN_ID, type Principal } from '../../domain/caller.ts';
import { claimsOf } from '../../domain/jwt-claims.ts';
import { sessionClaims } from '../../domain/session-claims.ts';
import type { Clock, Store } from '../../ports/index.ts';
import type { Access, Call } from '../audit/index.ts';
import type { CallerCache } from '../cache/index.ts';
import { digest, isSessionToken } from '../secrets/index.ts';
import type { JwtSigner } from '../signing/index.ts';
import { maySee, readsAll } from './agent-sessions.ts';

/** The members of RFC 7662 2.2, or only that it is not active: whatever the reason, and where the caller may not know. */
export type IntrospectedSession = ({ active: true } & Record<string, unknown>) | { active: false };

export interface SessionIntrospection {
  /**
   * Undefined: it is no token of a session. `audience`: the one that it has to be for; undefined: any. Does not count as a use.
   * Rejects with `StoreError`.
   */
  introspect(call: Call, token: string, audience: string | undefined): Promise<IntrospectedSession | undefined>;
}

export interface SessionIntrospectionParts {
  store: Pick<Store, 'agentSession' | 'agentSessionsByDigest'>;
  callerCache: Pick<CallerCache, 'callerOf'>;
  access: Pick<Access, 'noteRead'>;
  signer: Pick<JwtSigner, 'isOwn' | 'verify'>;
  publicUrl: string;
  clock: Pick<Clock, 'now'>;
}

const INACTIVE = { active: false } as const;

export function createSessionIntrospection(parts: SessionIntrospectionParts): SessionIntrospection {
  const { store, callerCache, access, signer, publicUrl, clock } = parts;

  /** The session of a JWT that this broker has signed, and that has not expired. */
  async function signedSession(token: string): Promise<AgentSession | undefined> {
    const { aud } = claimsOf(token) ?? {};
    if (typeof aud !== 'string') return undefined;
    const verdict = await signer.verify(token, [aud]);
    if (!verdict.active || typeof verdict.claims.sid !== 'string') return undefined;
    const session = await store.agentSession(verdict.claims.sid);
    return session?.audience === aud ? session : undefined;
  }

  async function opaqueSession(token: string): Promise<AgentSession | undefined> {
    const [session] = await store.agentSessionsByDigest([digest(token)]);
    return session?.audience === null ? session : undefined;
  }

  /** It has not ended, and what it was made with is still there. */
  function lasts(session: AgentSession): boolean {
    if (statusOfSession(session, clock.now()) !== 'active') return false;
    const principal: Principal = {
      caller: { id: session.callerId, name: '', permissions: [] },
      credential: { kind: 'session', id: session.id, expiresAt: session.expiresAt },
      session,
      rateLimit: null,
    };
    return callerCache.callerOf(principal) !== undefined;
  }

  return {
    async introspect(call, token, audience) {
      const isOpaque = isSessionToken(token);
      if (!isOpaque && !signer.isOwn(token)) return undefined;
      access.noteRead(call, 'jwt.verify', { integration: '*', owner: '*' });
      const session = await (isOpaque ? opaqueSession(token) : signedSession(token));
      if (!session || !lasts(session)) return INACTIVE;
      if (!maySee(call, session) && !readsAll(call) && (isOpaque || !mayVerify(call))) return INACTIVE;
      const claims = sessionClaims(session, publicUrl);
      if (audience !== undefined && audience !== claims.aud) return INACTIVE;
      return { active: true, token_type: 'Bearer', ...claims };
    },
  };
}

/** A session of the admin key is not the admin key. */
const mayVerify = ({ principal: { caller, session } }: Call): boolean =>
  (caller.id === ADMIN_ID && session === undefined) ||
  caller.permissions.some(({ actions }) => actions.includes('*') || actions.includes('jwt:verify'));
