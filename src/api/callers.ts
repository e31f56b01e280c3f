// Callers: internal services, their keys and their permissions.
import { z } from '@hono/zod-openapi';
import { ACTIONS } from '../domain/caller.ts';
import { normalisedPath, PathFault } from '../domain/request-path.ts';
import { AGENT_SESSION_TTL_MAX_S } from '../domain/time-limits.ts';
import { pattern, plain, RATE, SessionAgent, Time, textUpTo, Url } from './common.ts';
import { EXAMPLE } from './examples.ts';
import { MAX_MAX_AGE_S } from './trusted-issuers.ts';

/** As paths of calls are compared: in their normal form. */
export const PathPattern = textUpTo(1_024).superRefine((text, { addIssue }) => {
  const [, alias = '', path = '', star = ''] = /^([a-z][a-z0-9_-]{0,40}:)?([^*]*)(\*?)$/.exec(text) ?? [];
  const report = (message: string) => addIssue({ code: 'custom', message });
  if (text === '*') return;
  if (text.slice(0, -1).includes('*')) return report('a * stands only at the end, and matches all that follows');
  const normal = normalisedPath(path);
  if (normal instanceof PathFault) return report(`a path that begins with /, or * for all. ${normal.detail}`);
  if (`${alias}${normal}${star}` !== text) report(`its normal form is ${alias}${normal}${star}`);
});

export const Method = z.string().regex(/^(?:[A-Z][A-Z-]{0,31}|\*)$/, 'a method in upper case, or * for all');

export const CallerGrant = z
  .strictObject({
    actions: z.array(z.enum(['*', ...ACTIONS])).min(1),
    integrations: z.array(pattern(64)).min(1),
    owners: z.array(pattern(256)).min(1),
    scopes: z.array(pattern(512)).min(1).optional().openapi({
      description: 'For `token`, `proxy` and `connections:write`: the scopes that a token may have. Default: any.',
    }),
    max_min_ttl: z
      .int()
      .min(0)
      .max(999_999)
      .optional()
      .openapi({ description: 'The largest `min_ttl` that may be requested, in seconds. Default: no limit.' }),
    max_refreshes: z.strictObject(RATE).optional().openapi({
      description:
        'For `token`: how many refreshes may be forced, at all connections that this grant covers together: a bucket of `requests`, which fills up in `window` seconds and which all replicas share. Default: no limit.',
    }),
    methods: z
      .array(Method)
      .min(1)
      .max(20)
      .optional()
      .openapi({
        description: 'For `proxy`: the methods that a proxied call may have; `GET` includes `HEAD`. Default: any.',
        example: ['GET'],
      }),
    paths: z
      .array(PathPattern)
      .min(1)
      .max(100)
      .optional()
      .openapi({
        description:
          'For `proxy`: the paths that may be called, below the base URL of the API. A trailing `*` matches a prefix. `alias:/path` is a path at another host of the API (`Valetkey-Host`), `*` everything. Checked after normalisation. Default: any.',
        example: ['/repos/*'],
      }),
  })
  .superRefine(({ actions, methods, paths }, { addIssue }) => {
    if (actions.some((action) => action === 'proxy' || action === '*')) return;
    for (const [name, value] of Object.entries({ methods, paths }))
      if (value !== undefined)
        addIssue({ code: 'custom', path: [name], message: 'only for grants with the action proxy' });
  })
  .openapi('CallerGrant', {
    description:
      'Permissions of a caller: actions at integrations, for owners. `*` matches everything, a trailing `*` matches a prefix, any other value matches exactly.',
  });

const service = {
  name: 'billing',
  grants: [{ actions: ['token', 'connections:read'], integrations: ['slack'], owners: ['user_*'] }],
};
const workload = {
  issuer: 'https://kubernetes.acme.example',
  audience: 'valetkey',
  claims: { sub: 'system:serviceaccount:billing:*' },
};
const limit = { requests: 600, window: 60 };
/** Has the form of a caller key, but a wrong checksum. */
const secret = 'vk_Yh3kq0cVt8mPz5sXbN1wLr7dGf2uJe9aTi4oKyC6vQMaaaaaa';
const key = { id: EXAMPLE.key, prefix: secret.slice(0, 8), created_at: EXAMPLE.made, expires_at: null };

const Workload = z
  .strictObject({
    issuer: Url,
    audience: plain(255).openapi({
      description: 'The value that `aud` must contain: a name that is unique to this broker',
    }),
    claims: z
      .record(z.string().min(1).max(128), pattern(512))
      .refine((claims) => Object.keys(claims).length > 0, 'name at least one claim')
      .openapi({
        description:
          'Required claims by name: an exact value, or a prefix with a trailing `*`, which ends at a delimiter. If the claim is an array, one member must match. Together they must say which workload it is.',
      }),
    max_age: z.int().min(1).max(MAX_MAX_AGE_S).optional().openapi({
      description:
        'The most seconds since `iat`, which is then required. Default: `max_age` of the trusted issuer, or two days',
    }),
  })
  .openapi('Workload', {
    description:
      'A workload identity: tokens of a trusted issuer (Kubernetes, SPIFFE, a CI system, any OpenID Provider) that authenticate the caller.',
  });

const RateLimit = z
  .strictObject(RATE)
  .openapi('RateLimit', { description: 'At most `requests` requests in each window of `window` seconds.' });

const MaxSessionTtl = z
  .int()
  .min(1)
  .max(AGENT_SESSION_TTL_MAX_S)
  .openapi({
    description: `The longest that a session of the caller may last, in seconds. Null or omitted: ${AGENT_SESSION_TTL_MAX_S}`,
  });

const Audiences = z
  .array(plain(2_048))
  .max(20)
  .openapi({
    description:
      'The audiences that its agent sessions may have signed tokens for (`format: "jwt"`): services that verify them, or the public URL of the broker. Null or omitted: none',
    example: ['https://search.acme.example'],
  });

export const CallerPut = z
  .strictObject({
    name: plain(100),
    grants: z.array(CallerGrant).max(100),
    workloads: z.array(Workload).max(50).optional(),
    rate_limit: RateLimit.nullish().openapi({ description: 'Null or omitted: the default of the deployment' }),
    max_session_ttl: MaxSessionTtl.nullish(),
    audiences: Audiences.nullish(),
  })
  .openapi('ReplaceCallerRequest', { example: { ...service, workloads: [workload], rate_limit: limit } });

// Not `extend`: in JSON Schema, a strict object within `allOf` would reject the added members.
export const CallerPost = z
  .strictObject({
    ...CallerPut.shape,
    key_expires_at: Time.optional().openapi({ description: 'When the first key expires. Default: never.' }),
  })
  .openapi('CreateCallerRequest', {
    description: 'A caller with `workloads` gets no key. If it needs one as well, create it afterwards.',
    example: service,
  });

const WorkloadView = z.object({ id: z.string(), ...Workload.shape }).openapi('WorkloadIdentity');

export const CallerCreated = z
  .object({
    id: z.string(),
    name: z.string(),
    key: z.string().nullable(),
    key_id: z.string().nullable(),
    key_expires_at: Time.nullable(),
    grants: z.array(CallerGrant),
    workloads: z.array(WorkloadView),
    rate_limit: RateLimit.nullable(),
    max_session_ttl: MaxSessionTtl.nullable(),
    audiences: Audiences.nullable(),
    created_at: Time,
  })
  .openapi('CreatedCaller', {
    description: 'A new caller. Only this response shows its `key`.',
    example: {
      id: EXAMPLE.caller,
      ...service,
      key: secret,
      key_id: EXAMPLE.key,
      key_expires_at: null,
      workloads: [],
      rate_limit: null,
      max_session_ttl: null,
      audiences: null,
      created_at: EXAMPLE.made,
    },
  });

const KeyView = z.object({
  id: z.string(),
  prefix: z.string(),
  created_at: Time,
  expires_at: Time.nullable(),
  last_used_at: Time.nullable(),
});
export const CallerView = z
  .object({
    id: z.string(),
    name: z.string(),
    grants: z.array(CallerGrant),
    workloads: z.array(WorkloadView),
    rate_limit: RateLimit.nullable(),
    max_session_ttl: MaxSessionTtl.nullable(),
    audiences: Audiences.nullable(),
    keys: z.array(KeyView),
    warnings: z
      .array(z.object({ path: z.string(), message: z.string() }))
      .openapi({ description: 'What is wrong with workload bindings that an earlier version has accepted' }),
    created_at: Time,
  })
  .openapi('Caller', {
    example: {
      id: EXAMPLE.caller,
      ...service,
      workloads: [{ id: EXAMPLE.workload, ...workload }],
      rate_limit: limit,
      max_session_ttl: 900,
      audiences: ['https://search.acme.example'],
      keys: [{ ...key, last_used_at: EXAMPLE.changed }],
      warnings: [],
      created_at: EXAMPLE.made,
    },
  });

export const Whoami = z
  .object({
    id: z.string(),
    name: z.string(),
    grants: z.array(CallerGrant),
    authenticated_by: z.discriminatedUnion('kind', [
      z.object({
        kind: z.literal('key'),
        id: z.string(),
        prefix: z.string().nullable(),
        expires_at: Time.nullable(),
      }),
      z.object({
        kind: z.literal('workload'),
        id: z.string(),
        issuer: z.string(),
        subject: z.string().nullable(),
        expires_at: Time,
      }),
      z.object({
        kind: z.literal('session'),
        id: z.string(),
        owner: z.string(),
        purpose: z.string(),
        actor: SessionAgent.nullable(),
        tools: z.array(z.string()).nullable(),
        expires_at: Time,
      }),
    ]),
    rate_limit: RateLimit.nullable().openapi({
      description: 'The rate limit that applies to this caller. Null: none.',
    }),
  })
  .openapi('CurrentCaller', {
    example: {
      id: EXAMPLE.caller,
      ...service,
      authenticated_by: { kind: 'key', id: EXAMPLE.key, prefix: key.prefix, expires_at: null },
      rate_limit: limit,
    },
  });

export const KeyPost = z
  .strictObject({ expires_at: Time.optional().openapi({ description: 'When the key expires. Default: never.' }) })
  .openapi('CreateCallerKeyRequest', { example: { expires_at: EXAMPLE.ends } });
export const KeyCreated = z
  .object({ id: z.string(), key: z.string(), prefix: z.string(), created_at: Time, expires_at: Time.nullable() })
  .openapi('CreatedCallerKey', { example: { ...key, key: secret, expires_at: EXAMPLE.ends } });
