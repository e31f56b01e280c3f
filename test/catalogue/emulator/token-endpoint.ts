// Token requests: a code, a refresh token, a short-lived token or an assertion for a new token, or a way to end it.
import { createHash } from 'node:crypto';
import { jwtMisfits } from './client-authentication.ts';
import { makeRefresh } from './identity.ts';
import { paramsOf, type Request } from './request.ts';
import { checkToken } from './resource-server.ts';
import type { Desk } from './shared.ts';
import { type CodeRow, type Fresh, type Said, type Shape, say, type TokenCall } from './vendor.ts';

const JWT_BEARER = 'urn:ietf:params:oauth:grant-type:jwt-bearer';

const answer = ({ answer: said }: TokenCall, fresh: Fresh): Said => said?.(fresh) ?? fresh.body;

/** What stands in the header after the scheme. */
export const bearerOf = ({ headers }: Request): string | undefined => headers.authorization?.replace(/^\S+ /, '');

/** The first token of this vendor's that a request names. */
function tokenIn({ grantStore }: Desk, texts: (string | undefined)[]) {
  const text = texts.find((t) => t !== undefined && grantStore.find(t));
  return text === undefined ? undefined : { text, ...grantStore.find(text)! };
}

export const pathTokenOf = (desk: Desk, { url }: Request) => tokenIn(desk, url.split('/').map(decodeURIComponent));

/** RFC 6749 4.1.3, RFC 7636 4.6. */
export async function exchange(desk: Desk, { token: call, refresh }: CodeRow, request: Request): Promise<Said> {
  const { nameOf, grantStore } = desk;
  const given = paramsOf(request);
  const code = grantStore.takeCode(given[nameOf('code')] ?? '');
  const standard: Shape = {
    [nameOf('grant_type')]: 'authorization_code',
    [nameOf('code')]: true,
    [nameOf('redirect_uri')]: '{redirect_uri}',
    code_verifier: code?.challenge !== undefined,
  };
  const refused = await desk.refusal(call, request, standard, {});
  if (refused) return refused;
  if (!code) return desk.refuse(desk.dead(call), ['a code that is not known, or spent'], request);
  const { challenge, scopes, nonce } = code;
  const verifier = createHash('sha256')
    .update(given.code_verifier ?? '')
    .digest('base64url');
  if (challenge !== undefined && challenge !== verifier)
    return desk.refuse(desk.dead(call), ['another code_verifier'], request);
  const grant = grantStore.open(scopes);
  if (refresh && refresh.spends !== 'access_token') grantStore.keepRefresh(grant, makeRefresh(desk.row));
  return answer(call, await desk.fresh('code', grant, { refresh: grant.refresh, request, nonce }));
}

/** RFC 6749 6, or what renews the access token in its place. */
export async function renew(
  desk: Desk,
  { token: first }: CodeRow,
  refresh: NonNullable<CodeRow['refresh']>,
  request: Request,
): Promise<Said> {
  const { nameOf, grantStore } = desk;
  const { params: _, ...like } = first;
  const call: TokenCall = { ...like, ...refresh, troubles: { ...first.troubles, ...refresh.troubles } };
  const kind = refresh.spends === 'access_token' ? 'access' : 'refresh';
  const named = tokenIn(desk, Object.values(paramsOf(request)));
  const standard: Shape =
    kind === 'access' ? {} : { [nameOf('grant_type')]: 'refresh_token', [nameOf('refresh_token')]: true };
  const refused = await desk.refusal(call, request, standard, named ? { [`${kind}_token`]: named.text } : {});
  if (refused) return refused;
  if (named?.kind !== kind) return desk.refuse(desk.dead(call), ['it names no token that could be spent'], request);
  const { grant, text } = named;
  if (kind === 'access') {
    const madeAt = grant.access.get(text);
    if (!grant.alive || !grant.renews || madeAt === undefined) return desk.dead(call);
    if (Date.now() - madeAt < (refresh.minAge ?? 0) * 1_000)
      return desk.refuse(say(400, { error: 'too_young' }), ['the token is too young to be renewed'], request);
    return answer(call, await desk.fresh('refresh', grant, { request }));
  }
  const spent = grantStore.spend(grant, text, refresh.rotation, () => makeRefresh(desk.row));
  if (spent === 'dead') return desk.dead(call);
  if (refresh.endsAccess) grantStore.endAccess(grant);
  return answer(call, await desk.fresh('refresh', grant, { refresh: spent.refresh, request }));
}

/** A short-lived token for a long-lived one. */
export async function swap(desk: Desk, call: TokenCall, request: Request): Promise<Said> {
  const named = tokenIn(desk, Object.values(paramsOf(request)));
  const refused = await desk.refusal(call, request, {}, named ? { access_token: named.text } : {});
  if (refused) return refused;
  if (named?.kind !== 'access' || !named.alive)
    return desk.refuse(desk.dead(call), ['it names no token that could be swapped'], request);
  return answer(call, await desk.fresh('swap', named.grant, { request }));
}

/** RFC 6749 4.4, RFC 7523 2.1. */
export async function mint(desk: Desk, call: TokenCall, request: Request): Promise<Said> {
  const { row, minted, identity, unmoved } = desk;
  const { assertion } = minted ?? {};
  const bearer = assertion?.presents === 'bearer';
  const scopes = row.scopes ?? [];
  const scope = scopes.length > 0 ? scopes.join(' ') : false;
  const own: Shape = assertion
    ? { grant_type: JWT_BEARER, assertion: true }
    : [call.client].flat().includes('signature')
      ? {}
      : { grant_type: 'client_credentials', scope };
  const client = call.client ?? (assertion ? 'none' : 'post');
  const refused = await desk.refusal({ ...call, client }, request, bearer ? {} : own, {});
  if (refused) return refused;
  if (assertion) {
    const jwt = (bearer ? bearerOf(request) : paramsOf(request).assertion) ?? '';
    const faults = await jwtMisfits(jwt, identity.publicKey, assertion, { unmoved, values: desk.values() });
    if (faults.length > 0) return desk.refuse(desk.dead(call), faults, request);
  }
  if (desk.now.withdrawn) {
    desk.now.withdrawn = false;
    return desk.dead(call);
  }
  return answer(call, await desk.fresh('minted', desk.grantStore.open(row.granted ?? scopes), { request }));
}

/** RFC 7009, or the vendor's own request. */
export async function revoke(desk: Desk, call: NonNullable<CodeRow['revoke']>, request: Request): Promise<Said> {
  const { grantStore } = desk;
  const named = tokenIn(desk, [...Object.values(paramsOf(request)), bearerOf(request)]) ?? pathTokenOf(desk, request);
  const client = call.client ?? (call.takes === undefined ? desk.code?.token.client : 'none') ?? 'post';
  const standard: Shape = call.takes === undefined ? { token: '{token}', token_type_hint: null } : {};
  // What the row names is the whole of it.
  const { params = standard, takes, ends, leavesAccess, answer: said, ...rest } = call;
  const values = named ? { token: named.text, [`${named.kind}_token`]: named.text } : {};
  const { clientAssertion = desk.code?.token.clientAssertion } = call;
  const shape = { ...rest, client, params, ...(clientAssertion && { clientAssertion }) };
  const refused = await desk.refusal(shape, request, {}, values);
  if (refused) return refused;
  const wrong = takes === undefined ? [] : checkToken(takes, request, (text) => text === named?.text);
  if (ends === 'account') grantStore.withdrawAll();
  else if (!named || wrong.length > 0)
    return desk.refuse(say(401, { error: 'invalid_token' }), [...wrong, 'no token of ours to revoke'], request);
  else if (leavesAccess) {
    if (ends === 'grant' || named.kind === 'refresh') grantStore.endRenewing(named.grant);
  } else if (ends === 'grant') grantStore.end(named.grant);
  else grantStore.endToken(named.grant, named.text);
  return said ?? say(200);
}
