// Presents providers: entries of the catalogue, with what calls of their APIs and their webhooks need.
import type { z } from '@hono/zod-openapi';
import type * as api from '../../api/index.ts';
import type { ProviderApi, ProviderRateLimits } from '../../domain/api-dialect.ts';
import {
  type AuthMode,
  type CodeMode,
  capturesOf,
  credentialFieldsOf,
  isCode,
  modeName,
  tokenTypeOf,
} from '../../domain/auth-modes.ts';
import { fill, type ParamField, valuesOf } from '../../domain/fields.ts';
import { apiOf, type Provider } from '../../domain/provider.ts';
import { renewalSecrets } from '../../domain/refresh-schedule.ts';
import type { WebhookEndpointDialect } from '../../domain/webhook-dialect.ts';

const fieldView = (f: ParamField) => ({
  title: f.title,
  description: f.description ?? null,
  pattern: f.pattern ?? Object.keys(f.options ?? {}).join('|'),
  example: f.example ?? null,
  options: f.options ? Object.keys(f.options) : null,
  default: f.default ?? null,
  required: !f.optional && f.default === undefined,
});
const fieldsView = (fields: Record<string, ParamField>) =>
  Object.fromEntries(Object.entries(fields).map(([name, field]) => [name, fieldView(field)]));

const scopesOf = (auth: AuthMode | undefined): string[] =>
  auth && 'default_scopes' in auth ? auth.default_scopes : [];

const BY = {
  accessToken: 'access_token',
  refreshToken: 'refresh_token',
  credentials: 'credentials',
  idToken: 'none',
} as const;

/** Null: unknown, or a parameter of the integration says it. */
function reuseGraceOf(provider: Provider, auth: CodeMode): number | null {
  const { reuse_grace: grace } = auth.refresh;
  if (typeof grace !== 'string') return grace ?? null;
  const filled = fill(grace, valuesOf({ ...provider.params, ...auth.params }, {}));
  return filled === undefined ? null : Number(filled);
}

function modeView(provider: Provider, auth: AuthMode) {
  const api = apiOf(provider, auth);
  const code = isCode(auth) ? auth : undefined;
  const [by] = renewalSecrets(auth);
  return {
    name: modeName(auth),
    mode: auth.mode,
    title: auth.title ?? null,
    notes: auth.notes,
    connect: code ? ('browser' as const) : ('import' as const),
    default_scopes: scopesOf(auth),
    client_auth: 'client_auth' in auth ? (auth.client_auth ?? []) : [],
    params: fieldsView(auth.params),
    connection_params: fieldsView(auth.connection_params),
    credentials: Object.fromEntries(
      Object.entries(credentialFieldsOf(auth)).map(([name, { title, description, format, optional }]) => [
        name,
        { title, description: description ?? null, format, required: !optional },
      ]),
    ),
    refresh: {
      by: by === undefined ? ('none' as const) : BY[by],
      rotates: code?.refresh.rotates ?? null,
      reuse_grace: code ? reuseGraceOf(provider, code) : null,
      ends_access_token: code?.refresh.ends_access_token ?? false,
      idle_lifetime: code?.refresh.idle_lifetime ?? null,
      absolute_lifetime: code?.refresh.absolute_lifetime ?? null,
    },
    revocation: code ? code.revocation.style : ('none' as const),
    token_type: tokenTypeOf(auth),
    captures: capturesOf(auth),
    api_base_url: api.base ?? null,
    api_headers: api.headers,
  };
}

export const presentProvider = (p: Provider): z.infer<typeof api.ProviderView> => ({
  id: p.id,
  name: p.name,
  category: p.category,
  docs_url: p.docs_url ?? null,
  confidence: p.confidence,
  notes: p.notes,
  auth_modes: [...new Set(p.auth.map((a) => a.mode))],
  default_scopes: scopesOf(p.auth[0]),
  params: fieldsView(p.params),
  connection_params: fieldsView(p.connection_params),
  auth: p.auth.map((auth) => modeView(p, auth)),
  api: presentApi(p.api),
  rate_limits: p.rate_limits ? presentRateLimits(p.rate_limits) : null,
  webhooks: Object.entries(p.webhooks).map(([name, endpoint]) => presentWebhooks(name, endpoint)),
  uncertain: p.uncertain,
});

const presentApi = ({ other_hosts, whoami, pagination, idempotency }: ProviderApi) => ({
  other_hosts,
  checks: whoami.map(({ method, host, path, endpoint, only, billed }) => ({
    method,
    host: host ?? null,
    path: endpoint === undefined ? path : null,
    modes: only ?? null,
    billed,
  })),
  pagination: pagination ?? null,
  idempotency: idempotency ?? null,
});

const presentRateLimits = ({ scope, concurrency, rate, documented }: ProviderRateLimits) => ({
  scope,
  concurrency: concurrency ?? null,
  rate: rate ?? null,
  documented,
});

const originOf = (key: object): 'secrets' | 'client_secret' =>
  'from' in key && key.from === 'client_secret' ? 'client_secret' : 'secrets';

export const presentWebhooks = (name: string, endpoint: WebhookEndpointDialect) => {
  const { verify, setup } = endpoint;
  const key = 'key' in verify ? verify.key : undefined;
  return {
    name,
    title: endpoint.title,
    path: `/${endpoint.receiver}/{integration}` as const,
    scheme: verify.scheme,
    option: endpoint.option ?? null,
    secret: key ? { what: key.what, where: key.where ?? null, from: originOf(key) } : null,
    needs_hook: verify.scheme === 'none',
    needs_handshake_window: endpoint.handshake.some(({ learns }) => learns !== undefined),
    names_account: endpoint.names_account,
    configure: setup,
    expiry: endpoint.expiry ?? null,
    ends_grants: endpoint.deauthorization.length > 0 || endpoint.receiver !== 'webhooks',
  };
};
