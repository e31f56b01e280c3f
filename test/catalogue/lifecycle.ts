// Drives one row through a connection's lifecycle over HTTP: whatever the vendor's dialect, callers see the same API.
import { expect } from 'vitest';
import { createCookieJar } from '../../demo/browser.ts';
import type { Json, TestBroker } from '../support/broker.ts';
import { expectOk, expectProblem } from '../support/contract.ts';
import { send } from '../support/http-request.ts';
import { isLong } from '../support/long.ts';
import { connectionOf, createConnectSession, newOwner, openLink, sessionOf, visit } from '../support/owner-browser.ts';
import { apiOf, idOf } from './emulator/entries.ts';
import { type ClientIdentity, credentialsOf, integrationSecrets, servedOf } from './emulator/identity.ts';
import { fillTemplate, type Values } from './emulator/request.ts';
import { acceptedTokenTypes, SIGNED, tokenPlacement, withQuery } from './emulator/resource-server.ts';
import { type Scope, signRequest } from './emulator/sigv4.ts';
import type { CodeRow } from './emulator/vendor.ts';
import type { VendorServer } from './emulator/vendor-server.ts';

/** A broker with the emulator's catalogue, and its clock. */
export interface TestContext {
  broker: TestBroker;
  advance(seconds: number): void;
  /** The names of each provider's modes. */
  modes: ReadonlyMap<string, string[]>;
}

interface Token {
  id: string;
  view: Json;
  access: string;
  type: string;
}

/** For a failed expectation: the vendor's violations and its request log. */
const requestLog = ({ violations, requests }: VendorServer): string =>
  `\nnot as the vendor has it:\n  ${violations.join('\n  ') || '(nothing)'}\nasked:\n  ${requests.join('\n  ')}\n`;

/** Adds the vendor's request log of this run to any error. */
export async function withRequestLog<T>(vendorServer: VendorServer, run: () => Promise<T>): Promise<T> {
  vendorServer.clearLog();
  try {
    return await run();
  } catch (error) {
    if (error instanceof Error) error.message += requestLog(vendorServer);
    throw error;
  }
}

export async function createIntegration(context: TestContext, vendorServer: VendorServer): Promise<void> {
  vendorServer.setRedirectUri(`${context.broker.url}/oauth2/callback/${idOf(vendorServer)}`);
  expectOk(await putIntegration(context, vendorServer, vendorServer.identity), 201);
}

/** Configures the integration with these secrets. */
export function putIntegration({ broker, modes }: TestContext, vendorServer: VendorServer, identity: ClientIdentity) {
  const { row } = vendorServer;
  const id = idOf(vendorServer);
  const several = (modes.get(vendorServer.provider)?.length ?? 0) > 1;
  const setup = {
    provider: id,
    ...integrationSecrets(row, identity),
    // A provider with one mode has no param for it.
    params: { ...row.params, ...(several && { mode: row.mode }) },
    ...(row.scopes && row.scopes.length > 0 && { scopes: row.scopes }),
  };
  return broker.ask('PUT', `/v1/integrations/${id}`, toEmulator(vendorServer, setup));
}

/** Connects in a browser; returns the connection's id. */
async function connectInBrowser({ broker }: TestContext, vendorServer: VendorServer, row: CodeRow): Promise<string> {
  const jar = createCookieJar();
  const invited = await createConnectSession(broker, {
    integration: idOf(vendorServer),
    owner: newOwner(),
    ...paramsOf(vendorServer),
  });
  const page = await openLink(invited.url, jar);
  expect(page.location, `the broker sends the browser to the vendor: ${errorCodeOf(page.text)}`).toMatch(
    vendorServer.base,
  );
  const back = await visit(page.location!, jar);
  expect(back.location, `the vendor sends the browser back: ${back.text}`).toMatch(`${broker.url}/oauth2/callback/`);
  for (const name of row.authorize.verifiedParams ?? [])
    await expectForgedCallbackRefused({ broker }, vendorServer, name);
  const end = await visit(back.location!, jar);
  expect(end.status, `the broker takes the callback: ${errorCodeOf(end.text)}`).toBeLessThan(400);
  return String((await connectionOf(broker, invited)).id);
}

const paramsOf = (vendorServer: VendorServer): Json =>
  vendorServer.row.connection ? { params: toEmulator(vendorServer, vendorServer.row.connection) } : {};

/** The code of an error page, or the whole page. */
const errorCodeOf = (page: string): string => /<dd>([a-z_]+ \(\d+\))<\/dd>/.exec(page)?.[1] ?? page;

/** Expects the broker to refuse a callback with an altered parameter. */
async function expectForgedCallbackRefused(
  { broker }: Pick<TestContext, 'broker'>,
  vendorServer: VendorServer,
  name: string,
): Promise<void> {
  const jar = createCookieJar();
  const invited = await createConnectSession(broker, {
    integration: idOf(vendorServer),
    owner: newOwner(),
    ...paramsOf(vendorServer),
  });
  const page = await openLink(invited.url, jar);
  const back = new URL((await visit(page.location!, jar)).location!);
  const value = back.searchParams.get(name) ?? '';
  back.searchParams.set(name, (value.startsWith('0') ? '1' : '0') + value.slice(1));
  const asked = vendorServer.requests.length;
  expect((await visit(back, jar)).status, `a callback with another ${name} is refused`).toBeGreaterThanOrEqual(400);
  expect(vendorServer.requests.length, `a callback with another ${name} spends no code`).toBe(asked);
  expect((await sessionOf(broker, invited)).status).not.toBe('completed');
}

export async function importConnection(
  { broker }: TestContext,
  vendorServer: VendorServer,
  credentials: Json,
): Promise<string> {
  const { row } = vendorServer;
  const params = { ...row.connection, ...row.importParams };
  const body = {
    integration: idOf(vendorServer),
    owner: newOwner(),
    ...(Object.keys(params).length > 0 && { params }),
    credentials,
  };
  const answer = await broker.ask('POST', '/v1/connections', toEmulator(vendorServer, body));
  return String(expectOk(answer, 201).id);
}

export async function importGrant(context: TestContext, vendorServer: VendorServer): Promise<string> {
  const { access, refresh } = await vendorServer.grant();
  return importConnection(
    context,
    vendorServer,
    refresh === undefined ? { access_token: access } : { refresh_token: refresh },
  );
}

/** Maps the URLs in a request to the emulator, and those in a response back. */
export const toEmulator = (vendorServer: VendorServer, body: unknown): unknown =>
  JSON.parse(vendorServer.toEmulator(JSON.stringify(body)));
const fromEmulator = (vendorServer: VendorServer, body: Json): Json =>
  JSON.parse(vendorServer.fromEmulator(JSON.stringify(body))) as Json;

export function tokenIn(vendorServer: VendorServer, body: Json): Token {
  const view = fromEmulator(vendorServer, body);
  return { id: String(view.connection_id), view, access: String(view.access_token), type: String(view.token_type) };
}

export const readToken = async ({ broker }: TestContext, vendorServer: VendorServer, id: string): Promise<Token> =>
  tokenIn(vendorServer, expectOk(await broker.ask('GET', `/v1/connections/${id}/token`)));
const refreshToken = async ({ broker }: TestContext, vendorServer: VendorServer, id: string): Promise<Token> =>
  tokenIn(vendorServer, expectOk(await broker.ask('POST', `/v1/connections/${id}/refresh`)));
export const getConnection = async ({ broker }: TestContext, vendorServer: VendorServer, id: string): Promise<Json> =>
  fromEmulator(vendorServer, expectOk(await broker.ask('GET', `/v1/connections/${id}`)));

/** Expects the served token to match the row. */
export function expectServed({ row }: VendorServer, { view }: Token): void {
  const lifetime = lifetimeOf(row);
  expect(view).toMatchObject({ token_type: row.expects?.tokenType ?? acceptedTokenTypes(row)[0] });
  const scopes = row.expects?.scopes ?? row.granted ?? row.scopes ?? [];
  expect([...(view.scopes as string[])].sort()).toEqual([...scopes].sort());
  if (lifetime === null) expect(view).toMatchObject({ expires_at: null, expires_in: null });
  else {
    expect(view.expires_in).toBeLessThanOrEqual(lifetime);
    expect(view.expires_in).toBeGreaterThanOrEqual(lifetime - 30);
  }
}

/** Expects a new connection to match the row. */
function expectStored({ row }: VendorServer, view: Json): void {
  if (row.captured) expect(view.captured).toMatchObject(row.captured);
  expectAccount(row, view);
  const { created_at, expires_at, next_refresh_at, reauth_due_at } = view;
  const reauthDueIn = row.expects?.reauthDueIn;
  if (reauthDueIn !== undefined) {
    const actual = (Date.parse(String(reauth_due_at)) - Date.parse(String(created_at))) / 1_000;
    expect(Math.abs(actual - reauthDueIn), 'when the owner must connect again').toBeLessThan(60);
  }
  if (!isRefreshable(row)) expect(next_refresh_at).toBeNull();
  else if (expires_at !== null)
    expect(Date.parse(String(next_refresh_at))).toBeLessThan(Date.parse(String(expires_at)));
}

/** Expects the account that the row names, or the one of its ID token. */
function expectAccount(row: VendorServer['row'], view: Json): void {
  const named = { issuer: expect.any(String), id: expect.any(String) };
  const isOpenId = row.flow === 'code' && row.oidc !== undefined;
  if (row.account) expect(view.account).toEqual(row.account);
  else if (isOpenId) expect(view.account).toMatchObject(named);
  else expect(view.account).toBeNull();
}

function lifetimeOf(row: VendorServer['row']): number | null {
  if (row.expects?.lifetime !== undefined) return row.expects.lifetime;
  if (row.flow === 'static') return null;
  if (row.flow === 'code' && row.exchange) return row.exchange.lifetime;
  return row.lifetime === undefined ? 3_600 : row.lifetime;
}

/** Calls the API with the token as its type says and the entry's headers, for this connection; returns the status. */
async function callApi(vendorServer: VendorServer, { access, type }: Token, { captured }: Json): Promise<number> {
  const { row, toEmulator, identity } = vendorServer;
  const { headers, query, form } = tokenPlacement(type, access);
  const api = apiOf(vendorServer, captured as Json);
  const url = fillTemplate(row.api.url, { ...row.params, ...row.connection, client_id: identity.secrets.clientId });
  if (row.api.outsideApiBase !== true)
    expect(url, 'the API is below the base that the entry names').toMatch(api.base ?? '(none)');
  const place = withQuery(toEmulator(url), query);
  const method = form ? 'POST' : (row.api.method ?? 'GET');
  const { status } = await send(place, {
    method,
    headers: {
      ...api.headers,
      ...(type === SIGNED ? signatureHeaders(access, method, place, row.api.signatureScope!) : headers),
    },
    body: form && new URLSearchParams(form),
  });
  return status;
}

/** Signs a request with the keys in the token; returns its headers. */
function signatureHeaders(token: string, method: string, { host, pathname: path, search }: URL, scope: Scope): Values {
  const { AccessKeyId: id, SecretAccessKey: secret, SessionToken } = JSON.parse(token) as Record<string, string>;
  const wire = { method, host, path, query: search.slice(1), headers: {}, body: '' };
  return signRequest(wire, { id: id!, secret: secret!, token: SessionToken }, scope);
}

/** Whether this run leaves out what a variant of a mode has in common with it: it differs in how it connects. */
const isLikeItsMode = ({ row }: VendorServer): boolean => row.variant !== undefined && !isLong;

/** Connect or import → read → refresh → revoke. */
export async function connectReadRefreshRevoke(context: TestContext, vendorServer: VendorServer): Promise<void> {
  const { row, identity } = vendorServer;
  const id =
    row.flow === 'code'
      ? await connectInBrowser(context, vendorServer, row)
      : await importConnection(context, vendorServer, credentialsOf(row.credentials, identity));
  const first = await readToken(context, vendorServer, id);
  expectServed(vendorServer, first);
  if (row.flow === 'static') expect(parsed(first.access)).toEqual(parsed(servedOf(row, identity)));
  const stored = await getConnection(context, vendorServer, id);
  expectStored(vendorServer, stored);
  expect(await callApi(vendorServer, first, stored), 'the API takes the token').toBeLessThan(300);
  if (!isLikeItsMode(vendorServer)) await expectChecks(context, vendorServer, id);
  const last = await refreshTwice(context, vendorServer, first);
  expect(vendorServer.violations, 'nothing was asked in a way that the vendor does not know').toEqual([]);
  if (!isLikeItsMode(vendorServer)) await revoke(context, vendorServer, last);
}

/** Checks it as the vendor documents it, then while it takes no token, and while the vendor limits: the grant stays. */
async function expectChecks(context: TestContext, vendorServer: VendorServer, id: string): Promise<void> {
  const { row, checks, limits } = vendorServer;
  const ask = () => context.broker.ask('POST', `/v1/connections/${id}/check`);
  if (checks.length === 0) {
    expectProblem(await ask(), 409, 'check_unsupported');
    return;
  }
  const { account } = await getConnection(context, vendorServer, id);
  const told = fromEmulator(vendorServer, expectOk(await ask()));
  expect(told).toMatchObject({ ok: true, status: 'active', reason: null, upstream_status: expect.any(Number) });
  const ids = checks.flatMap(({ account: known }) => known ?? []);
  if (account) expect(told.account).toEqual(account);
  else expect(ids.length === 0 ? told.account : (told.account as Json).id).toEqual(ids[0] ?? null);
  // Variants of a mode differ in how they connect, and not in their API.
  if (row.variant !== undefined) return;
  vendorServer.answerChecks('rejected');
  expect(expectOk(await ask())).toMatchObject({ ok: false, status: 'active', reason: 'token_rejected' });
  vendorServer.answerChecks(undefined);
  expect(expectOk(await ask())).toMatchObject({ ok: true, reason: null });
  expect(await getConnection(context, vendorServer, id)).toMatchObject({ status: 'active', last_check_error: null });
  // Last, since nothing is sent to the API for a while then.
  vendorServer.answerChecks(limits[0]!.answer);
  expect(expectOk(await ask())).toMatchObject({ ok: false, status: 'active', reason: 'rate_limited' });
  vendorServer.answerChecks(undefined);
}

const parsed = (text: string): unknown => (text.startsWith('{') ? JSON.parse(text) : text);

const isRefreshable = (row: VendorServer['row']): boolean =>
  row.flow === 'minted' || (row.flow === 'code' && row.refresh !== undefined);

/** Refreshes twice, so that the second spends the result of the first. */
async function refreshTwice(context: TestContext, vendorServer: VendorServer, first: Token): Promise<Token> {
  const { row } = vendorServer;
  if (!isRefreshable(row)) return first;
  const { generation } = await getConnection(context, vendorServer, first.id);
  let before = first;
  let last: Json = {};
  for (const count of isLikeItsMode(vendorServer) ? [1] : [1, 2]) {
    advancePastMinAge(context, vendorServer);
    const after = await refreshToken(context, vendorServer, first.id);
    expectServed(vendorServer, after);
    if (row.flow !== 'minted' || row.token) expect(after.access, 'a new token is served').not.toBe(before.access);
    last = await getConnection(context, vendorServer, first.id);
    expect(last).toMatchObject({ status: 'active', generation: Number(generation) + count });
    expect(await callApi(vendorServer, after, last), 'the API takes the renewed token').toBeLessThan(300);
    before = after;
  }
  if (row.captured) expect(last.captured).toMatchObject(row.captured);
  expectAccount(row, last);
  return before;
}

async function revoke(context: TestContext, vendorServer: VendorServer, last: Token): Promise<void> {
  const { row } = vendorServer;
  const revocable = row.flow === 'code' && row.revoke !== undefined;
  const answer = expectOk(await context.broker.ask('DELETE', `/v1/connections/${last.id}`));
  expect(answer).toMatchObject({ status: 'revoked', upstream_revocation: revocable ? 'done' : 'unsupported' });
  expect(vendorServer.violations, 'it was revoked as the vendor wants').toEqual([]);
  expectProblem(await context.broker.ask('GET', `/v1/connections/${last.id}/token`), 410, 'connection_revoked');
  if (!revocable) return;
  const dies = row.revoke?.keepsAccess !== true;
  const tombstone = await getConnection(context, vendorServer, last.id);
  expect((await callApi(vendorServer, last, tombstone)) >= 400, 'the API refuses what was revoked').toBe(dies);
}

/** Advances time until the token is old enough to be refreshed. */
export function advancePastMinAge(context: TestContext, vendorServer: VendorServer): void {
  const { row } = vendorServer;
  if (row.flow !== 'code' || !row.refresh?.minAge) return;
  context.advance(row.refresh.minAge + 60);
  vendorServer.age(row.refresh.minAge + 60);
}
