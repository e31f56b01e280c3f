// Presents integrations, without their secrets.
import type { z } from '@hono/zod-openapi';
import type * as api from '../../api/index.ts';
import type { RedirectUriToRegister } from '../../broker/resources/index.ts';
import type { SignalView } from '../../broker/webhooks/index.ts';
import type { Integration } from '../../domain/integration.ts';
import { time } from './times.ts';

export function presentIntegration(
  i: Integration,
  webhook: z.infer<typeof api.WebhookView> | null,
  signals: SignalView | null,
  redirectUri: RedirectUriToRegister,
): z.infer<typeof api.IntegrationView> {
  return {
    id: i.id,
    provider: i.provider,
    client_id: i.clientId,
    client_secret_set: i.clientSecret !== null,
    private_key_set: i.privateKey !== null,
    key_id: i.keyId,
    certificate: i.certificate,
    scopes: i.scopes,
    params: i.params,
    overrides: Object.fromEntries(
      Object.entries(i.overrides).filter((pair): pair is [string, string] => pair[1] !== undefined),
    ),
    return_origins: i.returnOrigins,
    require_finish: i.requireFinish === true,
    rate: i.rate,
    theme: i.theme,
    webhook,
    redirect_uri: redirectUri.isPattern ? null : redirectUri.uri,
    redirect_uri_pattern: redirectUri.isPattern ? redirectUri.uri : null,
    signals: signals && presentSignals(signals),
    version: i.version,
    created_at: time(i.createdAt),
    updated_at: time(i.updatedAt),
  };
}

const presentSignals = (view: SignalView): z.infer<typeof api.SignalView> => ({
  url: view.url,
  logout_url: view.logoutUrl,
  issuer: view.issuer,
  jwks_uri: view.jwksUri,
  audience: view.audience,
  poll_url: view.pollUrl,
  token_set: view.tokenSet,
});
