// API dialects: what a call to a vendor's API needs to know besides its base URL, as data of a catalogue entry: other hosts, a
// call that tells whose token it is, pages, idempotency, limits. Durations are whole seconds.
import { z } from 'zod';
import { Captures, Path } from './dialect.ts';
import { CallPath, Name, Template, UrlTemplate } from './fields-schema.ts';

const Seconds = z.int().positive();
const Header = z.string().regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}$/, 'a header name');
const Status = z.int().min(200).max(599);
const Statuses = z.array(Status).min(1);
const Scalar = z.union([z.string(), z.number(), z.boolean()]);
const Alias = z.string().regex(/^[a-z][a-z0-9_-]{0,40}$/, 'lower-case letters, digits, dashes and underscores');

/** What the JSON of an answer must have: a value (`equals`), any value but null (`present`), or none. */
const HealthyWhen = z
  .strictObject({ path: Path, equals: Scalar.optional(), present: z.boolean().optional() })
  .refine((one) => (one.equals === undefined) !== (one.present === undefined), 'needs either equals or present');

/**
 * A cheap call that changes nothing and tells whether a token works and, where it can, whose it is. Of several, the first that
 * applies, and whose templates can be filled, counts.
 */
const Whoami = z
  .strictObject({
    method: z.enum(['GET', 'POST']).default('GET'),
    /** One of `other_hosts`; without it, the API's base URL. */
    host: Alias.optional(),
    path: CallPath.default(''),
    /** Instead of a host and a path: the userinfo endpoint of the mode, or of the issuer's metadata. */
    endpoint: z.literal('userinfo').optional(),
    headers: z.record(Header, Template).default({}),
    /** Sent as they are: a GraphQL query. */
    json: z.record(z.string(), z.unknown()).optional(),
    form: z.record(z.string(), Template).optional(),
    /** The modes that it is for: by variant, or by mode where that has none. Without it, all. */
    only: z.array(z.string()).min(1).optional(),
    /** The grant needs one of them, where its scopes are known. */
    any_scope: z.array(z.string()).min(1).optional(),
    /** The vendor charges for it, or it uses up a small quota: never called unless someone asks. */
    billed: z.boolean().default(false),
    /** Statuses besides 2xx that prove the token: it is accepted, and may not do this. */
    proves: z.array(Status).default([]),
    /** Statuses besides 401 that say that the token is not accepted. */
    rejects: z.array(Status).default([]),
    /** The service that a signature names, where it is not the one of the API's base URL. */
    signed_for: z.string().optional(),
    /** For vendors that answer 2xx to a token that is not accepted. */
    healthy_when: HealthyWhen.optional(),
    /**
     * Name of a captured value → path in the answer. They are put in place of what was captured at the connect: where the mode's
     * account rule then tells another account, or a value that no rule uses differs, the identity has changed.
     */
    identity: Captures.default({}),
    /** The `sub` of the ID token, for accounts that it tells. */
    subject: Path.optional(),
    /** The id of the account where none is stored: for people, and compared with nothing. */
    account: Path.optional(),
  })
  .refine(
    (one) => one.endpoint === undefined || (one.host === undefined && one.path === ''),
    'endpoint: instead of a host and a path',
  )
  .refine((one) => one.json === undefined || one.form === undefined, 'has either json or form')
  .refine((one) => one.method === 'POST' || (one.json === undefined && one.form === undefined), 'a GET has no body');
export type Whoami = z.infer<typeof Whoami>;

/** How lists go on. `from` is a path in the answer; where it has no value, the list has ended. */
export const Pagination = z.discriminatedUnion('style', [
  /** The answer has the URL of the next page, absolute or relative to the request. */
  z.strictObject({
    style: z.literal('next_url'),
    from: Path,
    /** Query parameters of that URL that hold a secret. They are removed before anyone sees it. */
    secret_params: z.array(z.string()).default([]),
  }),
  /** RFC 8288. */
  z.strictObject({ style: z.literal('link_header'), rel: z.string().default('next') }),
  /** The answer has a value for a parameter of the next request; `last_item`: a path in the last item of the list at `from`. */
  z.strictObject({
    style: z.literal('cursor'),
    in: z.enum(['query', 'body']).default('query'),
    param: z.string(),
    from: Path,
    last_item: Path.optional(),
    /** Ends where this is false, too. */
    more: Path.optional(),
  }),
  /** Pages by number. */
  z.strictObject({
    style: z.literal('page'),
    param: z.string(),
    first: z.int().min(0).default(1),
    size: z.string().optional(),
    more: Path.optional(),
    /** Ends where this is true. */
    last: Path.optional(),
    /** The header with the number of pages. */
    pages_header: Header.optional(),
  }),
  /** How many items to pass over. */
  z.strictObject({ style: z.literal('offset'), param: z.string(), size: z.string().optional() }),
  /** The next page is another call, whose path ends with `suffix` and whose JSON body has the cursor. */
  z.strictObject({
    style: z.literal('continue_call'),
    suffix: z.string(),
    param: z.string(),
    from: Path,
    more: Path.optional(),
  }),
  /** GraphQL cursor connections: `pageInfo` of the list has `hasNextPage` and `endCursor`. */
  z.strictObject({ style: z.literal('relay') }),
  /** By what callers themselves put into a request. */
  z.strictObject({ style: z.literal('by_caller'), note: z.string() }),
]);
export type Pagination = z.infer<typeof Pagination>;

/** Where a vendor takes a key that makes a repeated request safe. */
export const Idempotency = z
  .strictObject({ header: Header.optional(), body: z.string().optional(), query: z.string().optional() })
  .refine((one) => Object.values(one).filter((at) => at !== undefined).length === 1, 'one of header, body, query');

export const ProviderApi = z.strictObject({
  /** Hosts of the same system, by alias, that are called with the same token. Each is a base URL. */
  other_hosts: z.record(Alias, UrlTemplate).default({}),
  whoami: z.array(Whoami).default([]),
  pagination: Pagination.optional(),
  idempotency: Idempotency.optional(),
});
export type ProviderApi = z.infer<typeof ProviderApi>;

/**
 * Whose calls one limit counts: all of the integration, those of a connection, or those of all connections that have the same
 * value of this name, captured or a parameter (a tenant).
 */
const LimitScope = z.union([z.enum(['integration', 'connection']), z.strictObject({ captured: Name })]);
export type LimitScope = z.infer<typeof LimitScope>;

/** One name, or several. */
const Headers = z.array(Header).min(1);

/** A point in time (`epoch_s`, `epoch_ms`, `iso8601`) or a duration from now, with or without a fraction. */
const TimeUnit = z.enum(['epoch_s', 'epoch_ms', 'iso8601', 'seconds', 'ms']);

/** Where the answers' headers tell of the limit. */
const LimitHeaders = z.strictObject({
  /** `http`: seconds, with or without a fraction, or a date (RFC 9110 10.2.3). */
  retry_after: z
    .strictObject({ name: Header.default('Retry-After'), unit: z.enum(['http', 'iso8601']).default('http') })
    .optional(),
  /** The first that is there counts. */
  limit: Headers.optional(),
  /** The lowest of those that are there counts. */
  remaining: Headers.optional(),
  reset: z.strictObject({ name: Header, unit: TimeUnit }).optional(),
  /** How long the window is. */
  window: z.strictObject({ name: Header, unit: z.enum(['seconds', 'ms']) }).optional(),
});

/** Headers that tell how much is used, and not when it ends. */
const Usage = z.discriminatedUnion('format', [
  /** Text with `used/max` in it. After `prefix`, where there is one: `api-usage=18/5000`. */
  z.strictObject({ format: z.literal('used_of_max'), header: Header, prefix: z.string().default('') }),
  /** JSON in which these members, at any depth, are percentages of what is allowed. */
  z.strictObject({
    format: z.literal('percent_json'),
    header: Header,
    members: z.array(z.string()).min(1),
    /** A member that says how long to wait, where it is not 0. */
    wait: z.strictObject({ member: z.string(), unit: z.enum(['minutes', 'seconds']) }).optional(),
  }),
  /** Numbers in a list, one for each window, and in another header their limits. */
  z.strictObject({ format: z.literal('lists'), header: Header, limits: Header, windows: z.array(Seconds).min(1) }),
]);

/** A code of the answer: in a header, in its JSON (the first path with a value) or in an element of its XML. */
const Code = z.strictObject({
  header: Header.optional(),
  body: z.array(Path).min(1).optional(),
  xml: z.string().optional(),
  /** A namespace before `#`, and what follows a `:`, do not count. */
  in: z.array(z.union([z.string(), z.number()])).min(1),
});

/** Another answer that is a limit: its status is one of these, and everything else here holds. */
const LimitSignal = z
  .strictObject({
    status: Statuses,
    /** It says when to try again. */
    retry_after: z.literal(true).optional(),
    /** It says that nothing remains. */
    exhausted: z.literal(true).optional(),
    code: Code.optional(),
    /** Text in the body, in lower case; one of them is enough. */
    contains: z.array(z.string()).min(1).optional(),
  })
  .refine(
    ({ status: _, ...conditions }) => Object.values(conditions).some((one) => one !== undefined),
    'needs a condition besides the status',
  );
export type LimitSignal = z.infer<typeof LimitSignal>;

/** How long to wait, in the JSON of the answer. */
const BodyWait = z.union([
  /** `duration`: `3.5s`. */
  z.strictObject({ path: Path, unit: z.enum(['seconds', 'ms', 'duration']) }),
  /** Until `needed` points are there: so many are, and so many come each second. */
  z.strictObject({ needed: Path, available: Path, per_second: Path }),
]);

export const ProviderRateLimits = z.strictObject({
  scope: LimitScope,
  /** So many calls at once. */
  concurrency: z.int().positive().optional(),
  /** What the vendor documents for everyone. Its headers are the truth. */
  rate: z.strictObject({ requests: z.int().positive(), window: Seconds }).optional(),
  /** Statuses that are limits by themselves. */
  status: Statuses.default([429]),
  /** Also where the status is 2xx, 400 or 403. */
  signals: z.array(LimitSignal).default([]),
  headers: LimitHeaders.prefault({}),
  usage: z.array(Usage).default([]),
  body_wait: BodyWait.optional(),
  /** Windows begin at multiples of this, in UTC: the wait ends there. */
  aligned: Seconds.optional(),
  /** A header that says which limit it was, and what that one counts, where that is another scope. */
  reason: z.strictObject({ header: Header, scopes: z.record(z.string(), LimitScope).default({}) }).optional(),
  /** When nothing says how long to wait. */
  default_wait: Seconds.optional(),
  /** For people: the limits as the vendor documents them. */
  documented: z.array(z.string()).default([]),
});
export type ProviderRateLimits = z.infer<typeof ProviderRateLimits>;
