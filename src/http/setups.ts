// What is set up with the API's names, as the broker's. Without the schemas, which a start without requests does not load.
import type { z } from '@hono/zod-openapi';
import type * as api from '../api/index.ts';
import type { Declared } from '../broker/apply/index.ts';
import type { CallerSetup } from '../broker/callers/index.ts';
import type { IntegrationSetup } from '../broker/integrations/index.ts';
import { type Refusal, refuse } from '../domain/errors.ts';
import { WebhookScheme } from '../domain/webhook-scheme.ts';
import type { WebhookSetup } from '../domain/webhook-settings.ts';
import type { ResourceChallenge } from '../ports/index.ts';

export const setupOf = (put: z.infer<typeof api.IntegrationPut>): IntegrationSetup => ({
  provider: put.provider,
  clientId: put.client_id,
  clientSecret: put.client_secret,
  privateKey: put.private_key,
  keyId: put.key_id,
  certificate: put.certificate,
  scopes: put.scopes,
  params: put.params,
  overrides: put.overrides,
  returnOrigins: put.return_origins,
  requireFinish: put.require_finish,
  rate: put.rate,
  theme: put.theme,
});

/** Undefined: nothing is said of it. Null: it receives none any more. */
export function webhookSetupOf({
  webhook,
}: z.infer<typeof api.IntegrationPut>): WebhookSetup | null | undefined | Refusal {
  if (!webhook) return webhook;
  const { secrets, hook, scheme, ...more } = webhook;
  if (scheme === undefined && Object.keys(more).length === 0) return { secrets, hook, scheme: null };
  const parsed = WebhookScheme.safeParse({ scheme: scheme ?? 'standard_webhooks', ...more });
  if (parsed.success) return { secrets, hook, scheme: parsed.data };
  const issues = parsed.error.issues.map(({ path, message }) => ({ path: ['webhook', ...path].join('.'), message }));
  return refuse({ code: 'invalid_request', detail: 'the scheme of its webhooks is not valid', issues });
}

export const callerSetupOf = ({
  rate_limit,
  max_session_ttl,
  workloads,
  ...rest
}: z.infer<typeof api.CallerPut>): CallerSetup => ({
  ...rest,
  workloads: workloads?.map(({ max_age: maxAge, ...workload }) => ({ ...workload, maxAge })),
  rateLimit: rate_limit,
  maxSessionTtl: max_session_ttl,
});

export const declaredOf = ({
  integrations,
  callers,
}: Pick<api.DeclaredFile, 'integrations' | 'callers'>): Declared => ({
  integrations: integrations.map(({ id, ...put }) => ({
    id,
    setup: setupOf(put),
    webhook: webhookSetupOf(put),
    signals: put.signals,
  })),
  callers: callers.map(({ key, keys, id, ...caller }) => ({
    ...callerSetupOf(caller),
    id,
    keys: key === undefined ? keys : [key, ...(keys ?? [])],
  })),
});

/** A challenge, as a caller gives it. */
export const toChallenge = (given: z.infer<typeof api.Challenge> | undefined): ResourceChallenge | undefined =>
  given && { status: given.status, wwwAuthenticate: given.www_authenticate };
