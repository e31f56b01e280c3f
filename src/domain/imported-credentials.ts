// Imported credentials, for modes without a browser: validated, stored, and turned into access tokens.

import { type AuthMode, credentialFieldsOf, type StaticMode } from './auth-modes.ts';
import type { InputIssue } from './errors.ts';
import { fieldIssues, fill, type Values } from './fields.ts';
import type { GrantSource } from './grant-source.ts';
import { isObject, parseJson } from './json.ts';

/** Validates credentials, and returns the values for templates: members of JSON documents become values of their own. */
export function readCredentials(auth: AuthMode, given: Values): { values: Values } | { issues: InputIssue[] } {
  const fields = credentialFieldsOf(auth);
  const issues = fieldIssues('credentials', fields, given);
  const values: Values = {};
  for (const [name, text] of Object.entries(given)) {
    const field = fields[name];
    if (!field || issues.some(({ path }) => path === `credentials.${name}`)) continue;
    const report = (message: string) => issues.push({ path: `credentials.${name}`, message });
    if (field.format === 'pem' && !/^-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----\s/.test(text.trim())) {
      report(`${field.title} must be a private key in PEM form: -----BEGIN PRIVATE KEY----- …`);
    } else if (field.format === 'json') {
      const members = readMembers(text, field.members);
      if (typeof members === 'string') report(`${field.title}: ${members}`);
      else Object.assign(values, members);
    } else values[name] = text;
  }
  return issues.length > 0 ? { issues } : { values };
}

/** The members, or an issue in words, which never contains the secret text. */
function readMembers(text: string, names: readonly string[]): Values | string {
  const members = parseJson(text);
  if (members === undefined) return 'not valid JSON';
  if (!isObject(members)) return 'not a JSON object';
  const absent = names.filter((name) => typeof members[name] !== 'string' || members[name] === '');
  if (absent.length > 0) return `lacks ${absent.join(', ')}`;
  return Object.fromEntries(names.map((name) => [name, members[name] as string]));
}

/** Stored beside the credentials; no field can have these names. */
const DPOP_KEY = 'dpop:key';
const SCOPES = 'asked:scopes';
const SOURCE = 'grant:source';

/**
 * Parses a connection's decrypted credentials: the imported values, its DPoP key (RFC 9449), its scopes, and where its grant
 * comes from.
 */
export function parseStoredCredentials(json: string | null): {
  imported: Values;
  dpopKey: string | undefined;
  scopes: string[] | undefined;
  source: GrantSource | undefined;
} {
  const { [DPOP_KEY]: dpopKey, [SCOPES]: scopes, [SOURCE]: source, ...imported } = JSON.parse(json ?? '{}') as Values;
  return { imported: imported, dpopKey, scopes: scopes?.split(' '), source: readSource(source) };
}

/** Encrypted by a broker: it is what was stored. */
const readSource = (json: string | undefined): GrantSource | undefined =>
  json === undefined ? undefined : (JSON.parse(json) as GrantSource);

/** Adds where the grant comes from; undefined changes nothing. */
export const withSource = (json: string | null, source: GrantSource | undefined): string | null =>
  source === undefined ? json : JSON.stringify({ ...JSON.parse(json ?? '{}'), [SOURCE]: JSON.stringify(source) });

/** Adds a DPoP key (PKCS #8, PEM); undefined changes nothing. */
export const withDpopKey = (json: string | null, dpopKey: string | undefined): string | null =>
  dpopKey === undefined ? json : JSON.stringify({ ...JSON.parse(json ?? '{}'), [DPOP_KEY]: dpopKey });

/** Serializes imported credentials for the store, with the connection's scopes where they differ from the integration's. */
export const serializeCredentials = (imported: Values, scopes: string[] | undefined): string =>
  JSON.stringify({ ...imported, ...(scopes && { [SCOPES]: scopes.join(' ') }) });

/** The access token of a static mode. Expects values from `readCredentials`. */
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
