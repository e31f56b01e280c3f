// Requests to the OAuth endpoints, as a caller with its key.
import { type Answer, answerOf, type Json, type TestBroker } from './broker.ts';
import { send } from './http-request.ts';

export const JWT_TYPE = 'urn:ietf:params:oauth:token-type:jwt';
const EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';

/** A member that is undefined is left out; a list is sent as several. */
async function post({ url }: TestBroker, key: string, path: string, form: Json): Promise<Answer> {
  const sent = Object.entries(form).flatMap(([name, value]) =>
    value === undefined ? [] : [value].flat().map((one) => [name, String(one)] as [string, string]),
  );
  const headers = { authorization: `Bearer ${key}` };
  const body = new URLSearchParams(sent);
  return answerOf('POST', path, await send(new URL(path, url), { method: 'POST', headers, body }));
}

/** RFC 8693; the subject token is a JWT. */
export const exchangeToken = (broker: TestBroker, key: string, form: Json): Promise<Answer> =>
  post(broker, key, '/oauth2/token', { grant_type: EXCHANGE, subject_token_type: JWT_TYPE, ...form });

/** RFC 7662. */
export const introspectToken = (broker: TestBroker, key: string, form: Json): Promise<Answer> =>
  post(broker, key, '/oauth2/introspect', form);
