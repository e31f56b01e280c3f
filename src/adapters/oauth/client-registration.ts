// Dynamic client registration (RFC 7591): once for an integration at an issuer, as a web application that uses codes.
import { isObject, type Json } from '../../domain/json.ts';
import type { RegisteredClient, ResourceDiscovery } from '../../ports/index.ts';
import type { WholeResponse } from '../outbound/outbound.ts';
import { type DiscoveryRequestsParts, discoveryRequests, orFault, refusedAt, type Step } from './discovery-requests.ts';

/** As a server is asked for them, the first that it supports. */
const METHODS = ['client_secret_basic', 'client_secret_post', 'none'] as const;
/** RFC 7591 3.2.2: what a refusal may say of itself is one of these. */
const REFUSALS = ['invalid_redirect_uri', 'invalid_client_metadata', 'unapproved_software_statement'];
const MOST_CHARACTERS = 4_096;

export function createClientRegistration(parts: DiscoveryRequestsParts): Pick<ResourceDiscovery, 'register'> {
  return {
    async register(server, { name, uri, redirectUri }) {
      const step: Step = { name: 'the registration of the client', url: server.registration_endpoint ?? '' };
      const supported = server.token_endpoint_auth_methods_supported ?? ['client_secret_basic'];
      const method = METHODS.find((one) => supported.includes(one)) ?? 'none';
      const metadata = {
        client_name: name,
        client_uri: uri,
        redirect_uris: [redirectUri],
        grant_types: ['authorization_code', 'refresh_token'],
        response_types: ['code'],
        application_type: 'web',
        token_endpoint_auth_method: method,
      };
      return orFault(async () => {
        const response = await discoveryRequests(parts).send(step, {
          method: 'POST',
          headers: { 'content-type': 'application/json', accept: 'application/json' },
          body: JSON.stringify(metadata),
        });
        return read(response, step, supported, method);
      });
    },
  };
}

async function read(
  response: WholeResponse,
  step: Step,
  supported: readonly string[],
  asked: string,
): Promise<RegisteredClient> {
  const body = await bodyOf(response);
  if (!response.ok) {
    const said = REFUSALS.find((code) => code === body?.error);
    const why = `answered ${response.status}${said === undefined ? '' : ` (${said})`}`;
    throw refusedAt(step, 'registration_refused', why);
  }
  const id = textIn(body, 'client_id');
  if (id === undefined) throw refusedAt(step, 'registration_refused', 'the response has no client id');
  // An empty secret is none (RFC 6749 2.3.1 would send it).
  const secret = textIn(body, 'client_secret') ?? null;
  const told = textIn(body, 'token_endpoint_auth_method');
  const method = told !== undefined && supported.includes(told) ? told : asked;
  if (!METHODS.some((one) => one === method))
    throw refusedAt(step, 'registration_refused', `it wants the client to authenticate by ${method.slice(0, 40)}`);
  const end = body?.client_secret_expires_at;
  const expiresAt = secret !== null && typeof end === 'number' && end > 0 ? Math.floor(end) * 1_000 : null;
  const client = { kind: 'registered' as const, id, secret, method: secret === null ? 'none' : method };
  return { client, expiresAt };
}

async function bodyOf(response: WholeResponse): Promise<Json | undefined> {
  try {
    const value = await response.json();
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function textIn(body: Json | undefined, name: string): string | undefined {
  const value = body?.[name];
  return typeof value === 'string' && value !== '' && value.length <= MOST_CHARACTERS ? value : undefined;
}
