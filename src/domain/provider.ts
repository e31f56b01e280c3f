// A catalogue entry: one third-party system as data.
import { z } from 'zod';
import { AuthMode, nameOf } from './auth-modes.ts';
import { Params, Template, UrlTemplate } from './fields.ts';

const Slug = z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/, 'lower-case letters, digits and dashes, at most 63');

export const CATEGORIES = [
  'accounting',
  'analytics',
  'calendar',
  'chat',
  'cloud',
  'commerce',
  'crm',
  'data',
  'design',
  'dev',
  'documents',
  'email',
  'files',
  'fitness',
  'forms',
  'generic',
  'hr',
  'identity',
  'maps',
  'media',
  'meetings',
  'payments',
  'productivity',
  'project',
  'push',
  'social',
  'support',
  'telephony',
] as const;

/** How the system tells that a grant was withdrawn. Nothing acts on it yet. */
const Deauthorization = z.strictObject({
  events: z.array(z.string()).min(1),
  /** How the message is signed. */
  scheme: z.string(),
  header: z.string().optional(),
  signed: z.string().optional(),
  algorithm: z.string().optional(),
  key: z.string().optional(),
  /** Where in the message the connection is named. */
  locator: z.string().optional(),
});

export const Provider = z.strictObject({
  $schema: z.string().optional(),
  id: Slug,
  name: z.string(),
  category: z.enum(CATEGORIES),
  docs_url: z.url(),
  /** `verified` against the live system, `documented` by the vendor, or `unverified`. */
  confidence: z.enum(['verified', 'documented', 'unverified']),
  /** What in here is not certain. */
  uncertain: z.array(z.string()).default([]),
  /** Takes over that entry, with this one laid over it: records are merged, `auth` by mode and variant. */
  extends: Slug.optional(),
  /** What whoever sets it up should know. */
  notes: z.array(z.string()).default([]),
  /** What an integration must give, in every mode. */
  params: Params.default({}),
  /** What each connection must give, in every mode. */
  connection_params: Params.default({}),
  /** The first is used unless the integration's `params.mode` names another. */
  auth: z.array(AuthMode).min(1),
  api_base_url: UrlTemplate.optional(),
  /** What every request to the API needs besides the token. */
  api_headers: z.record(z.string(), Template).default({}),
  deauthorization: Deauthorization.optional(),
});
export type Provider = z.infer<typeof Provider>;

/** The entry that `params.mode` names, by its variant or by its mode; the first when it names none. */
export const authMode = ({ auth }: Provider, params: Record<string, string>): AuthMode | undefined =>
  params.mode === undefined
    ? auth[0]
    : (auth.find((a) => nameOf(a) === params.mode) ?? auth.find((a) => a.mode === params.mode));

/** What an integration in this mode must give: `mode` itself too, where there are several. */
export function integrationFields(provider: Provider, auth: AuthMode | undefined): Params {
  const own = { ...provider.params, ...auth?.params };
  if (provider.auth.length < 2) return own;
  const names = [...new Set(provider.auth.flatMap((a) => [nameOf(a), a.mode]))];
  const options = Object.fromEntries(names.map((name) => [name, name]));
  return { ...own, mode: { title: 'mode', options, default: nameOf(provider.auth[0]!), optional: false } };
}

/** Where the API of this mode is, and what its requests need besides the token. */
export const apiOf = (
  provider: Provider,
  auth: AuthMode,
): { base: string | undefined; headers: Record<string, string> } => ({
  base: auth.api_base_url ?? provider.api_base_url,
  headers: { ...provider.api_headers, ...auth.api_headers },
});

/** What a connection in this mode must give. */
export const connectionFields = (provider: Provider, auth: AuthMode): Params => ({
  ...provider.connection_params,
  ...auth.connection_params,
});
