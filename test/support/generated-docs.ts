// Pages that are generated: the settings, the audit actions, the errors, and the JSON Schema of the declarative file.
import { AUDIT_ACTIONS, type AuditAction } from '../../src/domain/audit-actions.ts';
import { CODES, type Code, rowOf } from '../../src/http/errors/problem-table.ts';
import { SETTING_NAMES, type SettingName, settingOf } from '../../src/runtime/settings.ts';

const cell = (text: string) => text.replaceAll('|', '\\|').replaceAll('\n', ' ');
const code = (text: string) => `\`${text}\``;
const table = (head: string[], rows: string[][]) =>
  [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.map(cell).join(' | ')} |`).join('\n');

/** `docs/configuration.md`. */
export function configurationPage(): string {
  const defaultCell = (name: SettingName) => {
    const { default: text, without } = settingOf(name);
    return text ? code(text) : without;
  };
  const rows = SETTING_NAMES.map((name) => {
    const { description, secret } = settingOf(name);
    return [code(name), defaultCell(name), `${description}${secret ? ' **Secret.**' : ''}`];
  });
  return `# Configuration

Generated from \`src/runtime/settings.ts\` by \`npm run generate\`.

The broker is configured by environment variables. \`npm start\` also reads a file \`.env\` in the current folder, if there is one: [.env.example](../.env.example) is a template. A variable that is set in the environment takes precedence over the file.

An empty variable counts as not set. All faults are reported at once, by name, and the process exits with code 78. A name that begins with \`VALETKEY_\` and is not in this table is reported as a warning and ignored.

${table(['variable', 'default', 'meaning'], rows)}

A variable marked **Secret** must not be logged or committed. Instead of it, \`NAME_FILE\` may name a file that holds its value (\`VALETKEY_KEYS_FILE=/run/secrets/keys\`); line breaks at the end of the file do not count, and setting both is a fault. The command line has its own variables, \`VALETKEY_URL\` and \`VALETKEY_KEY\` (or \`VALETKEY_KEY_FILE\`): [cli.md](cli.md).
`;
}

/** `.env.example`. */
export function dotEnvExample(): string {
  const plain = (markdown: string) => markdown.replace(/\[([^\]]+\.md)\]\([^)]*\)/g, 'docs/$1').replaceAll('`', '');
  const entries = SETTING_NAMES.map((name) => {
    const { default: text, without, description, example } = settingOf(name);
    const otherwise = text || without === '' ? '' : ` Default: ${without}.`;
    const line = text ? `${name}=${text}` : `# ${name}=${example ?? ''}`;
    return `${comment(plain(description + otherwise))}\n${line}\n`;
  });
  const head =
    'Generated from src/runtime/settings.ts by `npm run generate`. Copy it to .env, which `npm start` reads; variables of the environment take precedence. Each line shows the default, or an example (commented out) where there is none. An empty variable counts as not set.';
  return [`${comment(head)}\n`, ...entries].join('\n');
}

/** Lines of at most 118 characters, each behind a `#`. */
const comment = (text: string): string =>
  (text.match(/\S.{0,114}\S(?=\s|$)|\S+/g) ?? []).map((line) => `# ${line}`).join('\n');

/** `docs/audit-actions.md`. */
export function auditActionsPage(): string {
  const rows = (Object.keys(AUDIT_ACTIONS) as AuditAction[])
    .sort()
    .map((action) => [code(action), AUDIT_ACTIONS[action].subject, AUDIT_ACTIONS[action].description]);
  return `# Audit actions

Generated from \`src/domain/audit-actions.ts\` by \`npm run generate\`.

Each entry of the audit log has an \`action\` of this table, an \`outcome\` (\`ok\`, \`denied\` or \`failed\`), and who did it: a caller's id, \`browser\` for an owner in the connect flow, or \`system\` for the broker itself. Equal reads and refusals of one caller within a second are one entry with a \`count\`. No entry holds a secret. Read the log with \`GET /v1/audit\` or \`valetkey audit --action token.read --since 1d\`.

${table(['action', 'about', 'meaning'], rows)}
`;
}

/** What the reader of an error should do. The type makes every code have its line. */
const ADVICE: Record<Code, string> = {
  invalid_request: 'Correct the request. `issues` lists everything that is wrong.',
  unauthenticated: 'Send a valid key or workload token; `reason` says what is wrong: [callers.md](callers.md).',
  forbidden: 'Ask an admin for the permission in `missing`, or use another caller.',
  not_found: 'Check the id. For a token read: the owner has not connected yet; create a connect session.',
  ambiguous_connection: 'Name one of the `candidates`, by `label` or by id.',
  connection_exists: 'Use another label, revoke the connection, or renew it with a connect session.',
  identity_mismatch: 'Use the account that is connected, or another label, or revoke the connection first.',
  invalid_finish_code: 'Send the `finish_code` that came to the `return_url`, unchanged.',
  invalid_code_verifier:
    'Send the `code_verifier` of the `code_challenge` that the session was created with; none if it had none.',
  owner_mismatch:
    'Someone else opened the link: tell the user who is signed in, and create a session for them. Never send the owner of the session instead.',
  check_unsupported:
    'Use the connection: its API says whether the token works. Or add `api.whoami` to the [catalogue entry](providers.md#calls-of-the-api).',
  not_ready: 'Finish the session when the browser comes to the `return_url`.',
  session_expired: 'Create a new connect session, and send the user to its URL.',
  reauthorization_required:
    'Create a connect session with this `connection_id` and send the owner to its URL. Do not retry before.',
  step_up_exhausted:
    'Wait for `Retry-After`, and look at what the API asks for: the owner has consented three times within an hour, and it still wants more.',
  connection_on_hold:
    'Tell the owner that the provider has suspended the account. Nothing else is to be done: the connection works again when the provider enables the account.',
  integration_in_use: 'Revoke the connections of the integration first; pending revocations finish by themselves.',
  connection_revoked: 'Create a new connection with a connect session.',
  payload_too_large: 'Send a smaller body.',
  unsupported_media_type: 'Send JSON with `Content-Type: application/json`.',
  too_many_requests: 'Fix the key that fails, and wait for `Retry-After`. Requests with a valid key still pass.',
  rate_limited: 'Wait for `Retry-After`, or ask an admin for a higher `rate_limit`.',
  invalid_path:
    'Send the path that is meant, below the base URL of the API, without `.` and `..`. Encode a slash within a name as `%2F`.',
  upstream_rate_limited:
    'Wait for `Retry-After`, or send `Valetkey-Max-Wait` with the seconds that the broker may wait. It is the limit of the API, and not that of the caller.',
  upstream_unavailable:
    'Retry after `Retry-After`. The API cannot be reached, or it fails; the connection is not to blame.',
  upstream_timeout:
    'Look whether the request had its effect before you send it again: the API may have received it. `Valetkey-Retry` has the broker repeat what is safe to repeat.',
  upgrade_not_supported: 'Read the token with `GET /v1/connections/{id}/token`, and open the WebSocket yourself.',
  not_authentic:
    'Operators: [a row was refused](operations.md#a-row-was-refused). The connection works again once its owner has connected again.',
  internal: 'Report it with the `request_id`: it is a defect, and the log has the stack under that id.',
  integration_misconfigured:
    'An admin corrects the integration (usually its client secret). The connections stay, and the next read succeeds.',
  provider_unavailable: 'Retry after `Retry-After`. Nothing is lost.',
  store_unavailable:
    'Retry after `Retry-After`. Operators: [ValetkeyStoreUnavailable](operations.md#valetkeystoreunavailable).',
};

interface OAuthResponse {
  content?: {
    'application/json'?: { examples?: Record<string, { value: { error?: string; error_description?: string } }> };
  };
}

export interface Described {
  components: { schemas: Record<string, object> };
  paths: Record<string, Record<string, Operation>>;
}

interface Operation {
  requestBody?: { content: { 'application/json'?: { schema: { $ref?: string } } } };
  responses?: Record<string, OAuthResponse>;
}

/** `docs/errors.md`: problems from their table, OAuth errors from the description as it is served. */
export function errorsPage({ paths }: Described): string {
  const problems = CODES.map((name) => {
    const { status, title, members = {}, optional = [], headers = [] } = rowOf(name);
    const described = Object.entries(members).map(
      ([member, schema]) => `${code(member)}${optional.includes(member) ? ' (optional)' : ''}: ${schema.description}`,
    );
    const sent = headers.map((header) => `header ${code(header)}`);
    return [code(name), String(status), title, [...described, ...sent].join('<br>'), ADVICE[name]];
  });
  return `# Errors

Generated from \`src/http/errors/\` by \`npm run generate\`.

## Problems

The API answers errors as \`application/problem+json\` (RFC 9457) with \`type\`, \`title\`, \`status\`, \`detail\`, \`code\` and \`request_id\`, and the members below. \`code\` is stable; texts are for people and may change. No error repeats a secret.

${table(['code', 'status', 'title', 'members and headers', 'what to do'], problems)}

## OAuth errors

\`POST /oauth2/token\` and \`POST /oauth2/introspect\` answer in the form of RFC 6749, section 5.2: \`error\`, \`error_description\` and \`request_id\`. [oauth.md](oauth.md) says what each means for a token exchange.

${table(['error', 'status', 'for example', 'endpoints'], oauthRows(paths))}
`;
}

function oauthRows(paths: Described['paths']): string[][] {
  const cases = new Map<string, { row: string[]; endpoints: Set<string> }>();
  for (const path of ['/oauth2/token', '/oauth2/introspect'])
    for (const [status, response] of Object.entries(paths[path]?.post?.responses ?? {}))
      for (const { value } of Object.values(response.content?.['application/json']?.examples ?? {})) {
        const { error, error_description: text = '' } = value;
        if (error === undefined || status === 'default') continue;
        const key = `${error} ${status} ${text}`;
        const known = cases.get(key) ?? { row: [code(error), status, text], endpoints: new Set<string>() };
        cases.set(key, { ...known, endpoints: known.endpoints.add(code(path)) });
      }
  return [...cases.values()]
    .map(({ row, endpoints }) => [...row, [...endpoints].join('<br>')])
    .sort((a, b) => (a.join() < b.join() ? -1 : 1));
}

const ENV_REFERENCE = {
  type: 'string',
  pattern: '\\$\\{[A-Za-z_][A-Za-z0-9_]*\\}',
  description: 'Text from the environment',
};

/**
 * `docs/valetkey-config.schema.json`: the body of `POST /v1/apply` without what belongs to the request. Editors check the
 * file as it is written, so every text may also be, or hold, a name of the environment.
 */
export function declaredSchema({ components: { schemas }, paths }: Described): string {
  const body = paths['/v1/apply']?.post?.requestBody?.content['application/json']?.schema.$ref?.split('/').at(-1) ?? '';
  const used = new Map<string, unknown>();
  const rewritten = (schema: unknown): unknown => {
    if (Array.isArray(schema)) return schema.map(rewritten);
    if (typeof schema !== 'object' || schema === null) return schema;
    const { $ref, ...rest } = schema as Record<string, unknown>;
    if (typeof $ref === 'string') {
      const name = $ref.split('/').at(-1)!;
      if (!used.has(name)) {
        used.set(name, undefined);
        used.set(name, rewritten(schemas[name]));
      }
      return { $ref: `#/$defs/${name}` };
    }
    const inner = Object.fromEntries(Object.entries(rest).map(([key, value]) => [key, rewritten(value)]));
    const constrained = ['minLength', 'maxLength', 'pattern', 'format', 'enum'].some((key) => key in rest);
    if (!constrained || ![rest.type].flat().includes('string')) return inner;
    const { description, ...strict } = inner;
    return { ...(description !== undefined && { description }), anyOf: [strict, { $ref: '#/$defs/EnvReference' }] };
  };
  const {
    properties,
    examples: _,
    ...shape
  } = schemas[body] as {
    properties: Record<string, object>;
    examples?: unknown;
  };
  const { dry_run: __, delete: ___, ...members } = properties;
  const schema = {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: 'Valetkey declarative file (VALETKEY_CONFIG)',
    ...shape,
    description: `See docs/declarative-file.md. A text may hold names of environment variables, as in \${NAME}.`,
    properties: rewritten(members),
    $defs: {},
  };
  schema.$defs = { EnvReference: ENV_REFERENCE, ...Object.fromEntries([...used].sort()) };
  return `${JSON.stringify(schema, null, 2)}\n`;
}
