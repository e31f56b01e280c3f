// The vendor's authorization endpoint (RFC 6749 4.1.1). The owner always consents.

import { paramFaults, placementFaults, type Request } from './request.ts';
import type { EmulatedVendor } from './shared.ts';
import { type CodeRow, type ParamSpec, type Reply, reply } from './vendor.ts';

/** An error page, or a redirect with a code. */
export function authorize(vendor: EmulatedVendor, { authorize: at, oidc }: CodeRow, request: Request): Reply {
  const { row, nameOf, identity, grantStore, toEmulator, now } = vendor;
  const { pkce = 'taken', separator = ' ' } = at;
  const given = request.query;
  const scopes = row.scopes ?? [];
  const shape: ParamSpec = {
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
  const faults = [
    ...placementFaults({ method: 'GET' }, request),
    ...paramFaults('parameter', shape, given, vendor.values()),
  ];
  if (faults.length > 0) return vendor.refuse(reply(400, `refused: ${faults.join('; ')}`), faults, request);
  const granted = row.granted ?? scopes;
  const code = grantStore.addCode({ scopes: granted, challenge: given.code_challenge, nonce: given.nonce });
  const state = given[nameOf('state')]!;
  const { clientId, clientSecret } = identity.secrets;
  const more = at.callback?.({ code, state, clientId, clientSecret, scopes: granted }) ?? {};
  const back = new URL(now.redirectUri);
  for (const [name, value] of Object.entries({ code, state, ...more })) back.searchParams.set(name, toEmulator(value));
  return reply(302, '', { location: back.href });
}
