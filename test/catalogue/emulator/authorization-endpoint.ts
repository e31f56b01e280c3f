// The vendor's authorization endpoint (RFC 6749 4.1.1), with an owner who agrees to everything.

import { misfits, placeMisfits, type Request } from './request.ts';
import type { Desk } from './shared.ts';
import { type CodeRow, type Reply, type Shape, say } from './vendor.ts';

/** A page that refuses, or the way back with a code. */
export function authorize(desk: Desk, { authorize: at, oidc }: CodeRow, request: Request): Reply {
  const { row, nameOf, identity, grantStore, moved, now } = desk;
  const { pkce = 'taken', separator = ' ' } = at;
  const given = request.query;
  const scopes = row.scopes ?? [];
  const shape: Shape = {
    [nameOf('response_type')]: 'code',
    [nameOf('client_id')]: '{client_id}',
    [nameOf('redirect_uri')]: '{redirect_uri}',
    [nameOf('state')]: /^.{16,}$/,
    [nameOf('scope')]: separator === null || scopes.length === 0 ? false : scopes.join(separator),
    code_challenge: { required: true, taken: null, refused: false }[pkce],
    code_challenge_method: given.code_challenge === undefined ? false : 'S256',
    ...(oidc && { nonce: null }),
    ...at.params,
  };
  const faults = [...placeMisfits({ method: 'GET' }, request), ...misfits('parameter', shape, given, desk.values())];
  if (faults.length > 0) return desk.refuse(say(400, `refused: ${faults.join('; ')}`), faults, request);
  const granted = row.granted ?? scopes;
  const code = grantStore.addCode({ scopes: granted, challenge: given.code_challenge, nonce: given.nonce });
  const state = given[nameOf('state')]!;
  const { clientId, clientSecret } = identity.secrets;
  const more = at.callback?.({ code, state, clientId, clientSecret, scopes: granted }) ?? {};
  const back = new URL(now.redirectUri);
  for (const [name, value] of Object.entries({ code, state, ...more })) back.searchParams.set(name, moved(value));
  return say(302, '', { location: back.href });
}
