// The OAuth interfaces, for clients that know nothing of this broker: token exchange (RFC 8693), introspection (RFC
// 7662) and the metadata that leads to them (RFC 8414). Refusals are in the form of RFC 6749 5.2.
import { createRoute, z } from '@hono/zod-openapi';
import type { Context, MiddlewareHandler } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import { ExchangeAnswer, IntrospectionAnswer, IntrospectionForm, IntrospectionJwt } from '../../api/index.ts';
import type { SessionIntrospection } from '../../broker/agents/index.ts';
import type { Call } from '../../broker/audit/index.ts';
import type { JwtVerification } from '../../broker/jwt/index.ts';
import type { Signing } from '../../broker/signing/index.ts';
import type { SessionExchange, TokenExchange } from '../../broker/tokens/index.ts';
import { Refusal } from '../../domain/errors.ts';
import type { SigningAlgorithm } from '../../domain/signing-key.ts';
import type { Clock } from '../../ports/index.ts';
import { type Answer, toResponse } from '../answer.ts';
import type { Env } from '../env.ts';
import {
  issuerUnavailable,
  type OAuthError,
  OAuthRefusal,
  oauthAnswer,
  oauthErrorOfFault,
  oauthErrorOfThrown,
  oauthSuccess,
} from '../errors/oauth-errors.ts';
import { BODY_LIMIT, tooLarge } from '../errors/problem-table.ts';
import type { ContextAdmission } from '../middleware/authentication.ts';
import { clientFault, clientOfForm, clientOfHeader, isNamed } from '../middleware/client-authentication.ts';
import type { FailureLimits } from '../middleware/failure-limits.ts';
import { readForm, type SentForm } from '../middleware/form.ts';
import { createGrantTypes, type GrantType, grantTypeOf } from '../oauth-grants/index.ts';
import { OF_ALL, oauthErrors } from '../openapi/oauth-errors.ts';
import { json, router } from '../openapi/route-parts.ts';
import { jwksRoutes } from './jwks.ts';
import { serverMetadataRoutes } from './server-metadata.ts';

const security = [{ caller_key: [] }, { caller_basic: [] }];
const anyOf = ([only, ...others]: readonly z.ZodType[]) => (others.length === 0 ? only! : z.union([only!, ...others]));
const form = <T extends z.ZodType>(schema: T) => ({
  required: true,
  content: { 'application/x-www-form-urlencoded': { schema } },
});

const TOKEN_PATH = '/oauth2/token';
/** RFC 9701 4. */
const INTROSPECTION_JWT = 'application/token-introspection+jwt';

/** The credentials that are in the form. */
const FORM_CREDENTIALS = ['none', 'client_secret_post', 'client_assertion'] as const;
/** Bytes of a form, from a network that has failed too often: two tokens, and what belongs to them. */
const UNTRUSTED_BODY_LIMIT = 40 * 1_024;

const tokenRoute = (grantTypes: readonly GrantType[]) =>
  createRoute({
    operationId: 'exchangeToken',
    method: 'post',
    path: TOKEN_PATH,
    tags: ['oauth'],
    summary: 'Exchange a token',
    description:
      "Exchanges a user's JWT for that user's access token at a third party (RFC 8693); with the public URL of the broker as `resource`, for an agent session of that user at the integrations that `scope` names.",
    security,
    request: { body: form(anyOf(grantTypes.map(({ schema }) => schema))) },
    responses: {
      200: json(ExchangeAnswer, 'The access token'),
      ...oauthErrors(
        ...OF_ALL,
        'unsupported_grant_type',
        'invalid_grant',
        'invalid_target',
        'invalid_scope',
        'insufficient_scope',
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
  description:
    'Verifies a JWT of a trusted issuer, or says what the token of an agent session is (RFC 7662): to those who may see the session, and of a JWT to those with `jwt:verify`. With `Accept: application/token-introspection+jwt`, the answer is a JWT of that type (RFC 9701), signed by the broker for the caller that asks: its `aud` is the id of the caller, and its `token_introspection` has the members of the other form.',
  security,
  request: { body: form(IntrospectionForm) },
  responses: {
    200: {
      description: '`active: true` with the claims of the token, or `active: false`',
      content: {
        'application/json': { schema: IntrospectionAnswer },
        [INTROSPECTION_JWT]: { schema: IntrospectionJwt },
      },
    },
    ...oauthErrors(...OF_ALL, 'insufficient_scope'),
  },
});

interface Parts {
  admit: ContextAdmission;
  failures: Pick<FailureLimits, 'waitOf'>;
  exchange: TokenExchange;
  sessionExchange: SessionExchange;
  verification: JwtVerification;
  clock: Clock;
  sessionIntrospection: SessionIntrospection;
  signing: Pick<Signing, 'signer' | 'published'>;
  signingAlgorithm: SigningAlgorithm;
  publicUrl: string;
  hasInternalPort: boolean;
}

type Handler = (call: Call, form: SentForm, accept: string | undefined) => Promise<Answer | OAuthRefusal>;

export function oauthRoutes(parts: Parts) {
  const { admit, failures, exchange, sessionExchange, verification, signing, clock, publicUrl } = parts;
  const { hasInternalPort, signingAlgorithm, sessionIntrospection } = parts;
  const grantTypes = createGrantTypes({ exchange, sessionExchange, clock, publicUrl });

  const refused = (c: Context<Env>, error: OAuthError) =>
    toResponse(c, oauthAnswer(error, c.get('requestId'), c.req.header('authorization')));

  /** Authenticates the client before the form is validated; by its header, before the form is read. */
  async function handled(c: Context<Env>, handle: Handler): Promise<Answer | OAuthRefusal> {
    const header = c.req.header('authorization');
    const early = clientOfHeader(header);
    const admitted = early && (await admit(c, early.credential, early.callerId));
    if (admitted instanceof Refusal) return new OAuthRefusal(oauthErrorOfFault(admitted.fault));
    const form = await readForm(c);
    if (form instanceof OAuthRefusal) return form;
    const fault = clientFault(header, form.fields);
    if (fault) return fault;
    const late = clientOfForm(form.fields);
    const call = admitted ?? (await admit(c, late.credential, late.callerId));
    if (call instanceof Refusal) return new OAuthRefusal(oauthErrorOfFault(call.fault));
    // Of a key or a token in the header, the form may say whose it is.
    if ((late.callerId !== undefined && late.callerId !== call.principal.caller.id) || !isNamed(late, call))
      return new OAuthRefusal(oauthErrorOfFault({ code: 'unauthenticated', reason: 'unknown' }));
    return handle(call, form, c.req.header('accept'));
  }

  const endpoint = (handle: Handler) => async (c: Context<Env>) => {
    const result = await handled(c, handle);
    return result instanceof OAuthRefusal ? refused(c, result.error) : toResponse(c, result);
  };

  const issueToken: Handler = async (call, form) => {
    const grantType = grantTypeOf(form, grantTypes);
    return grantType instanceof OAuthRefusal ? grantType : grantType.handle(call, form);
  };

  /** The members of RFC 7662 2.2. */
  async function introspected(call: Call, form: z.infer<typeof IntrospectionForm>): Promise<object | OAuthRefusal> {
    const session = await sessionIntrospection.introspect(call, form.token, form.audience);
    if (session) return session;
    // Without an audience: a token for any configured audience of its issuer, or for the broker.
    const audiences = form.audience === undefined ? [undefined, publicUrl] : [form.audience];
    for (const audience of audiences) {
      const verdict = await verification.verify(call, { token: form.token, audience });
      if (verdict instanceof Refusal) return new OAuthRefusal(oauthErrorOfFault(verdict.fault));
      if (verdict.active) return { ...verdict.claims, active: true, ...tokenTypeOf(verdict.claims) };
      if (verdict.reason === 'issuer_unavailable') return new OAuthRefusal(issuerUnavailable('the token'));
      if (verdict.reason !== 'audience_mismatch') break;
    }
    return { active: false };
  }

  const introspectToken: Handler = async (call, sent, accept) => {
    const form = sent.parse(IntrospectionForm);
    if (form instanceof OAuthRefusal) return form;
    const found = await introspected(call, form);
    if (found instanceof OAuthRefusal) return found;
    if (!prefersJwt(accept)) return oauthSuccess(found);
    // No `sub` and no `exp`: it must not be taken for an access token (RFC 9701 5).
    const claims = { aud: call.principal.caller.id, iat: Math.floor(clock.now() / 1_000), token_introspection: found };
    return oauthSuccess(await signing.signer.sign('token-introspection+jwt', claims), INTROSPECTION_JWT);
  };

  const routes = router();
  for (const route of [tokenRoute(grantTypes), introspect]) routes.openAPIRegistry.registerPath(route);

  const limitedTo = (maxSize: number) =>
    bodyLimit({
      maxSize,
      onError: (c) => refused(c, { status: 413, error: 'invalid_request', description: tooLarge(maxSize) }),
    });
  const whole = limitedTo(BODY_LIMIT);
  const small = limitedTo(UNTRUSTED_BODY_LIMIT);
  /** Who says in the form who they are has to be read before they can be refused. */
  const bounded: MiddlewareHandler<Env> = (c, next) => {
    const isLimited = FORM_CREDENTIALS.some((kind) => failures.waitOf(kind, c.get('address')) > 0);
    return isLimited && c.req.header('authorization') === undefined ? small(c, next) : whole(c, next);
  };
  routes.use(TOKEN_PATH, bounded);
  routes.use(introspect.path, bounded);
  routes.post(TOKEN_PATH, endpoint(issueToken));
  routes.post(introspect.path, endpoint(introspectToken));

  const paths = { tokenPath: TOKEN_PATH, introspectionPath: introspect.path };
  routes.route('/', jwksRoutes(signing));
  routes.route('/', serverMetadataRoutes({ publicUrl, hasInternalPort, grantTypes, signingAlgorithm, ...paths }));

  routes.onError((error, c) => {
    c.get('logFailure')(error, c.get('requestId'));
    return refused(c, oauthErrorOfThrown(error));
  });
  return routes;
}

/** RFC 9449 6.2: of a token that is bound to a DPoP key, the answer says so. */
const tokenTypeOf = ({ cnf }: Record<string, unknown>): { token_type: 'DPoP' } | undefined =>
  typeof cnf === 'object' && cnf !== null && 'jkt' in cnf ? { token_type: 'DPoP' } : undefined;

/** Whether the client accepts the answer of an introspection as a JWT, and likes it no less than JSON (RFC 9110 12.5.1). */
function prefersJwt(accept: string | undefined): boolean {
  const ranges = (accept ?? '').split(',').map((range) => {
    const [type = '', ...parameters] = range.split(';').map((part) => part.trim().toLowerCase());
    const weight = parameters.find((parameter) => parameter.startsWith('q='))?.slice(2);
    return { type, weight: weight === undefined ? 1 : Number(weight) };
  });
  const weightOf = (wanted: string) => ranges.find(({ type }) => type === wanted)?.weight ?? 0;
  const weight = weightOf(INTROSPECTION_JWT);
  return weight > 0 && weight >= weightOf('application/json');
}
