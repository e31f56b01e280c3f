// The agent sessions room: narrow, short-lived credentials for the processes beside a model.
export {
  type AgentSessions,
  type CreatedAgentSession,
  createAgentSessions,
} from './agent-sessions.ts';
export type { AgentSessionRequest } from './session-request.ts';
