// Agent sessions: short-lived, narrow credentials that a caller makes for a process beside a model.

/** What a session may do: it reads and calls, and changes nothing but the sessions that it makes itself. */
export const SESSION_ACTIONS = ['token', 'proxy', 'connections:read', 'sessions'] as const;
export type SessionAction = (typeof SESSION_ACTIONS)[number];

/** How many sessions may stand between a session and the caller, itself included. */
export const MAX_SESSION_DEPTH = 3;

/** Who acts, as the caller that made the session names them. */
export interface Agent {
  id: string;
  name: string | null;
  /** Of the actor token that names them: `id` is one of that issuer. Undefined: there was none, and the caller has said so. */
  issuer?: string | undefined;
}

/** Whether it may be the id of an agent, as an audit log shows it: one line of 255 characters at most. */
export const isAgentId = (id: string): boolean => /^[^\p{Cc}\p{Cs}]{1,255}$/u.test(id) && id.trim() !== '';

/** What a session may do at most, whatever its caller may. Null: as far as its caller may. */
export interface SessionLimits {
  owner: string;
  /** Ids, without patterns. */
  integrations: string[];
  actions: SessionAction[];
  scopes: string[] | null;
  methods: string[] | null;
  paths: string[] | null;
  tools: string[] | null;
}

/** Nothing of it changes but the last four members. */
export interface AgentSession extends SessionLimits {
  /** `ses_…` */
  id: string;
  /** SHA-256 of its token, hex. */
  digest: string;
  /** The caller whose permissions it is within. */
  callerId: string;
  /** The key or workload binding that made it, or the first session above it: it ends with that one. */
  createdWith: string;
  /** The session that made it; null: the caller itself. */
  parentId: string | null;
  /** The ids of all sessions above it, the one that the caller itself made first. */
  ancestors: string[];
  /** What it is for, in words. */
  purpose: string;
  agent: Agent | null;
  maxUses: number | null;
  /** Its token is a JWT for this audience; null: it is opaque, and for the broker. */
  audience: string | null;
  /** The ids of this session and of those above it whose uses are limited: each request counts against all of them. */
  counted: string[];
  createdAt: number;
  expiresAt: number;
  uses: number;
  lastUsedAt: number | null;
  endedAt: number | null;
  endReason: SessionEnd | null;
  /** The message authentication code of the row. */
  mac?: string | null | undefined;
}

/** Why a session has ended before its time. */
export type SessionEnd =
  | 'revoked'
  /** The session that made it has ended. */
  | 'parent_ended'
  | 'caller_deleted'
  | 'key_deleted'
  /** The provider said that the account of its owner is suspended, gone, or signed out. */
  | 'owner_signal';

export type AgentSessionStatus = 'active' | 'ended' | 'expired' | 'used_up';

export function statusOfSession(session: AgentSession, now: number): AgentSessionStatus {
  if (session.endedAt !== null) return 'ended';
  if (session.expiresAt <= now) return 'expired';
  return session.maxUses !== null && session.uses >= session.maxUses ? 'used_up' : 'active';
}
