// Agent sessions: narrow, short-lived credentials that a caller makes for the process beside a model.
import { z } from '@hono/zod-openapi';
import { SESSION_ACTIONS } from '../domain/agent-session.ts';
import { AGENT_SESSION_TTL_MAX_S, AGENT_SESSION_TTL_S } from '../domain/time-limits.ts';
import { Method, PathPattern } from './callers.ts';
import { Id, Owner, PageQuery, pattern, SessionAgent, Slug, Time, textUpTo } from './common.ts';
import { EXAMPLE } from './examples.ts';

/** One line, for people: an audit log shows it. */
const Line = (max: number) =>
  textUpTo(max)
    .regex(/^\P{Cc}+$/u, { error: LINE, abort: true })
    .refine((text) => text.trim() !== '', LINE);
const LINE = 'one line that is not empty, without control characters';

export const Purpose = Line(500).openapi({
  description: 'What it is for, in words. The audit log shows it with each use.',
});
const Actor = z
  .strictObject({ id: Line(255), name: Line(255).optional() })
  .openapi('SessionActor', { description: 'The agent that acts with the session, as its caller names it' });

const Limits = {
  owner: Owner,
  integrations: z.array(Slug).min(1).max(20),
  actions: z
    .array(z.enum(SESSION_ACTIONS))
    .min(1)
    .max(SESSION_ACTIONS.length)
    .openapi({
      description:
        '`proxy`: calls APIs through the broker; `token`: is given tokens; `connections:read`; `sessions`: makes narrower sessions, three levels below the caller at most',
      example: ['proxy'],
    }),
};
const narrow = {
  scopes: z.array(pattern(512)).min(1).max(50).openapi({ description: 'The scopes that a token may have' }),
  methods: z
    .array(Method)
    .min(1)
    .max(20)
    .openapi({ description: 'For `proxy`: as in a grant of a caller', example: ['GET'] }),
  paths: z
    .array(PathPattern)
    .min(1)
    .max(50)
    .openapi({ description: 'For `proxy`: as in a grant of a caller', example: ['/repos/*'] }),
  tools: z
    .array(pattern(128))
    .min(1)
    .max(50)
    .openapi({
      description:
        'For `proxy`: the tools of an MCP server that may be called; a trailing `*` matches a prefix. Calls of which the broker does not know the tool are refused: all that do not go through the MCP gateway.',
      example: ['read_*'],
    }),
};

const example = {
  owner: EXAMPLE.owner,
  integrations: [EXAMPLE.integration],
  actions: ['proxy' as const],
  purpose: 'Summarise the channel of the release',
  actor: { id: 'release-notes', name: 'Release notes agent' },
};

export const AgentSessionPost = z
  .strictObject({
    ...Limits,
    scopes: narrow.scopes.optional(),
    methods: narrow.methods.optional(),
    paths: narrow.paths.optional(),
    tools: narrow.tools.optional(),
    ttl: z
      .int()
      .min(1)
      .max(AGENT_SESSION_TTL_MAX_S)
      .optional()
      .openapi({
        description: `How long it lasts, in seconds: ${AGENT_SESSION_TTL_MAX_S} at most, and no longer than \`max_session_ttl\` of the caller. Default: ${AGENT_SESSION_TTL_S}. It also ends with the key or the session that made it.`,
      }),
    purpose: Purpose,
    actor: Actor.optional(),
    format: z.enum(['opaque', 'jwt']).optional().openapi({
      description:
        '`jwt`: the token is a JWT (RFC 9068) that others can verify with the keys of `GET /oauth2/jwks`. It lasts for 15 minutes at most. If the session is ended, the broker refuses the token at once, and others accept it until it expires, unless they introspect it.',
    }),
    audience: z.string().min(1).max(2_048).optional().openapi({
      description:
        'With `format: "jwt"`: for whom the token is, one of the `audiences` of the caller. It authenticates at the broker only if this is its public URL.',
    }),
    max_uses: z.int().min(1).max(1_000_000).optional().openapi({
      description: 'How many requests it authenticates, those of the sessions below it included. Default: any number.',
    }),
  })
  .superRefine(({ format = 'opaque', audience }, { addIssue }) => {
    if ((format === 'jwt') === (audience !== undefined)) return;
    const message = format === 'jwt' ? 'required with the format jwt' : 'only with the format jwt';
    addIssue({ code: 'custom', path: ['audience'], message });
  })
  .openapi('CreateSessionRequest', {
    description:
      'What the session may do at most. What is left out may be anything that the caller may do, by the grants that it has then.',
    example,
  });

const Status = z.enum(['active', 'ended', 'expired', 'used_up']);

const viewExample = {
  id: EXAMPLE.agentSession,
  status: 'active',
  ...example,
  actor: { ...example.actor, issuer: null },
  scopes: null,
  methods: ['GET'],
  paths: null,
  tools: null,
  format: 'opaque',
  audience: null,
  max_uses: null,
  uses: null,
  caller_id: EXAMPLE.caller,
  parent_id: null,
  created_at: EXAMPLE.made,
  expires_at: '2026-03-02T09:45:00.000Z',
  last_used_at: null,
  ended_at: null,
  end_reason: null,
};

export const AgentSessionView = z
  .object({
    id: z.string(),
    status: Status,
    ...Limits,
    scopes: narrow.scopes.nullable(),
    methods: narrow.methods.nullable(),
    paths: narrow.paths.nullable(),
    tools: narrow.tools.nullable(),
    purpose: Purpose,
    actor: SessionAgent.nullable(),
    format: z.enum(['opaque', 'jwt']),
    audience: z.string().nullable().openapi({ description: 'Of a JWT' }),
    max_uses: z.int().nullable(),
    uses: z.int().nullable().openapi({ description: 'Counted only where `max_uses` limits them. Null: not counted' }),
    caller_id: z.string().openapi({ description: 'The caller within whose grants it is' }),
    parent_id: z.string().nullable().openapi({ description: 'The session that made it. Null: the caller itself' }),
    created_at: Time,
    expires_at: Time,
    last_used_at: Time.nullable(),
    ended_at: Time.nullable(),
    end_reason: z
      .enum(['revoked', 'parent_ended', 'caller_deleted', 'key_deleted', 'owner_signal'])
      .nullable()
      .openapi({
        description:
          'Why it ended before its time. `owner_signal`: the provider said that the account of the owner is suspended, gone or signed out',
      }),
  })
  .openapi('Session', {
    example: viewExample,
  });

/** Has the form of a token, but a wrong checksum. */
const token = 'vs_Yh3kq0cVt8mPz5sXbN1wLr7dGf2uJe9aTi4oKyC6vQMaaaaaa';

export const AgentSessionCreated = z
  .object({ ...AgentSessionView.shape, token: z.string() })
  .openapi('CreatedSession', {
    description:
      'A new session. Only this response shows its `token`, which authenticates like a caller key: `Authorization: Bearer vs_…`.',
    example: { ...viewExample, token },
  });

export const AgentSessionQuery = PageQuery.extend({
  owner: z.string().max(255).optional().openapi({ description: 'Only sessions of this owner', example: EXAMPLE.owner }),
  caller_id: Id.optional().openapi({ description: 'Only sessions of this caller', example: EXAMPLE.caller }),
  status: z.enum(['active']).optional().openapi({ description: 'Only sessions whose time is not over' }),
});

export const AgentSessionsEnd = z.object({ owner: Owner });
export const AgentSessionsEnded = z
  .object({ ended: z.int().openapi({ description: 'How many sessions were ended' }) })
  .openapi('EndedSessions', { example: { ended: 3 } });
