// The other token of a token exchange (RFC 8693): an agent session, where the resource is this broker itself.
import type { z } from '@hono/zod-openapi';
import { ACCESS_TOKEN, type ExchangeAnswer, type ExchangeForm, Slug } from '../../api/index.ts';
import type { Call } from '../../broker/audit/index.ts';
import type { SessionExchange } from '../../broker/tokens/index.ts';
import { SESSION_ACTIONS, type SessionAction } from '../../domain/agent-session.ts';
import { Refusal } from '../../domain/errors.ts';
import type { Clock } from '../../ports/index.ts';
import type { Answer } from '../answer.ts';
import {
  invalidRequest,
  OAuthRefusal,
  oauthErrorOfExchange,
  oauthErrorOfFault,
  oauthSuccess,
} from '../errors/oauth-errors.ts';
import type { SentForm } from '../middleware/form.ts';

interface Parts {
  sessionExchange: SessionExchange;
  clock: Pick<Clock, 'now'>;
  publicUrl: string;
}

/** Integrations of one session. */
const MOST = 20;
/** What the audit log says where the client does not. */
const PURPOSE = 'token exchange';

/** Whether it asks for a session, and not for a token of an integration. */
export const asksForSession = (form: SentForm, publicUrl: string): boolean =>
  form.all('resource').some((uri) => uri.replace(/\/$/, '') === publicUrl);

export function createSessionExchangeHandler({ sessionExchange, clock, publicUrl }: Parts) {
  return async (call: Call, sent: SentForm, form: z.infer<typeof ExchangeForm>): Promise<Answer | OAuthRefusal> => {
    if (sent.all('resource').length > 1 || sent.all('audience').length > 0)
      return invalidRequest(`With ${publicUrl} as "resource", name the integrations as "scope", and nothing else.`);
    const wanted = wantedOf(form);
    if (wanted instanceof OAuthRefusal) return wanted;
    const made = await sessionExchange.exchange(call, {
      subjectToken: form.subject_token,
      actorToken: form.actor_token,
      ...wanted,
      ttl: form.ttl === undefined ? undefined : Number(form.ttl),
      purpose: form.purpose ?? PURPOSE,
    });
    if (made instanceof Refusal) return new OAuthRefusal(oauthErrorOfFault(made.fault));
    if ('code' in made) return new OAuthRefusal(oauthErrorOfExchange(made));
    const { session, token } = made;
    const answer: z.infer<typeof ExchangeAnswer> = {
      access_token: token,
      issued_token_type: ACCESS_TOKEN,
      token_type: 'Bearer',
      expires_in: Math.max(0, Math.floor((session.expiresAt - clock.now()) / 1_000)),
      scope: session.integrations.join(' '),
      session_id: session.id,
    };
    return oauthSuccess(answer);
  };
}

function wantedOf({
  scope,
  actions = 'proxy',
}: z.infer<typeof ExchangeForm>): { integrations: string[]; actions: SessionAction[] } | OAuthRefusal {
  const integrations = [...new Set((scope ?? '').split(' ').filter(Boolean))];
  // Anything else may be a secret in the wrong parameter: it must reach neither the answer nor the audit log.
  if (
    integrations.length === 0 ||
    integrations.length > MOST ||
    !integrations.every((id) => Slug.safeParse(id).success)
  )
    return new OAuthRefusal({
      status: 400,
      error: 'invalid_scope',
      description: `"scope" names the integrations of the session: 1 to ${MOST} ids, with spaces between.`,
    });
  const named = actions.split(' ').filter(Boolean);
  const known = SESSION_ACTIONS.filter((action) => named.includes(action));
  if (known.length === 0 || known.length < new Set(named).size)
    return invalidRequest(`"actions" are some of ${SESSION_ACTIONS.join(', ')}, with spaces between.`);
  return { integrations, actions: known };
}
