// Security events (RFC 8935) and back-channel logout (OpenID Connect Back-Channel Logout 1.0): public, and verified by their
// signatures alone.
import { createRoute, z } from '@hono/zod-openapi';
import type { Context } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import type { ContentfulStatusCode } from 'hono/utils/http-status';
import { EXAMPLE, LogoutError, LogoutForm, SecurityEventToken, SignalError } from '../../api/index.ts';
import type { SignalAnswer, SignalReceiving } from '../../broker/webhooks/index.ts';
import type { Env } from '../env.ts';
import { OAuthRefusal } from '../errors/oauth-errors.ts';
import { readForm } from '../middleware/form.ts';
import { HEADERS_TOO_LARGE, idOf, json, router } from '../openapi/route-parts.ts';

/** Bytes. */
const MAX_BODY = 64 * 1_024;
const SET_TYPE = /^application\/secevent\+jwt\s*(;|$)/i;

const empty = (description: string) => ({ description });
const REFUSED = {
  404: empty('This integration receives none. No body.'),
  413: empty('The body is larger than 64 kB. No body.'),
  503: empty('It cannot be verified or stored now: send it again after `Retry-After`. No body.'),
  ...HEADERS_TOO_LARGE,
};
const params = z.object({ integration: idOf('integration', EXAMPLE.integration) });

const push = createRoute({
  operationId: 'receiveSecurityEvent',
  method: 'post',
  path: '/signals/{integration}',
  tags: ['signals'],
  summary: 'Receive a security event',
  description:
    'Where transmitters push security event tokens (RFC 8935): RISC, CAEP, SSF. Acted on after the response.',
  security: [],
  request: {
    params,
    body: { required: true, content: { 'application/secevent+jwt': { schema: SecurityEventToken } } },
  },
  responses: { 202: empty('Stored, or received before'), 400: json(SignalError, 'Not accepted'), ...REFUSED },
});

const logout = createRoute({
  operationId: 'receiveLogout',
  method: 'post',
  path: '/logout/{integration}',
  tags: ['signals'],
  summary: 'Receive a back-channel logout',
  description:
    'Where an OpenID provider sends logout tokens. Ends grants without offline access of that account; never one with it.',
  security: [],
  request: {
    params,
    body: { required: true, content: { 'application/x-www-form-urlencoded': { schema: LogoutForm } } },
  },
  responses: { 200: empty('Stored, or received before'), 400: json(LogoutError, 'Not accepted'), ...REFUSED },
});

const NO_STORE = { 'cache-control': 'no-store' };

/** A refusal without a body. */
const bare = (c: Context<Env>, status: number, headers: Record<string, string> = {}) =>
  c.body(null, status as ContentfulStatusCode, { ...NO_STORE, ...headers });

export function signalRoutes({ signals }: { signals: SignalReceiving }) {
  const arrivalOf = (c: Context<Env>) => ({ integration: c.req.param('integration') ?? '', address: c.get('address') });

  function answered(
    c: Context<Env>,
    answer: SignalAnswer,
    taken: number,
    refused: (error: string, description: string) => Response,
  ): Response {
    switch (answer.kind) {
      case 'taken':
        return bare(c, taken);
      case 'refused':
        return refused(answer.error, answer.description);
      case 'not_set_up':
        return bare(c, 404);
      case 'unavailable':
        return bare(c, 503, { 'retry-after': String(answer.retryAfter) });
    }
  }
  const setError = (c: Context<Env>) => (err: string, description: string) =>
    c.json({ err, description }, 400, NO_STORE);
  const logoutError = (c: Context<Env>) => (_: string, description: string) =>
    c.json({ error: 'invalid_request', error_description: description }, 400, NO_STORE);

  const routes = router();
  for (const route of [push, logout]) routes.openAPIRegistry.registerPath(route);
  const limited = bodyLimit({ maxSize: MAX_BODY, onError: (c) => bare(c as Context<Env>, 413) });
  for (const path of ['/signals/:integration', '/logout/:integration']) {
    routes.use(path, async (c, next) => {
      const refused = signals.admit(arrivalOf(c));
      return refused ? answered(c, refused, 503, setError(c)) : limited(c, next);
    });
  }

  routes.post('/signals/:integration', async (c) => {
    if (!SET_TYPE.test(c.req.header('content-type') ?? ''))
      return setError(c)('invalid_request', 'the content type is not application/secevent+jwt');
    const token = (await c.req.text()).trim();
    const answer = await signals.receiveSet(arrivalOf(c), token, c.req.header('authorization'));
    return answered(c, answer, 202, setError(c));
  });

  routes.post('/logout/:integration', async (c) => {
    const form = await readForm(c);
    if (form instanceof OAuthRefusal) return logoutError(c)('', form.error.description);
    const parsed = form.parse(LogoutForm);
    if (parsed instanceof OAuthRefusal) return logoutError(c)('', parsed.error.description);
    const answer = await signals.receiveLogout(arrivalOf(c), parsed.logout_token);
    return answered(c, answer, 200, logoutError(c));
  });

  for (const path of ['/signals/:integration', '/logout/:integration'])
    routes.all(path, (c) => bare(c, 405, { allow: 'POST' }));

  routes.onError((error, c) => {
    c.get('logFailure')(error, c.get('requestId'));
    // It was not stored: it is to be sent again.
    return bare(c, 503, { 'retry-after': '10' });
  });
  return routes;
}
