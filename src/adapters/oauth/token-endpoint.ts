// The token endpoint of a target: how requests are sent to it, and grants that need no more of openid-client than the client's
// proof. A refresh is a form and an answer that the catalogue's dialect judges alone: the library's way costs as much again.
import * as client from 'openid-client';
import { isCode, type TokenMode } from '../../domain/auth-modes.ts';
import { at } from '../../domain/json-path.ts';
import type { Target } from '../../domain/target.ts';
import { CODE_EXCHANGE_DEADLINE_MS } from '../../domain/time-limits.ts';
import { type Outbound, type OutboundRequest, WholeResponse } from '../outbound/outbound.ts';
import type { ClientProof } from './client-authentication.ts';
import type { Metadata } from './discovery.ts';
import { createTokenDialect } from './token-request.ts';
import { type Original, readTokenResponse } from './token-response.ts';

type MayStillSend = OutboundRequest['mayStillSend'];

/** Sends a token request in the provider's dialect. `form` has the standard parameters. Rejects as `Outbound` does. */
export type SendTokenRequest = (
  url: string | URL,
  headers: Record<string, string>,
  form: URLSearchParams,
  mayStillSend: MayStillSend,
) => Promise<WholeResponse>;

/** `refreshDeadlineMs`: of a request that spends a refresh token. */
export function createTokenSender(
  target: Target<TokenMode>,
  outbound: Outbound,
  tls: OutboundRequest['tls'],
  refreshDeadlineMs: number,
): SendTokenRequest {
  const toDialect = createTokenDialect(target);
  return (url, headers, form, mayStillSend) => {
    const { url: to, ...request } = toDialect(url, headers, form);
    const timeoutMs = deadlineOf(target.auth, form.get('grant_type'), refreshDeadlineMs);
    return outbound(to, { ...request, tls, timeoutMs, mayStillSend });
  };
}

/** A request that spends something is left open for longer: a refresh token or a code. Undefined: the general deadline. */
function deadlineOf(auth: TokenMode, grantType: string | null, refreshDeadlineMs: number): number | undefined {
  if (!isCode(auth)) return undefined;
  return grantType === auth.refresh.grant_type ? refreshDeadlineMs : CODE_EXCHANGE_DEADLINE_MS;
}

/**
 * Requests tokens by a grant, without DPoP and without an ID token to be validated. `mayStillSend` is asked as
 * `RefreshRequest` says. Rejects with what `classifyProviderError` knows.
 */
export type RequestTokens = (
  grantType: string,
  parameters: Record<string, string>,
  mayStillSend: MayStillSend,
) => Promise<Original>;

interface Parts {
  auth: TokenMode;
  clientId: string;
  metadata: Metadata;
  /** The client presents a certificate (RFC 8705 5). */
  mutualTls: boolean;
  proof: ClientProof;
  send: SendTokenRequest;
}

/** Undefined where there is no usable endpoint: openid-client says why. */
export function createTokenRequests(parts: Parts): RequestTokens | undefined {
  const { auth, metadata, mutualTls, proof, send } = parts;
  const alias = mutualTls ? metadata.mtls_endpoint_aliases?.token_endpoint : undefined;
  const endpoint = URL.parse(alias ?? metadata.token_endpoint ?? '');
  if (endpoint === null || !/^https?:$/.test(endpoint.protocol)) return undefined;
  const headers = { accept: 'application/json', 'content-type': FORM, ...proof.headers };
  const self = { client_id: parts.clientId };

  return async (grantType, parameters, mayStillSend) => {
    const form = new URLSearchParams(parameters);
    form.set('grant_type', grantType);
    const proving = proof.toBody?.(metadata, self, form, new Headers());
    if (proving) await proving;
    const answer = await readTokenResponse(send(endpoint, headers, form, mayStillSend), auth.token_answer);
    if (answer instanceof WholeResponse) throw await refusalOf(answer);
    return answer;
  };
}

const FORM = 'application/x-www-form-urlencoded;charset=UTF-8';

/** As openid-client rejects: of an error of the server itself, only the status counts. */
async function refusalOf(response: WholeResponse): Promise<Error> {
  const body: unknown = response.status >= 500 ? undefined : await response.json().catch(() => undefined);
  const error = at(body, 'error');
  if (typeof error !== 'string' || error === '')
    return new client.ClientError('unexpected HTTP response status code', { cause: response });
  return new client.ResponseBodyError('refused', { cause: body as never, response: response.asResponse });
}
