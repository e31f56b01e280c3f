// The server of one row: accepts only the requests that the vendor's documentation describes.

import { authorize } from './authorization-endpoint.ts';
import { findCheck } from './checks.ts';
import { jwtFaults } from './client-authentication.ts';
import { createRefreshToken, credentialsOf, servedOf } from './identity.ts';
import { discovery, keySet } from './openid.ts';
import { headerFaults, matchesUrl, paramsOf, type Request } from './request.ts';
import { acceptedTokenTypes, checkToken, SIGNED } from './resource-server.ts';
import { createEmulatedVendor } from './shared.ts';
import { signatureFaults } from './sigv4.ts';
import {
  bearerOf,
  exchangeCode,
  exchangeToken,
  mintToken,
  pathTokenOf,
  refreshGrant,
  revoke,
} from './token-endpoint.ts';
import {
  type Answer,
  type CodeRow,
  Reply,
  type Resource,
  type Row,
  reply,
  type Vendor,
  type VendorCheck,
} from './vendor.ts';

export type VendorServer = ReturnType<typeof createVendorServer>;

/** `base`: the emulator's URL for this row, with a slash at the end. */
export function createVendorServer(row: Row, provider: string, base: string, calls: Vendor['calls'] = NO_CALLS) {
  const vendor = createEmulatedVendor(row, base);
  const { code, minted, identity, grantStore, violations, now, toEmulator, fromEmulator } = vendor;
  const { checks, limits } = calls;
  const requests: string[] = [];
  /** What checks are answered, whatever they send; undefined: what they should be. */
  let toChecks: 'rejected' | Reply | undefined;

  /** An API resource or look-up. */
  async function resource(at: Resource, takes: string[], request: Request): Promise<Answer> {
    const opens = await openers(request);
    const tries = takes.map((way) =>
      way === SIGNED
        ? signatureFaults(request.wire, keysOf(request), at.signatureScope ?? { region: '', service: '' })
        : checkToken(way, request, opens),
    );
    const faults = [
      ...(tries.some((wrong) => wrong.length === 0) ? [] : tries.flat()),
      ...headerFaults(at.headers ?? {}, request, vendor.values()),
    ];
    return faults.length === 0 ? (at.answer ?? {}) : vendor.refuse(at.unauthorized ?? UNAUTHORIZED, faults, request);
  }

  async function checked(check: VendorCheck, request: Request): Promise<Answer> {
    if (toChecks === 'rejected') return check.unauthorized ?? UNAUTHORIZED;
    if (toChecks) return toChecks;
    const { url: _, answer, ...at } = check;
    const takes = at.tokenType === undefined ? acceptedTokenTypes(row) : [at.tokenType].flat();
    // Rows have the status of their own API for a token that is dead.
    const isApi = matchesUrl(request, row.api.url, vendor.values());
    const unauthorized = (isApi ? row.api.unauthorized : undefined) ?? (isApi ? UNAUTHORIZED : at.unauthorized);
    const known = { ...at, ...(unauthorized && { unauthorized }) };
    return resource({ ...known, url: request.url, answer: reply(200, answer) }, takes, request);
  }

  /** Whether a text is a valid access token. */
  async function openers(request: Request): Promise<(text: string) => boolean> {
    if (row.flow === 'static') return (text) => text === servedOf(row, identity);
    if (row.flow === 'code' || row.token)
      return (text) => {
        const found = grantStore.find(text);
        return found?.kind === 'access' && found.alive && !vendor.short.has(text);
      };
    const jwt = bearerOf(request) ?? '';
    const known = { fromEmulator, values: vendor.values() };
    const faults = await jwtFaults(jwt, identity.publicKey, row.assertion ?? {}, known);
    if (faults.length > 0) vendor.refuse(UNAUTHORIZED, faults, request);
    return (text) => text === jwt && faults.length === 0;
  }

  /** The keys that an AWS request must be signed with: the imported ones, or those of a valid session. */
  function keysOf({ headers }: Request) {
    const [, id = ''] = /Credential=([^/]+)/.exec(headers.authorization ?? '') ?? [];
    if (row.flow === 'static') {
      const { access_key_id, secret_access_key = '', session_token } = credentialsOf(row.credentials, identity);
      return access_key_id === id ? { id, secret: secret_access_key, token: session_token } : undefined;
    }
    const token = headers['x-amz-security-token'] ?? '';
    return grantStore.find(token)?.alive ? { id, secret: token, token } : undefined;
  }

  function openid(at: CodeRow, request: Request): Answer | undefined {
    if (!at.oidc) return undefined;
    const document = discovery(at, vendor.values());
    const issuer = String(document.issuer).replace(/\/$/, '');
    if (matchesUrl(request, `${issuer}/.well-known/openid-configuration`, {})) return document;
    return matchesUrl(request, String(document.jwks_uri), {}) ? keySet() : undefined;
  }

  /** Routes a request; undefined: the vendor has no such endpoint. */
  async function take(request: Request): Promise<Answer | undefined> {
    const named = pathTokenOf(vendor, request);
    const values = vendor.values(
      named && { token: encodeURIComponent(named.text), [`${named.kind}_token`]: encodeURIComponent(named.text) },
    );
    const at = ({ url, method }: { url: string; method?: string }) =>
      matchesUrl(request, url, values) && (method === undefined || method === request.method);
    const check = findCheck(checks, row, request, values);
    if (check && toChecks) return checked(check, request);
    if (code) {
      const { token, refresh, exchange: swapping, revoke: ending, lookups = [] } = code;
      if (at({ url: code.authorize.url })) return authorize(vendor, code, request);
      const renewal = refresh && { url: refresh.url ?? token.url };
      const holdsCode = Object.hasOwn(paramsOf(request), vendor.nameOf('code'));
      if (at({ url: token.url }) && (holdsCode || renewal?.url !== token.url))
        return exchangeCode(vendor, code, request);
      if (refresh && renewal && at(renewal)) return refreshGrant(vendor, code, refresh, request);
      if (swapping && at({ url: swapping.url })) return exchangeToken(vendor, swapping, request);
      if (ending && at(ending)) return revoke(vendor, ending, request);
      const lookup = lookups.find(at);
      if (lookup) return resource(lookup, [lookup.tokenType ?? 'Bearer'].flat(), request);
      const standard = openid(code, request);
      if (standard) return standard;
    }
    if (check) return checked(check, request);
    if (minted?.token && at({ url: minted.token.url })) return mintToken(vendor, minted.token, request);
    return at({ url: row.api.url }) ? resource(row.api, acceptedTokenTypes(row), request) : undefined;
  }

  return {
    row,
    provider,
    identity,
    base,
    toEmulator,
    fromEmulator,
    /** The request log: one line per request. */
    requests,
    /** How requests differed from the vendor's documentation. */
    violations,
    clearLog(): void {
      requests.length = 0;
      violations.length = 0;
    },
    /** Set when the broker listens. */
    setRedirectUri(uri: string): void {
      now.redirectUri = uri;
    },
    async answer(request: Request): Promise<Reply> {
      const said = await take(request);
      const none = () => vendor.refuse(reply(404, 'nothing here'), ['the vendor has nothing there'], request);
      const response = said === undefined ? none() : said instanceof Reply ? said : reply(200, said);
      requests.push(`${response.status} ${request.method} ${request.url} ${JSON.stringify(paramsOf(request))}`);
      return response;
    },
    /** Creates a grant as if the owner had connected, for an import. */
    async grant(): Promise<{ access: string; refresh: string | undefined }> {
      const grant = grantStore.open(row.granted ?? row.scopes ?? []);
      if (code?.refresh && code.refresh.spends !== 'access_token')
        grantStore.keepRefresh(grant, createRefreshToken(row));
      const { access } = await vendor.fresh(code?.exchange ? 'swap' : 'code', grant);
      return { access, refresh: grant.refresh };
    },
    /** The owner withdraws every grant; the next valid assertion is refused as dead. */
    withdrawGrants(): void {
      now.withdrawn = minted !== undefined;
      grantStore.withdrawAll();
    },
    /** The calls that the vendor has for a check of this row's tokens. */
    limits,
    checks: checks.filter(
      ({ modes, scope }) =>
        (modes === undefined || modes.includes(row.mode)) &&
        (scope === undefined || (row.granted ?? row.scopes ?? []).includes(scope)),
    ),
    /** Answers checks so from now on: as if the token were not accepted, or with this. Undefined: as it should. */
    answerChecks(so: 'rejected' | Reply | undefined): void {
      toChecks = so;
    },
    /** Rate-limits the next valid token request. */
    rateLimitNext(): void {
      now.busy += 1;
    },
    /** Makes every access token older by this many seconds. */
    age: grantStore.age,
  };
}

const NO_CALLS: Vendor['calls'] = { checks: [], limits: [] };
const UNAUTHORIZED = reply(401, { error: 'unauthorized' });
