// The grant type of RFC 8693: a user's JWT for that user's token at a third party, or for an agent session of that user.
import type { z } from '@hono/zod-openapi';
import { ACCESS_TOKEN, type ExchangeAnswer, ExchangeForm, Slug, TOKEN_EXCHANGE } from '../../api/index.ts';
import type { ServedToken } from '../../broker/cache/index.ts';
import type { SessionExchange, TokenExchange } from '../../broker/tokens/index.ts';
import { Refusal } from '../../domain/errors.ts';
import type { Clock } from '../../ports/index.ts';
import {
  invalidRequest,
  OAuthRefusal,
  oauthErrorOfExchange,
  oauthErrorOfFault,
  oauthSuccess,
} from '../errors/oauth-errors.ts';
import type { SentForm } from '../middleware/form.ts';
import { expiryOf } from '../presenters/tokens.ts';
import type { GrantType } from './grant-type.ts';
import { asksForSession, createSessionExchangeHandler } from './session-exchange.ts';

interface Parts {
  exchange: TokenExchange;
  sessionExchange: SessionExchange;
  clock: Clock;
  publicUrl: string;
}

export function createTokenExchangeGrant({ exchange, sessionExchange, clock, publicUrl }: Parts): GrantType {
  const handleSession = createSessionExchangeHandler({ sessionExchange, clock, publicUrl });
  const present = (served: ServedToken): z.infer<typeof ExchangeAnswer> => {
    const { connection } = served;
    const left = expiryOf(served, clock).in;
    return {
      access_token: served.accessToken,
      issued_token_type: ACCESS_TOKEN,
      token_type: connection.tokenType,
      ...(left !== null && { expires_in: left }),
      scope: connection.scopes.join(' '),
      connection_id: connection.id,
    };
  };

  return {
    name: TOKEN_EXCHANGE,
    schema: ExchangeForm,
    async handle(call, sent) {
      const form = sent.parse(ExchangeForm, ['audience', 'resource']);
      if (form instanceof OAuthRefusal) return form;
      if ((form.actor_token === undefined) !== (form.actor_token_type === undefined))
        return invalidRequest('actor_token and actor_token_type: both or neither (RFC 8693 2.1)');
      if (asksForSession(sent, publicUrl)) return handleSession(call, sent, form);
      const integration = integrationOf(sent, publicUrl);
      if (integration instanceof OAuthRefusal) return integration;
      const result = await exchange.exchange(call, {
        subjectToken: form.subject_token,
        actorToken: form.actor_token,
        integration,
        scopes: form.scope?.split(' ').filter(Boolean),
        label: form.label,
        minTtlMs: form.min_ttl === undefined ? undefined : Number(form.min_ttl) * 1_000,
      });
      if (result instanceof Refusal) return new OAuthRefusal(oauthErrorOfFault(result.fault));
      if ('code' in result) return new OAuthRefusal(oauthErrorOfExchange(result));
      return oauthSuccess(present(result));
    },
  };
}

/** The one integration that `audience` and `resource` name: several would need several tokens. */
function integrationOf(form: SentForm, publicUrl: string): string | OAuthRefusal {
  const prefixes = [`${publicUrl}/v1/integrations/`, 'urn:valetkey:integration:'];
  const named = form.all('resource').map((uri) => {
    const prefix = prefixes.find((known) => uri.startsWith(known));
    return prefix === undefined ? uri : uri.slice(prefix.length);
  });
  const [one, ...others] = new Set([...form.all('audience'), ...named]);
  if (one === undefined) return invalidRequest('Name the integration as "audience".');
  if (others.length > 0)
    return new OAuthRefusal({
      status: 400,
      error: 'invalid_target',
      description: 'Name one integration: a token is for one integration only.',
    });
  // Anything else may be a secret in the wrong parameter: it must reach neither the answer nor the audit log.
  if (Slug.safeParse(one).success) return one;
  return new OAuthRefusal(oauthErrorOfExchange({ code: 'unknown_integration' }));
}
