// The agent sessions room: narrow, short-lived credentials for the processes beside a model.
import { type AgentSessions, type AgentSessionsParts, createAgentSessions } from './agent-sessions.ts';
import {
  createSessionIntrospection,
  type SessionIntrospection,
  type SessionIntrospectionParts,
} from './session-introspection.ts';

export type { AgentSessions, CreatedAgentSession } from './agent-sessions.ts';
export type { SessionIntrospection } from './session-introspection.ts';
export type { AgentSessionRequest } from './session-request.ts';

export interface Agents {
  sessions: AgentSessions;
  introspection: SessionIntrospection;
}

export const createAgents = (parts: AgentSessionsParts & SessionIntrospectionParts): Agents => ({
  sessions: createAgentSessions(parts),
  introspection: createSessionIntrospection(parts),
});
