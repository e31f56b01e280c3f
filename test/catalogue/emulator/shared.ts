// What all endpoints of one emulated vendor share: its client, request validation, and the issuing of tokens.
import { checkClient } from './client-authentication.ts';
import { createGrantStore, type Grant } from './grants.ts';
import { createAccessToken, createIdentity } from './identity.ts';
import { idToken } from './openid.ts';
import {
  fillTemplate,
  headerFaults,
  paramFaults,
  paramsOf,
  placementFaults,
  type Request,
  type Values,
} from './request.ts';
import {
  type CodeRow,
  type IssuedTokens,
  type Json,
  type MintedRow,
  type ParamMatcher,
  type ParamSpec,
  type Reply,
  type Row,
  reply,
  type TokenEndpointSpec,
} from './vendor.ts';

export type EmulatedVendor = ReturnType<typeof createEmulatedVendor>;

/** `base`: the emulator's URL for this row, with a slash at the end. */
export function createEmulatedVendor(row: Row, base: string) {
  const identity = createIdentity(row);
  const { secrets } = identity;
  const grantStore = createGrantStore();
  const violations: string[] = [];
  const code: CodeRow | undefined = row.flow === 'code' ? row : undefined;
  const minted: MintedRow | undefined = row.flow === 'minted' ? row : undefined;
  const nameOf = (name: string): string => row.renames?.[name] ?? name;
  const toEmulator = (text: string): string => text.replaceAll('https://', base);
  const fromEmulator = (text: string): string => text.replaceAll(base, 'https://');
  /** The mutable state. */
  const now = { redirectUri: '', busy: 0, withdrawn: false };
  /** Short-lived access tokens, which the API refuses until they are exchanged. */
  const short = new Set<string>();

  const values = (more: Values = {}): Values => ({
    ...row.params,
    ...row.connection,
    ...row.importParams,
    client_id: secrets.clientId,
    client_secret: secrets.clientSecret,
    key_id: secrets.keyId,
    ...(identity.certificate && { thumbprint: identity.certificate.thumbprint }),
    redirect_uri: now.redirectUri,
    ...more,
  });

  /** Returns this response, and reports the faults to the test. */
  function refuse(reply: Reply, faults: string[], { method, url }: Request): Reply {
    violations.push(`${method} ${url}: ${faults.join('; ')}`);
    return reply;
  }

  function lifetimeOf(kind: IssuedTokens['grant']): number | null {
    if (code?.exchange && kind !== 'code') return code.exchange.lifetime;
    return row.lifetime === undefined ? 3_600 : row.lifetime;
  }

  return {
    row,
    code,
    minted,
    identity,
    grantStore,
    violations,
    short,
    now,
    nameOf,
    toEmulator,
    fromEmulator,
    values,
    refuse,

    /**
     * Validates the client, and every parameter and header. `standard`: the standard parameters, which the row overrides.
     * Undefined: valid, and not rate-limited.
     */
    async refusal(
      call: TokenEndpointSpec,
      request: Request,
      standard: ParamSpec,
      more: Values,
    ): Promise<Reply | undefined> {
      const { errors = {} } = call;
      const all = values(more);
      const known = { idName: nameOf('client_id'), publicKey: identity.publicKey, fromEmulator, values: all };
      const { violations: client, params } = await checkClient(
        { ...call, url: fillTemplate(call.url, all) },
        request,
        known,
      );
      const shape = { ...standard, ...params, ...call.params };
      const given = paramsOf(request);
      // Some vendors have the secret among other parameters, where it authenticates the client.
      const isWho = ([, expected]: [string, ParamMatcher]) => expected === '{client_secret}';
      const proven = Object.fromEntries(Object.entries(shape).filter(isWho));
      const proof = Object.fromEntries(Object.entries(given).filter(([name]) => Object.hasOwn(proven, name)));
      const rest = Object.fromEntries(Object.entries(given).filter(([name]) => !Object.hasOwn(proven, name)));
      const asked = Object.fromEntries(Object.entries(shape).filter((one) => !isWho(one)));
      const who = [...client, ...paramFaults('parameter', proven, proof, all)];
      const what = [
        ...placementFaults(call, request),
        ...paramFaults('parameter', asked, rest, all),
        ...headerFaults(call.headers ?? {}, request, all),
      ];
      const as = (error: string): Json => ({ error, error_description: [...what, ...who].join('; ') });
      if (who.length > 0)
        return refuse(errors.invalidClient ?? reply(401, as('invalid_client')), [...who, ...what], request);
      if (what.length > 0) return refuse(errors.invalidRequest ?? reply(400, as('invalid_request')), what, request);
      if (now.busy === 0) return undefined;
      now.busy -= 1;
      return errors.rateLimited ?? reply(429, { error: 'rate_limited' }, { 'retry-after': '30' });
    },

    dead: ({ errors }: TokenEndpointSpec): Reply => errors?.deadGrant ?? reply(400, { error: 'invalid_grant' }),

    /** Issues new tokens of the grant; `refresh`: the refresh token of the response. */
    async fresh(
      kind: IssuedTokens['grant'],
      grant: Grant,
      about: { refresh?: string | undefined; request?: Request; nonce?: string | undefined } = {},
    ): Promise<IssuedTokens> {
      const { refresh, request, nonce } = about;
      const lifetime = lifetimeOf(kind);
      const expiresAt = lifetime === null ? undefined : new Date(Date.now() + lifetime * 1_000);
      const access = await createAccessToken(row, expiresAt);
      grantStore.keepAccess(grant, access);
      if (code?.exchange && kind === 'code') short.add(access);
      const oidc = code?.oidc;
      const body: Json = {
        access_token: access,
        token_type: 'Bearer',
        ...(lifetime !== null && { expires_in: lifetime }),
        ...(refresh !== undefined && { refresh_token: refresh }),
        ...(grant.scopes.length > 0 && { scope: grant.scopes.join(code?.authorize.separator ?? ' ') }),
        ...(oidc && {
          id_token: await idToken(oidc, { clientId: secrets.clientId, nonce, toEmulator, values: values() }),
        }),
      };
      const sent = request ? paramsOf(request) : {};
      return { body, access, refresh, scopes: grant.scopes, expiresAt, grant: kind, sent };
    },
  };
}
