// Webhook dialects: what a vendor's webhooks look like, as data of a catalogue entry. Durations are whole seconds. Templates
// and expressions (`{header:X-Timestamp}.{body}`): src/domain/webhook-template.ts.
import * as z from 'zod';
import { Name } from './fields-schema.ts';
import { Encoding, Hash } from './webhook-scheme.ts';
import { parseExpression, parseTemplate } from './webhook-template.ts';

const issueOf = (parsed: object): string | undefined => ('issue' in parsed ? String(parsed.issue) : undefined);

/** Text with `{expressions}`. */
const Template = z.string().superRefine((text, context) => {
  const issue = issueOf(parseTemplate(text));
  if (issue !== undefined) context.addIssue(issue);
});
/** One expression without braces: `header:X-Signature`, `item:data.id`. */
const Expression = z.string().superRefine((text, context) => {
  const issue = issueOf(parseExpression(text));
  if (issue !== undefined) context.addIssue(issue);
});
/** One, or several. A union of checked texts would hide what is wrong with one. */
const oneOrMore = (parse: (text: string) => object) =>
  z.union([z.string(), z.array(z.string()).min(1)]).superRefine((texts, context) => {
    for (const issue of [texts].flat().map((text) => issueOf(parse(text))))
      if (issue !== undefined) context.addIssue(issue);
  });
/** The first that has a value counts. */
const FirstOf = z.array(Template).min(1);
const Pattern = z.string().refine((pattern) => {
  try {
    return new RegExp(pattern, 'u') !== null;
  } catch {
    return false;
  }
}, 'not a regular expression');

/**
 * Expressions and what each must be: a template, one of several, present or absent (`true`, `false`), other than (`not`), or
 * matching as a whole. Text is compared in constant time where it is a secret.
 */
const Conditions = z.record(
  Expression,
  z
    .union([
      z.boolean(),
      z.string(),
      z.array(z.string()).min(1),
      z.strictObject({ not: z.array(z.string()).min(1) }),
      z.strictObject({ matches: Pattern }),
    ])
    .superRefine((expected, context) => {
      const texts = typeof expected === 'object' && 'not' in expected ? expected.not : expected;
      const templates = typeof texts === 'string' ? [texts] : Array.isArray(texts) ? texts : [];
      for (const issue of templates.map((text) => issueOf(parseTemplate(text))))
        if (issue !== undefined) context.addIssue(issue);
    }),
);
export type WebhookConditions = z.infer<typeof Conditions>;

/** Where signatures are, as text. A name that ends with `#` stands for `…1`, `…2` and so on, until one is missing. */
const Signature = z.strictObject({
  in: oneOrMore(parseExpression),
  encoding: Encoding.default('hex'),
  /** Text before the signature. Without it, it is no signature. */
  prefix: z.string().default(''),
  /** The header is a list of `name=value`, where this name may occur several times: any may match. */
  field: z.string().optional(),
  separator: z.string().default(','),
});
export type WebhookSignature = z.infer<typeof Signature>;

/** Of the signature. Refused where it is further away than the tolerance, before or after. */
const Timestamp = z.strictObject({
  at: Expression,
  unit: z.enum(['s', 'ms', 'iso', 'http_date']).default('s'),
  tolerance: z.int().positive().default(300),
});
export type WebhookTimestamp = z.infer<typeof Timestamp>;

const KeyFields = {
  /** What the vendor calls it, and where an admin finds or sets it. */
  what: z.string(),
  where: z.string().optional(),
};
/** What signatures are made with. */
const Key = z.strictObject({
  ...KeyFields,
  /** Configured secrets, or the integration's client secret and the configured ones (older ones, while it is rotated). */
  from: z.enum(['secrets', 'client_secret']).default('secrets'),
  /** How the text becomes bytes. */
  encoding: z.enum(['utf8', 'hex', 'base64']).default('utf8'),
});
export type WebhookKey = z.infer<typeof Key>;

/** `signed` is the text that is signed; any of several. */
const Signed = oneOrMore(parseTemplate);
const signing = {
  signature: Signature,
  signed: Signed,
  /** The text is signed where a value is missing, too, as if it were empty. */
  empty: z.boolean().default(false),
  key: Key,
  timestamp: Timestamp.optional(),
  /** Each event of a batch has a signature of its own. All must match. */
  each: z.boolean().default(false),
  /** What must be so besides. */
  require: Conditions.default({}),
};

/** Where the certificate is. Its URL is https, its host (with the port, unless it is 443) matches as a whole, and its chain ends at a public root. */
const Certificate = z.strictObject({
  url: Expression,
  hosts: Pattern,
  /** One of these is the common name of its subject, or a DNS name of it. */
  names: z.array(z.string()).min(1),
});

const Verify = z.discriminatedUnion('scheme', [
  z.strictObject({ scheme: z.literal('hmac'), hash: Hash.default('sha256'), ...signing }),
  /** Signatures are DER (RFC 3279 2.2.3); keys are SPKI, in base64 or PEM. */
  z.strictObject({ scheme: z.literal('ecdsa'), hash: Hash.default('sha256'), ...signing }),
  /** Keys are 32 bytes. */
  z.strictObject({ scheme: z.literal('ed25519'), ...signing }),
  /** RSASSA-PKCS1-v1_5. The certificate says who signed; the secret, which webhook it is. */
  z.strictObject({ scheme: z.literal('rsa_x509'), hash: Hash.default('sha256'), ...signing, certificate: Certificate }),
  /** Amazon SNS, signature versions 1 and 2. The configured secrets are the topics that count. */
  z.strictObject({
    scheme: z.literal('sns'),
    key: Key.omit({ from: true, encoding: true }),
    /** Where the certificate may be, as a pattern of the whole host: that alone says who signed. */
    hosts: Pattern,
    tolerance: z.int().positive().default(300),
  }),
  /** Standard Webhooks 1.0.0: keys that begin with `whpk_` verify `v1a`, all others `v1`. */
  z.strictObject({
    scheme: z.literal('standard_webhooks'),
    key: Key.omit({ from: true, encoding: true }),
    prefixes: z.array(z.string()).default(['webhook-', 'svix-']),
  }),
  z.strictObject({
    scheme: z.literal('jwt'),
    algorithms: z.array(z.enum(['HS256', 'RS256', 'ES256'])).min(1),
    token: z.strictObject({ in: Expression, prefix: z.string().default('') }),
    /** For `HS256`. With `jwks`, the secrets are what `require` compares with. */
    key: Key.optional(),
    /** Where its keys are published. */
    jwks: z.url().optional(),
    /** `exp` must be there. */
    expires: z.boolean().default(true),
    timestamp: Timestamp.optional(),
    /** What must be so: `claim:iss`, … */
    require: Conditions.default({}),
  }),
  /** A security event token or logout token: received at `/signals` or `/logout`. */
  z.strictObject({
    scheme: z.literal('set'),
    /** The `iss` of its tokens, to the letter, where it is not the issuer of the integration. */
    issuer: z.string().optional(),
    /** Where its keys are; otherwise its metadata say. */
    jwks_uri: z.url().optional(),
    /** False: a release before SSF 1.0, whose tokens have no `typ` and may have several events. */
    typed: z.boolean().default(true),
    /** How ID tokens spell the issuer that its subjects name. */
    subject_issuer: z.string().optional(),
    /** Its tokens name refresh tokens by their beginning or their hash: keyed digests of both are kept. */
    names_tokens: z.boolean().default(false),
    key: z.strictObject(KeyFields).optional(),
  }),
  /** `base64url(hmac).base64url(json)`; its JSON is the event. */
  z.strictObject({ scheme: z.literal('signed_request'), in: Expression, key: Key }),
  /** The hash of a text with the key in it (`{secret}`). Only for JSON: any such text can be lengthened by others. */
  z.strictObject({ scheme: z.literal('sha256_concat'), ...signing }),
  /** HMAC of the parameters, by the hash that fits the signature's length. */
  z.strictObject({ scheme: z.literal('params_signature'), ...signing }),
  /** A text that only the sender knows. */
  z.strictObject({
    scheme: z.enum(['shared_token', 'body_token']),
    in: Expression,
    prefix: z.string().default(''),
    key: Key,
    each: z.boolean().default(false),
    require: Conditions.default({}),
  }),
  /** RFC 7617. Secrets are `user:password`; `client` also takes the client id and secret. */
  z.strictObject({
    scheme: z.literal('basic'),
    key: Key.omit({ from: true, encoding: true }),
    client: z.boolean().default(false),
  }),
  /** Nothing: only at a URL with a hook. */
  z.strictObject({
    scheme: z.literal('none'),
    /** Secrets may be configured, for a handshake. Otherwise they mean that senders do authenticate. */
    beside_secrets: z.boolean().default(false),
    require: Conditions.default({}),
  }),
]);
export type WebhookVerify = z.infer<typeof Verify>;
type Scheme = WebhookVerify['scheme'];
export type VerifyOf<S extends Scheme> = Extract<WebhookVerify, { scheme: S }>;

const Answer = z.strictObject({
  status: z.int().min(200).max(299).default(200),
  headers: z.record(z.string(), Template).default({}),
  /** Plain text, unless a header says otherwise. */
  text: Template.optional(),
  /** Members of a JSON object. */
  json: z.record(z.string(), Template).optional(),
});
export type WebhookAnswerData = z.infer<typeof Answer>;

/** The first whose conditions hold is answered, and no event. */
const Handshake = z.strictObject({
  when: Conditions,
  /** False: before anything is verified, since the vendor does not sign it. */
  signed: z.boolean().default(false),
  answer: Answer.prefault({}),
  /** The key that it brings. It is taken only while an admin waits for it. */
  learns: Expression.optional(),
  /** A URL that is requested to confirm it, at a host that matches as a whole. */
  confirms: z.strictObject({ url: Expression, hosts: Pattern }).optional(),
});
export type WebhookHandshake = z.infer<typeof Handshake>;

/**
 * `match`: a value by which connections are found: `captured.<name>`, `params.<name>` (of a connection) or `account.id`. The
 * first whose value belongs to a connection counts; a value with `[]` in its path stands for each.
 */
const Locator = z.strictObject({
  match: z
    .string()
    .regex(/^(captured\.[a-z][a-z0-9_]*|params\.[a-z][a-z0-9_]*|account\.id)$/, 'captured.…, params.… or account.id'),
  value: Template,
  /** Connections that have this value count for nothing: the event is about something else of the same whole. */
  without: z
    .string()
    .regex(/^captured\.[a-z][a-z0-9_]*$/, 'captured.…')
    .optional(),
});
export type WebhookLocator = z.infer<typeof Locator>;

const Event = z.strictObject({
  /** Paths of lists whose members are the events: `value[]`, `entry[].changes[]`, `[]` (the body is the list). With xml: a local name. */
  batch: z.array(z.string()).default([]),
  /** What it is deduplicated by. */
  id: FirstOf.optional(),
  /** Without an id: by the digest of these. Without both, by the digest of its bytes. */
  digest: z.array(Template).min(1).optional(),
  /** Without an id, it may be the same as an earlier one and mean something new: nothing is a duplicate. */
  repeats: z.boolean().default(false),
  type: FirstOf.optional(),
});

const Deauthorization = z.strictObject({
  /** Conditions on the event. */
  when: Conditions,
  /** Instead of `connection`. */
  connection: z.array(Locator).min(1).optional(),
  /** For people: what ends. */
  note: z.string().optional(),
});

/** The vendor has suspended the account: its connections are on hold. */
const Hold = z.strictObject({
  /** Conditions on the event. */
  when: Conditions,
  /** True: the account is enabled again, which ends the hold. */
  lifts: z.boolean().default(false),
  /** Instead of `connection`. */
  connection: z.array(Locator).min(1).optional(),
  /** For people: what is suspended. */
  note: z.string().optional(),
});

/** For people: what an admin does at the vendor. */
const Setup = z.strictObject({
  /** Where the URL is entered. */
  url: z.string(),
  /** Types of events to subscribe to, so that ended grants are heard of. */
  events: z.array(z.string()).default([]),
  notes: z.array(z.string()).default([]),
});

const Endpoint = z.strictObject({
  /** What sends to it. */
  title: z.string(),
  /** Where it is received. */
  receiver: z.enum(['webhooks', 'signals', 'logout']).default('webhooks'),
  /** The integration's `webhook.scheme` selects it; the first that has one is the default. */
  option: z.enum(['standard_webhooks', 'hmac', 'shared_token']).optional(),
  /** Which requests are for it, by what is known before the body is read. The first endpoint that fits counts. */
  when: Conditions.default({}),
  methods: z
    .array(z.enum(['POST', 'PUT', 'PATCH', 'DELETE', 'GET']))
    .min(1)
    .default(['POST']),
  /** How the body is read once it is verified; `auto`: by its content type. Of a form, this field may be its JSON. */
  format: z.enum(['auto', 'json', 'form', 'xml']).default('auto'),
  json_field: z.string().optional(),
  verify: Verify,
  /** False: what is verified does not say who sent the body, so that nothing ends for it. */
  authenticates: z.boolean().default(true),
  /** The body names no account: each connection should have a URL of its own. */
  names_account: z.boolean().default(true),
  handshake: z.array(Handshake).default([]),
  event: Event.prefault({}),
  connection: z.array(Locator).default([]),
  deauthorization: z.array(Deauthorization).default([]),
  /** Of what is no deauthorization. */
  hold: z.array(Hold).default([]),
  acknowledgement: Answer.prefault({}),
  /** Bytes; a mebibyte by default. */
  max_body: z.int().positive().max(26_214_400).default(1_048_576),
  /** For people: when the subscription ends. */
  expiry: z.string().optional(),
  setup: Setup,
});
export type WebhookEndpointDialect = z.infer<typeof Endpoint>;

/** By name, in the order in which they are tried. */
export const ProviderWebhooks = z.record(Name, Endpoint);
export type ProviderWebhooks = z.infer<typeof ProviderWebhooks>;
