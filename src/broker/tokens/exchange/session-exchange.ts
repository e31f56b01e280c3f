// An agent session by token exchange (RFC 8693): the user's JWT says for whom, the actor token which agent acts. The caller needs
// the permissions that it needs for any session.
import { isAgentId, type SessionAction } from '../../../domain/agent-session.ts';
import type { Refusal } from '../../../domain/errors.ts';
import type { AgentSessions, CreatedAgentSession } from '../../agents/index.ts';
import type { Access, Call } from '../../audit/index.ts';
import type { ExchangedIdentity, IdentifyExchange, InvalidToken } from './exchanged-identity.ts';
import { refusedInWords, subjectInWords } from './in-words.ts';

export interface SessionExchangeRequest {
  subjectToken: string;
  actorToken: string | undefined;
  integrations: string[];
  actions: SessionAction[];
  /** Seconds. */
  ttl: number | undefined;
  purpose: string;
}

export interface SessionExchange {
  /** Rejects with `StoreError`. */
  exchange(call: Call, request: SessionExchangeRequest): Promise<CreatedAgentSession | InvalidToken | Refusal>;
}

export interface SessionExchangeParts {
  identify: IdentifyExchange;
  agentSessions: Pick<AgentSessions, 'create'>;
  access: Pick<Access, 'noteRead' | 'noteRefused'>;
}

/** The `sub` of an actor token names the agent: issuers choose it, and callers may name none like it. */
function withAgent(found: ExchangedIdentity | InvalidToken): ExchangedIdentity | InvalidToken {
  if ('code' in found || found.actor?.subject === undefined || isAgentId(found.actor.subject)) return found;
  const { issuer, subject } = found.actor;
  return { code: 'invalid_subject', token: 'actor', reason: 'claim_mismatch', issuer, subject, claim: 'sub' };
}

export function createSessionExchange({ identify, agentSessions, access }: SessionExchangeParts): SessionExchange {
  return {
    async exchange(call, { subjectToken, actorToken, integrations, ...wanted }) {
      const subject = withAgent(await identify(call, subjectToken, actorToken));
      const integration = integrations.length === 1 ? integrations[0]! : '*';
      if ('code' in subject) {
        access.noteRefused(call, 'token.exchange', { integration, detail: refusedInWords(subject) });
        return subject;
      }
      const { owner, actor } = subject;
      access.noteRead(call, 'token.exchange', { integration, owner, detail: subjectInWords(subject) });
      const agent = actor && { id: actor.subject ?? actor.issuer, name: null, issuer: actor.issuer };
      return agentSessions.create(call, { owner, integrations, agent, ...wanted });
    },
  };
}
