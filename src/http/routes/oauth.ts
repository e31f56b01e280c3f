// The OAuth interfaces, for clients that know nothing of this broker: token exchange (RFC 8693), introspection (RFC
// 7662) and the metadata that leads to them (RFC 8414). Refusals are in the form of RFC 6749 5.2.
import { createRoute, type z } from '@hono/zod-openapi';
import type { Context } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import {
  ACCESS_TOKEN,
  ExchangeAnswer,
  ExchangeForm,
  IntrospectionAnswer,
  IntrospectionForm,
  ServerMetadata,
  Slug,
  TOKEN_EXCHANGE,
} from '../../api/index.ts';
import type { Call } from '../../broker/audit/index.ts';
import type { JwtVerification } from '../../broker/jwt/index.ts';
import type { TokenExchange } from '../../broker/tokens/index.ts';
import { Refusal } from '../../domain/errors.ts';
import type { Clock } from '../../ports/index.ts';
import type { Env } from '../env.ts';
import { exchangeFault, faultError, OAuthRefused, oauthError } from '../errors/oauth-errors.ts';
import { BODY_LIMIT } from '../errors/problem-table.ts';
import type { Admission } from '../middleware/authentication.ts';
import { clientOf } from '../middleware/client-authentication.ts';
import { type Form, readForm } from '../middleware/form.ts';
import { OF_ALL, oauthErrors } from '../openapi/oauth-errors.ts';
import { HEADERS_TOO_LARGE, json, router } from '../openapi/route-parts.ts';
import { expiresIn } from '../presenters.ts';

const security = [{ caller_key: [] }, { caller_basic: [] }];
const form = <T extends z.ZodType>(schema: T) => ({
  required: true,
  content: { 'application/x-www-form-urlencoded': { schema } },
});

const token = createRoute({
  operationId: 'exchangeToken',
  method: 'post',
  path: '/oauth2/token',
  tags: ['oauth'],
  summary: 'Exchange a token',
  description: "Exchanges a user's JWT for that user's access token at a third party (RFC 8693).",
  security,
  request: { body: form(ExchangeForm) },
  responses: {
    200: json(ExchangeAnswer, 'The access token'),
    ...oauthErrors(
      ...OF_ALL,
      'unsupported_grant_type',
      'invalid_grant',
      'invalid_target',
      'invalid_scope',
      'interaction_required',
      'integration_misconfigured',
      'provider_unavailable',
    ),
  },
});

const introspect = createRoute({
  operationId: 'introspectToken',
  method: 'post',
  path: '/oauth2/introspect',
  tags: ['oauth'],
  summary: 'Introspect a token',
  description: 'Verifies a JWT of a trusted issuer (RFC 7662).',
  security,
  request: { body: form(IntrospectionForm) },
  responses: {
    200: json(IntrospectionAnswer, '`active: true` with the claims of the token, or `active: false`'),
    ...oauthErrors(...OF_ALL, 'insufficient_scope'),
  },
});

const metadata = createRoute({
  operationId: 'getAuthorizationServerMetadata',
  method: 'get',
  path: '/.well-known/oauth-authorization-server',
  tags: ['oauth'],
  summary: 'Get authorization server metadata',
  description: 'The endpoints and capabilities of the OAuth interfaces (RFC 8414).',
  security: [],
  responses: { 200: json(ServerMetadata, 'The metadata'), ...HEADERS_TOO_LARGE, ...oauthErrors('internal') },
});

interface Parts {
  admit: Admission;
  exchange: TokenExchange;
  verify: JwtVerification;
  clock: Clock;
  publicUrl: string;
}

export function oauthRoutes({ admit, exchange, verify, clock, publicUrl }: Parts) {
  /** Who is calling, and what it sent: once its right to call at all is clear. */
  async function entered<T extends z.ZodType>(
    c: Context<Env>,
    schema: T,
    repeatable?: Parameters<typeof readForm>[2],
  ): Promise<{ call: Call; form: Form<T> }> {
    const sent = await readForm(c, schema, repeatable);
    const { presented, callerId } = clientOf(c.req.header('authorization'), sent.fields);
    const call = await admit(c, presented, callerId);
    if ('code' in call) throw new OAuthRefused(faultError(call));
    return { call, form: sent.parsed() };
  }

  const answer = (c: Context<Env>, body: object) =>
    c.json(body, 200, { 'cache-control': 'no-store', pragma: 'no-cache' });

  const routes = router();
  for (const route of [token, introspect, metadata]) routes.openAPIRegistry.registerPath(route);

  const bounded = bodyLimit({
    maxSize: BODY_LIMIT,
    onError: () => {
      throw new OAuthRefused({
        status: 413,
        error: 'invalid_request',
        description: `A body has at most ${BODY_LIMIT} bytes.`,
      });
    },
  });
  routes.use(token.path, bounded);
  routes.use(introspect.path, bounded);

  routes.post(token.path, async (c) => {
    const { call, form } = await entered(c, ExchangeForm, ['audience', 'resource']);
    const exchanged = await exchange(call, {
      subjectToken: form.subject_token,
      integration: integrationOf(form.all('audience'), form.all('resource'), publicUrl),
      scopes: form.scope?.split(' ').filter(Boolean),
      label: form.label,
      minTtlMs: form.min_ttl === undefined ? undefined : Number(form.min_ttl) * 1_000,
    });
    if (exchanged instanceof Refusal) throw new OAuthRefused(faultError(exchanged.fault));
    if ('code' in exchanged) throw new OAuthRefused(exchangeFault(exchanged));
    const { served } = exchanged;
    const { connection } = served;
    const left = expiresIn(served, clock.monotonic());
    const body: z.infer<typeof ExchangeAnswer> = {
      access_token: served.accessToken,
      issued_token_type: ACCESS_TOKEN,
      token_type: connection.tokenType,
      ...(left !== null && { expires_in: left }),
      scope: connection.scopes.join(' '),
      connection_id: connection.id,
    };
    return answer(c, body);
  });

  routes.post(introspect.path, async (c) => {
    const { call, form } = await entered(c, IntrospectionForm);
    // Made for whom it says, for an audience of its issuer's, or for the broker.
    const audiences = form.audience === undefined ? [undefined, publicUrl] : [form.audience];
    for (const audience of audiences) {
      const verdict = await verify(call, { token: form.token, audience });
      if (verdict instanceof Refusal) throw new OAuthRefused(faultError(verdict.fault));
      if (verdict.active) return answer(c, { ...verdict.claims, active: true });
      if (verdict.reason === 'issuer_unavailable')
        throw new OAuthRefused({
          status: 503,
          error: 'temporarily_unavailable',
          description: 'The issuer of the token cannot be asked for its keys just now.',
          retryAfter: 5,
        });
      if (verdict.reason !== 'audience_mismatch') break;
    }
    return answer(c, { active: false });
  });

  const { pathname } = new URL(publicUrl);
  const described: z.infer<typeof ServerMetadata> = {
    issuer: publicUrl,
    token_endpoint: `${publicUrl}${token.path}`,
    introspection_endpoint: `${publicUrl}${introspect.path}`,
    response_types_supported: [],
    grant_types_supported: [TOKEN_EXCHANGE],
    token_endpoint_auth_methods_supported: ['client_secret_basic', 'client_secret_post'],
    introspection_endpoint_auth_methods_supported: ['client_secret_basic', 'client_secret_post'],
    service_documentation: `${publicUrl}/docs`,
  };
  routes.get(metadata.path, (c) => c.json(described, 200));
  // Of an issuer with a path, it lies between host and path (RFC 8414 3.1).
  if (pathname !== '/') routes.get(`${metadata.path}${pathname}`, (c) => c.json(described, 200));

  routes.onError((error, c) => oauthError(error, c));
  return routes;
}

/** The one integration that is meant; several targets would be several tokens. */
function integrationOf(audiences: string[], resources: string[], publicUrl: string): string {
  const prefixes = [`${publicUrl}/v1/integrations/`, 'urn:valetkey:integration:'];
  const named = resources.map((uri) => {
    const prefix = prefixes.find((known) => uri.startsWith(known));
    return prefix === undefined ? uri : uri.slice(prefix.length);
  });
  const [one, ...others] = new Set([...audiences, ...named]);
  if (one === undefined)
    throw new OAuthRefused({
      status: 400,
      error: 'invalid_request',
      description: 'Name the integration as "audience".',
    });
  if (others.length > 0)
    throw new OAuthRefused({
      status: 400,
      error: 'invalid_target',
      description: 'Name one integration: a token is good for one.',
    });
  // Whatever else stands there (a token that went into the wrong parameter, say) is told to nobody, the audit log included.
  if (!Slug.safeParse(one).success) throw new OAuthRefused(exchangeFault({ code: 'unknown_integration' }));
  return one;
}
