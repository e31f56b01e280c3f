// The settings of an integration, from the fields of its form to the request of the API, and from what is stored to the fields.
import type { z } from '@hono/zod-openapi';
import { IntegrationPut, Slug } from '../../../../api/index.ts';
import type { WebhookView } from '../../../../broker/webhooks/index.ts';
import { type AuthMode, modeName } from '../../../../domain/auth-modes.ts';
import { clientNeeds } from '../../../../domain/client-needs.ts';
import { asMeant, fieldIssues } from '../../../../domain/fields.ts';
import type { Integration } from '../../../../domain/integration.ts';
import { authMode, integrationFields, type Provider } from '../../../../domain/provider.ts';
import { field } from '../../forms.ts';
import { type Issues, issuesOf, NO_ISSUES } from '../../parts/fields.ts';

/** Of the connect pages; a logo is set by the API or the declarative file, and stays. */
export const THEME = ['name', 'accent_light', 'accent_dark', 'radius'] as const;
export const OVERRIDES = ['authorization_url', 'token_url', 'revocation_url', 'userinfo_url', 'api_base_url'] as const;

/** A provider and the mode that was chosen. */
export interface Chosen {
  provider: Provider;
  auth: AuthMode;
}

/** Undefined: the provider has no such mode. Empty: the first. */
export function chosenMode(provider: Provider, mode: string): Chosen | undefined {
  const auth = authMode(provider, mode === '' ? {} : { mode });
  return auth && { provider, auth };
}

/** The params that the form asks for; the mode is chosen before. */
export const paramsOf = ({ provider, auth }: Chosen) =>
  Object.entries(integrationFields(provider, auth)).filter(([name]) => name !== 'mode');

export const receivesWebhooks = ({ webhooks }: Provider): boolean =>
  Object.values(webhooks).some(({ receiver }) => receiver === 'webhooks');

export const webhookOptions = ({ webhooks }: Provider): string[] =>
  Object.values(webhooks).flatMap(({ option }) => option ?? []);

/** Of the form: what messages can stand beside. */
export const fieldNames = (chosen: Chosen): string[] => [
  ...['id', 'client_id', 'client_secret', 'private_key', 'key_id', 'certificate', 'scopes', 'return_origins'],
  ...['require_finish', 'rate.requests', 'rate.window', 'rate.per'],
  ...THEME.map((name) => `theme.${name}`),
  ...[
    'webhook',
    'webhook.secrets',
    'webhook.hook',
    'webhook.scheme',
    'webhook.header',
    'webhook.hash',
    'webhook.encoding',
  ],
  ...paramsOf(chosen).map(([name]) => `params.${name}`),
  ...OVERRIDES.map((name) => `overrides.${name}`),
  ...Object.keys(chosen.provider.api.other_hosts).map((alias) => `overrides.host.${alias}`),
];

export type PutRequest = z.infer<typeof IntegrationPut>;
/** What is stored of an integration that the form changes. */
export interface StoredIntegration {
  integration: Integration;
  webhook: WebhookView | null;
}

const lines = (text: string | undefined): string[] =>
  (text ?? '')
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter(Boolean);
const words = (text: string | undefined): string[] | undefined => text?.split(/[\s,]+/).filter(Boolean);
const block = (text: string | undefined): string | undefined => text?.replaceAll('\r\n', '\n');
const number = (text: string | undefined): number | undefined => (text === undefined ? undefined : Number(text));

/** A secret that is not filled in stays; null: it is to be removed. */
function secretIn(form: URLSearchParams, name: string): string | null | undefined {
  if (form.has(`remove.${name}`)) return null;
  return block(field(form, name));
}

/** The request, or what is wrong with it, by field. `stored`: undefined for a new one. */
export function putRequest(
  form: URLSearchParams,
  chosen: Chosen,
  stored: StoredIntegration | undefined,
): PutRequest | { issues: Issues } {
  const { provider, auth } = chosen;
  const params = Object.fromEntries(
    paramsOf(chosen).flatMap(([name]) => {
      const value = field(form, `params.${name}`);
      return value === undefined ? [] : [[name, value]];
    }),
  );
  if (provider.auth.length > 1) params.mode = modeName(auth);
  const hosts = Object.keys(provider.api.other_hosts).map((alias) => `host.${alias}`);
  const overrides = [...OVERRIDES, ...hosts].flatMap((name) => {
    const url = field(form, `overrides.${name}`);
    return url === undefined ? [] : [[name, url]];
  });
  const rate = { requests: number(field(form, 'rate.requests')), window: number(field(form, 'rate.window')) };
  const hasRate = rate.requests !== undefined || rate.window !== undefined;
  const asked = {
    provider: provider.id,
    client_id: field(form, 'client_id'),
    client_secret: secretIn(form, 'client_secret'),
    private_key: secretIn(form, 'private_key'),
    key_id: field(form, 'key_id'),
    certificate: block(field(form, 'certificate')),
    scopes: words(field(form, 'scopes')),
    params,
    overrides: Object.fromEntries(overrides),
    return_origins: lines(field(form, 'return_origins')),
    require_finish: form.has('require_finish'),
    rate: hasRate ? { ...rate, per: field(form, 'rate.per') } : null,
    theme: themeIn(form, stored),
    webhook: webhookIn(form, provider, stored),
  };
  const parsed = IntegrationPut.safeParse(asked);
  const missing = missingSecrets(chosen, asked, stored);
  const found = parsed.success
    ? []
    : parsed.error.issues.map(({ path, message }) => ({ path: path.join('.'), message }));
  const fields = integrationFields(provider, auth);
  const faulty = fieldIssues('params', fields, asMeant(fields, params));
  const issues = issuesOf([...found, ...faulty, ...missing], fieldNames(chosen));
  return parsed.success && issues.size === 0 ? parsed.data : { issues };
}

function themeIn(form: URLSearchParams, stored: StoredIntegration | undefined): object | null {
  const { logo } = stored?.integration.theme ?? {};
  const given = THEME.flatMap((name) => {
    const text = field(form, `theme.${name}`);
    return text === undefined ? [] : [[name, name === 'radius' ? Number(text) : text]];
  });
  return given.length > 0 || logo !== undefined
    ? { ...Object.fromEntries(given), ...(logo !== undefined && { logo }) }
    : null;
}

/** The API lets them come later. Here someone has them at hand. */
function missingSecrets(
  { provider }: Chosen,
  asked: Pick<PutRequest, 'client_id' | 'client_secret' | 'private_key'> & { params: Record<string, string> },
  stored: StoredIntegration | undefined,
) {
  const auth = authMode(provider, asked.params);
  if (!auth) return [];
  const needs = clientNeeds(auth);
  const has = {
    client_id: asked.client_id !== undefined,
    client_secret: isThere(asked.client_secret, stored?.integration.clientSecret),
    private_key: isThere(asked.private_key, stored?.integration.privateKey),
  };
  const wanted = { client_id: needs.clientId, client_secret: needs.clientSecret, private_key: needs.privateKey };
  return (Object.keys(wanted) as (keyof typeof wanted)[])
    .filter((name) => wanted[name] === 'required' && !has[name])
    .map((path) => ({ path, message: 'is required to connect with this provider' }));
}

const isThere = (given: string | null | undefined, stored: unknown): boolean =>
  given === undefined ? stored !== undefined && stored !== null : given !== null;

export const webhookSecretsIn = (form: URLSearchParams): string[] | undefined => {
  const all = form
    .getAll('webhook.secrets')
    .map((text) => block(text.trim())!)
    .filter(Boolean);
  return all.length > 0 ? all : undefined;
};

function webhookIn(form: URLSearchParams, provider: Provider, stored: StoredIntegration | undefined) {
  if (!receivesWebhooks(provider)) return undefined;
  if (!form.has('webhook')) return stored?.webhook ? null : undefined;
  const options = webhookOptions(provider);
  const scheme = options.length > 0 ? field(form, 'webhook.scheme') : undefined;
  const isHmac = scheme === 'hmac';
  const all = {
    secrets: webhookSecretsIn(form),
    hook: form.has('webhook.hook'),
    scheme,
    header: isHmac ? field(form, 'webhook.header') : undefined,
    hash: isHmac ? field(form, 'webhook.hash') : undefined,
    encoding: isHmac ? field(form, 'webhook.encoding') : undefined,
  };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
}

/** Whether the id may be given to a new integration. */
export const idIssues = (id: string): Issues => {
  const parsed = Slug.safeParse(id);
  return parsed.success ? NO_ISSUES : issuesOf([{ path: 'id', message: parsed.error.issues[0]!.message }], ['id']);
};

/** What is stored, as the form would have it; secrets are not in it. */
export function storedFields({ integration: i, webhook }: StoredIntegration): URLSearchParams {
  const scheme = webhook?.scheme;
  const all: [string, string | undefined][] = [
    ['client_id', i.clientId],
    ['key_id', i.keyId ?? undefined],
    ['certificate', i.certificate ?? undefined],
    ['scopes', i.scopesNamed === false ? undefined : i.scopes.join('\n')],
    ['return_origins', i.returnOrigins.join('\n')],
    ['require_finish', i.requireFinish ? '1' : undefined],
    ['rate.requests', i.rate ? String(i.rate.requests) : undefined],
    ['rate.window', i.rate ? String(i.rate.window) : undefined],
    ['rate.per', i.rate?.per],
    ...THEME.map((name): [string, string | undefined] => [`theme.${name}`, i.theme?.[name]?.toString()]),
    ['webhook', webhook ? '1' : undefined],
    ['webhook.hook', webhook?.hookSet ? '1' : undefined],
    ['webhook.scheme', scheme?.scheme],
    ...(scheme?.scheme === 'hmac'
      ? ([
          ['webhook.header', scheme.header],
          ['webhook.hash', scheme.hash],
          ['webhook.encoding', scheme.encoding],
        ] as [string, string][])
      : []),
    ...Object.entries(i.params).map(([name, value]): [string, string] => [`params.${name}`, value]),
    ...Object.entries(i.overrides).map(([name, url]): [string, string | undefined] => [`overrides.${name}`, url]),
  ];
  return new URLSearchParams(all.filter((pair): pair is [string, string] => pair[1] !== undefined && pair[1] !== ''));
}

/** For a form that was made of an earlier version: what is stored now where the form says something else. */
export function differencesOf(form: URLSearchParams, stored: StoredIntegration, names: readonly string[]): Issues {
  const now = storedFields(stored);
  const inLine = (text: string | null) => words(text ?? '')!.join(' ');
  const differ = names.filter((name) => isCompared(name, form) && inLine(form.get(name)) !== inLine(now.get(name)));
  const shown = (name: string) =>
    CHECKS.includes(name) ? (now.has(name) ? 'yes' : 'no') : inLine(now.get(name)) || 'nothing';
  const message =
    'the integration was changed meanwhile by someone else. Beside each field that differs is what is stored now: saved again, this form replaces it';
  return new Map([
    ['version', message],
    ...differ.map((name): [string, string] => [name, `stored now: ${shown(name)}`]),
  ]);
}

const CHECKS = ['require_finish', 'webhook', 'webhook.hook'];
/** Secrets that are given replace what is stored in any case; and what a rate is counted by says nothing without one. */
const isCompared = (name: string, form: URLSearchParams): boolean =>
  !['id', 'client_secret', 'private_key', 'webhook.secrets'].includes(name) &&
  (name !== 'rate.per' || field(form, 'rate.requests') !== undefined);
