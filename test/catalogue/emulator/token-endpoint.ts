// The token and revocation endpoints: code, refresh token, short-lived token or assertion for a new token; revocation.
import { createHash } from 'node:crypto';
import { jwtFaults } from './client-authentication.ts';
import { createRefreshToken } from './identity.ts';
import { paramsOf, type Request } from './request.ts';
import { checkToken } from './resource-server.ts';
import type { EmulatedVendor } from './shared.ts';
import {
  type Answer,
  type CodeRow,
  type IssuedTokens,
  type ParamSpec,
  reply,
  type TokenEndpointSpec,
} from './vendor.ts';

const JWT_BEARER = 'urn:ietf:params:oauth:grant-type:jwt-bearer';

const answer = ({ respond: said }: TokenEndpointSpec, fresh: IssuedTokens): Answer => said?.(fresh) ?? fresh.body;

/** The Authorization header without its scheme. */
export const bearerOf = ({ headers }: Request): string | undefined => headers.authorization?.replace(/^\S+ /, '');

/** The first of these texts that is a token of this vendor. */
function tokenIn({ grantStore }: EmulatedVendor, texts: (string | undefined)[]) {
  const text = texts.find((t) => t !== undefined && grantStore.find(t));
  return text === undefined ? undefined : { text, ...grantStore.find(text)! };
}

export const pathTokenOf = (vendor: EmulatedVendor, { url }: Request) =>
  tokenIn(vendor, url.split('/').map(decodeURIComponent));

/** RFC 6749 4.1.3, RFC 7636 4.6. */
export async function exchangeCode(
  vendor: EmulatedVendor,
  { token: call, refresh }: CodeRow,
  request: Request,
): Promise<Answer> {
  const { nameOf, grantStore } = vendor;
  const given = paramsOf(request);
  const code = grantStore.takeCode(given[nameOf('code')] ?? '');
  const standard: ParamSpec = {
    [nameOf('grant_type')]: 'authorization_code',
    [nameOf('code')]: true,
    [nameOf('redirect_uri')]: '{redirect_uri}',
    code_verifier: code?.challenge !== undefined,
  };
  const refused = await vendor.refusal(call, request, standard, {});
  if (refused) return refused;
  if (!code) return vendor.refuse(vendor.dead(call), ['a code that is not known, or spent'], request);
  const { challenge, scopes, nonce } = code;
  const verifier = createHash('sha256')
    .update(given.code_verifier ?? '')
    .digest('base64url');
  if (challenge !== undefined && challenge !== verifier)
    return vendor.refuse(vendor.dead(call), ['another code_verifier'], request);
  const grant = grantStore.open(scopes);
  if (refresh && refresh.spends !== 'access_token') grantStore.keepRefresh(grant, createRefreshToken(vendor.row));
  return answer(call, await vendor.fresh('code', grant, { refresh: grant.refresh, request, nonce }));
}

/** RFC 6749 6, or the vendor's way to extend an access token. */
export async function refreshGrant(
  vendor: EmulatedVendor,
  { token: first }: CodeRow,
  refresh: NonNullable<CodeRow['refresh']>,
  request: Request,
): Promise<Answer> {
  const { nameOf, grantStore } = vendor;
  const { params: _, ...like } = first;
  const call: TokenEndpointSpec = { ...like, ...refresh, errors: { ...first.errors, ...refresh.errors } };
  const kind = refresh.spends === 'access_token' ? 'access' : 'refresh';
  const named = tokenIn(vendor, Object.values(paramsOf(request)));
  const standard: ParamSpec =
    kind === 'access' ? {} : { [nameOf('grant_type')]: 'refresh_token', [nameOf('refresh_token')]: true };
  const refused = await vendor.refusal(call, request, standard, named ? { [`${kind}_token`]: named.text } : {});
  if (refused) return refused;
  if (named?.kind !== kind) return vendor.refuse(vendor.dead(call), ['it names no token that could be spent'], request);
  const { grant, text } = named;
  if (kind === 'access') {
    const madeAt = grant.access.get(text);
    if (!grant.alive || !grant.renews || madeAt === undefined) return vendor.dead(call);
    if (Date.now() - madeAt < (refresh.minAge ?? 0) * 1_000)
      return vendor.refuse(reply(400, { error: 'too_young' }), ['the token is too young to be renewed'], request);
    return answer(call, await vendor.fresh('refresh', grant, { request }));
  }
  const spent = grantStore.spend(grant, text, refresh.rotation, () => createRefreshToken(vendor.row));
  if (spent === 'dead') return vendor.dead(call);
  if (refresh.endsAccess) grantStore.endAccess(grant);
  return answer(call, await vendor.fresh('refresh', grant, { refresh: spent.refresh, request }));
}

/** Exchanges a short-lived token for a long-lived one. */
export async function exchangeToken(
  vendor: EmulatedVendor,
  call: TokenEndpointSpec,
  request: Request,
): Promise<Answer> {
  const named = tokenIn(vendor, Object.values(paramsOf(request)));
  const refused = await vendor.refusal(call, request, {}, named ? { access_token: named.text } : {});
  if (refused) return refused;
  if (named?.kind !== 'access' || !named.alive)
    return vendor.refuse(vendor.dead(call), ['it names no token that could be swapped'], request);
  return answer(call, await vendor.fresh('swap', named.grant, { request }));
}

/** RFC 6749 4.4, RFC 7523 2.1. */
export async function mintToken(vendor: EmulatedVendor, call: TokenEndpointSpec, request: Request): Promise<Answer> {
  const { row, minted, identity, fromEmulator } = vendor;
  const { assertion } = minted ?? {};
  const bearer = assertion?.sentAs === 'bearer';
  const scopes = row.scopes ?? [];
  const scope = scopes.length > 0 ? scopes.join(' ') : false;
  const own: ParamSpec = assertion
    ? { grant_type: JWT_BEARER, assertion: true }
    : [call.clientAuth].flat().includes('signature')
      ? {}
      : { grant_type: 'client_credentials', scope };
  const client = call.clientAuth ?? (assertion ? 'none' : 'post');
  const refused = await vendor.refusal({ ...call, clientAuth: client }, request, bearer ? {} : own, {});
  if (refused) return refused;
  if (assertion) {
    const jwt = (bearer ? bearerOf(request) : paramsOf(request).assertion) ?? '';
    const faults = await jwtFaults(jwt, identity.publicKey, assertion, { fromEmulator, values: vendor.values() });
    if (faults.length > 0) return vendor.refuse(vendor.dead(call), faults, request);
  }
  if (vendor.now.withdrawn) {
    vendor.now.withdrawn = false;
    return vendor.dead(call);
  }
  return answer(call, await vendor.fresh('minted', vendor.grantStore.open(row.granted ?? scopes), { request }));
}

/** RFC 7009, or the vendor's own request. */
export async function revoke(
  vendor: EmulatedVendor,
  call: NonNullable<CodeRow['revoke']>,
  request: Request,
): Promise<Answer> {
  const { grantStore } = vendor;
  const named =
    tokenIn(vendor, [...Object.values(paramsOf(request)), bearerOf(request)]) ?? pathTokenOf(vendor, request);
  const client =
    call.clientAuth ?? (call.authorizedBy === undefined ? vendor.code?.token.clientAuth : 'none') ?? 'post';
  const standard: ParamSpec = call.authorizedBy === undefined ? { token: '{token}', token_type_hint: null } : {};
  // The row's params replace the standard ones.
  const { params = standard, authorizedBy: takes, ends, keepsAccess: leavesAccess, answer: said, ...rest } = call;
  const values = named ? { token: named.text, [`${named.kind}_token`]: named.text } : {};
  const { clientAssertion = vendor.code?.token.clientAssertion } = call;
  const shape = { ...rest, clientAuth: client, params, ...(clientAssertion && { clientAssertion }) };
  const refused = await vendor.refusal(shape, request, {}, values);
  if (refused) return refused;
  const wrong = takes === undefined ? [] : checkToken(takes, request, (text) => text === named?.text);
  if (ends === 'account') grantStore.withdrawAll();
  else if (!named || wrong.length > 0)
    return vendor.refuse(reply(401, { error: 'invalid_token' }), [...wrong, 'no token of ours to revoke'], request);
  else if (leavesAccess) {
    if (ends === 'grant' || named.kind === 'refresh') grantStore.endRenewing(named.grant);
  } else if (ends === 'grant') grantStore.end(named.grant);
  else grantStore.endToken(named.grant, named.text);
  return said ?? reply(200);
}
