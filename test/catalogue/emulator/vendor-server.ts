// One row, open for business: it takes the requests that its vendor's documentation describes, and no others.

import { authorize } from './authorization-endpoint.ts';
import { jwtMisfits } from './client-authentication.ts';
import { credentialsOf, makeRefresh, servedOf } from './identity.ts';
import { discovery, keySet } from './openid.ts';
import { headerMisfits, isAt, paramsOf, type Request } from './request.ts';
import { checkToken, SIGNED, takesOf } from './resource-server.ts';
import { createDesk } from './shared.ts';
import { signatureMisfits } from './sigv4.ts';
import { bearerOf, exchange, mint, pathTokenOf, renew, revoke, swap } from './token-endpoint.ts';
import { type CodeRow, Reply, type Resource, type Row, type Said, say } from './vendor.ts';

export type VendorServer = ReturnType<typeof openVendorServer>;

/** `base`: where this row's internet is, with a slash at the end. */
export function openVendorServer(row: Row, provider: string, base: string) {
  const desk = createDesk(row, base);
  const { code, minted, identity, grantStore, complaints, now, moved, unmoved } = desk;
  const seen: string[] = [];

  /** What tokens open. */
  async function resource(at: Resource, takes: string[], request: Request): Promise<Said> {
    const opens = await openers(request);
    const tries = takes.map((way) =>
      way === SIGNED
        ? signatureMisfits(request.wire, keysOf(request), at.signs ?? { region: '', service: '' })
        : checkToken(way, request, opens),
    );
    const faults = [
      ...(tries.some((wrong) => wrong.length === 0) ? [] : tries.flat()),
      ...headerMisfits(at.headers ?? {}, request, desk.values()),
    ];
    return faults.length === 0 ? (at.answer ?? {}) : desk.refuse(at.refusal ?? UNAUTHORIZED, faults, request);
  }

  /** Says whether a text is a token to keep, and alive. */
  async function openers(request: Request): Promise<(text: string) => boolean> {
    if (row.flow === 'given') return (text) => text === servedOf(row, identity);
    if (row.flow === 'code' || row.token)
      return (text) => {
        const found = grantStore.find(text);
        return found?.kind === 'access' && found.alive && !desk.short.has(text);
      };
    const jwt = bearerOf(request) ?? '';
    const known = { unmoved, values: desk.values() };
    const faults = await jwtMisfits(jwt, identity.publicKey, row.assertion ?? {}, known);
    if (faults.length > 0) desk.refuse(UNAUTHORIZED, faults, request);
    return (text) => text === jwt && faults.length === 0;
  }

  /** What an AWS request must be signed with: the keys that an import brought, or those of a session that is alive. */
  function keysOf({ headers }: Request) {
    const [, id = ''] = /Credential=([^/]+)/.exec(headers.authorization ?? '') ?? [];
    if (row.flow === 'given') {
      const { access_key_id, secret_access_key = '', session_token } = credentialsOf(row.credentials, identity);
      return access_key_id === id ? { id, secret: secret_access_key, token: session_token } : undefined;
    }
    const token = headers['x-amz-security-token'] ?? '';
    return grantStore.find(token)?.alive ? { id, secret: token, token } : undefined;
  }

  function openid(at: CodeRow, request: Request): Said | undefined {
    if (!at.oidc) return undefined;
    const told = discovery(at, desk.values());
    const issuer = String(told.issuer).replace(/\/$/, '');
    if (isAt(request, `${issuer}/.well-known/openid-configuration`, {})) return told;
    return isAt(request, String(told.jwks_uri), {}) ? keySet() : undefined;
  }

  /** Undefined: the vendor has nothing there. */
  async function take(request: Request): Promise<Said | undefined> {
    const named = pathTokenOf(desk, request);
    const values = desk.values(
      named && { token: encodeURIComponent(named.text), [`${named.kind}_token`]: encodeURIComponent(named.text) },
    );
    const at = ({ url, method }: { url: string; method?: string }) =>
      isAt(request, url, values) && (method === undefined || method === request.method);
    if (code) {
      const { token, refresh, swap: swapping, revoke: ending, lookups = [] } = code;
      if (at({ url: code.authorize.url })) return authorize(desk, code, request);
      const renewal = refresh && { url: refresh.url ?? token.url };
      const holdsCode = Object.hasOwn(paramsOf(request), desk.nameOf('code'));
      if (at({ url: token.url }) && (holdsCode || renewal?.url !== token.url)) return exchange(desk, code, request);
      if (refresh && renewal && at(renewal)) return renew(desk, code, refresh, request);
      if (swapping && at({ url: swapping.url })) return swap(desk, swapping, request);
      if (ending && at(ending)) return revoke(desk, ending, request);
      const lookup = lookups.find(at);
      if (lookup) return resource(lookup, [lookup.takes ?? 'Bearer'].flat(), request);
      const standard = openid(code, request);
      if (standard) return standard;
    }
    if (minted?.token && at({ url: minted.token.url })) return mint(desk, minted.token, request);
    return at({ url: row.api.url }) ? resource(row.api, takesOf(row), request) : undefined;
  }

  return {
    row,
    provider,
    identity,
    base,
    moved,
    unmoved,
    /** Every request, in order, in a line. */
    seen,
    /** What did not fit the vendor's documentation. */
    complaints,
    forget(): void {
      seen.length = 0;
      complaints.length = 0;
    },
    /** Told once the broker listens. */
    expectAt(uri: string): void {
      now.redirectUri = uri;
    },
    async answer(request: Request): Promise<Reply> {
      const said = await take(request);
      const none = () => desk.refuse(say(404, 'nothing here'), ['the vendor has nothing there'], request);
      const reply = said === undefined ? none() : said instanceof Reply ? said : say(200, said);
      seen.push(`${reply.status} ${request.method} ${request.url} ${JSON.stringify(paramsOf(request))}`);
      return reply;
    },
    /** A grant as if the owner had connected: for an import. */
    async grant(): Promise<{ access: string; refresh: string | undefined }> {
      const grant = grantStore.open(row.granted ?? row.scopes ?? []);
      if (code?.refresh && code.refresh.spends !== 'access_token') grantStore.keepRefresh(grant, makeRefresh(row));
      const { access } = await desk.fresh(code?.swap ? 'swap' : 'code', grant);
      return { access, refresh: grant.refresh };
    },
    /** The owner withdraws everything; the next assertion that is right is refused as a dead one. */
    withdraw(): void {
      now.withdrawn = minted !== undefined;
      grantStore.withdrawAll();
    },
    /** The next token request that is right is turned away for now. */
    beBusy(): void {
      now.busy += 1;
    },
    /** Everything was made so many seconds earlier. */
    age: grantStore.age,
  };
}

const UNAUTHORIZED = say(401, { error: 'unauthorized' });
