// What an import brings for modes without a browser: checked, and made into what is served.

import { type AuthMode, credentialsOf, type StaticMode } from './auth-modes.ts';
import type { InputIssue } from './errors.ts';
import { fieldIssues, fill, type Values } from './fields.ts';

/** The credentials as templates know them: members of JSON documents by their own names. Or what is wrong with them. */
export function readCredentials(auth: AuthMode, given: Values): { values: Values } | { issues: InputIssue[] } {
  const fields = credentialsOf(auth);
  const issues = fieldIssues('credentials', fields, given);
  const values: Values = {};
  for (const [name, text] of Object.entries(given)) {
    const field = fields[name];
    if (!field || issues.some(({ path }) => path === `credentials.${name}`)) continue;
    const wrong = (message: string) => issues.push({ path: `credentials.${name}`, message });
    if (field.format === 'pem' && !/^-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----\s/.test(text.trim())) {
      wrong(`${field.title} must be a private key in PEM form: -----BEGIN PRIVATE KEY----- …`);
    } else if (field.format === 'json') {
      const members = membersOf(text, field.members);
      if (typeof members === 'string') wrong(`${field.title}: ${members}`);
      else Object.assign(values, members);
    } else values[name] = text;
  }
  return issues.length > 0 ? { issues } : { values };
}

/** In words, without the text itself, which is secret. */
function membersOf(text: string, names: readonly string[]): Values | string {
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch {
    return 'not valid JSON';
  }
  if (typeof document !== 'object' || document === null || Array.isArray(document)) return 'not a JSON object';
  const members = document as Record<string, unknown>;
  const absent = names.filter((name) => typeof members[name] !== 'string' || members[name] === '');
  if (absent.length > 0) return `lacks ${absent.join(', ')}`;
  return Object.fromEntries(names.map((name) => [name, members[name] as string]));
}

/** Beside what was brought; no field of a mode has such names. */
const DPOP_KEY = 'dpop:key';
const SCOPES = 'asked:scopes';

/** What lies sealed with a connection: what its import brought, and the key that its tokens are bound to (RFC 9449). */
export function openCredentials(json: string | null): {
  brought: Values;
  dpopKey: string | undefined;
  scopes: string[] | undefined;
} {
  const { [DPOP_KEY]: dpopKey, [SCOPES]: scopes, ...brought } = JSON.parse(json ?? '{}') as Values;
  return { brought, dpopKey, scopes: scopes?.split(' ') };
}

/** The same with this key (PKCS #8, PEM); undefined: as it was. */
export const withDpopKey = (json: string | null, dpopKey: string | undefined): string | null =>
  dpopKey === undefined ? json : JSON.stringify({ ...JSON.parse(json ?? '{}'), [DPOP_KEY]: dpopKey });

/** What an import brings, to make tokens of: with the scopes to ask for, where they are not the integration's. */
export const packCredentials = (brought: Values, scopes: string[] | undefined): string =>
  JSON.stringify({ ...brought, ...(scopes && { [SCOPES]: scopes.join(' ') }) });

/** What is served for as long as the connection lives. Expects credentials that were read. */
export function staticToken(auth: StaticMode, credentials: Values, params: Values): string {
  const filled = (template: string) => fill(template, { ...params, ...credentials }) ?? '';
  switch (auth.mode) {
    case 'api_key':
      return filled(auth.value);
    case 'basic':
      return Buffer.from(`${filled(auth.username)}:${filled(auth.password)}`).toString('base64');
    case 'aws_sigv4':
      return awsCredentials({
        AccessKeyId: credentials.access_key_id ?? '',
        SecretAccessKey: credentials.secret_access_key ?? '',
        ...(credentials.session_token !== undefined && { SessionToken: credentials.session_token }),
      });
  }
}

/** In the form that AWS's own tools read (`credential_process`). */
export const awsCredentials = (keys: {
  AccessKeyId: string;
  SecretAccessKey: string;
  SessionToken?: string;
  /** RFC 3339. */
  Expiration?: string;
}): string => JSON.stringify({ Version: 1, ...keys });
