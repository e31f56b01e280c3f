// One row through the whole life of a connection, over HTTP: whatever the vendor's manners, the caller sees the contract.
import { expect } from 'vitest';
import { createCookieJar } from '../../demo/browser.ts';
import type { Json, TestBroker } from '../support/broker.ts';
import { expectOk, expectProblem } from '../support/contract.ts';
import { connectionOf, invite, newOwner, sessionOf, visit } from '../support/owner-browser.ts';
import { apiOf, idOf } from './emulator/entries.ts';
import { clientOf, credentialsOf, type Identity, servedOf } from './emulator/identity.ts';
import { filled, type Values } from './emulator/request.ts';
import { carrying, located, SIGNED, takesOf } from './emulator/resource-server.ts';
import { type Scope, signed } from './emulator/sigv4.ts';
import type { CodeRow } from './emulator/vendor.ts';
import type { VendorServer } from './emulator/vendor-server.ts';

/** A broker that knows the moved catalogue, and the time that it believes it is. */
export interface Stand {
  broker: TestBroker;
  advance(seconds: number): void;
  /** Of each provider, by name. */
  modes: ReadonlyMap<string, string[]>;
}

interface Token {
  id: string;
  view: Json;
  access: string;
  type: string;
}

/** What is told when something does not hold: what the vendor did not take, and all that it was asked. */
const story = ({ complaints, seen }: VendorServer): string =>
  `\nnot as the vendor has it:\n  ${complaints.join('\n  ') || '(nothing)'}\nasked:\n  ${seen.join('\n  ')}\n`;

/** With its vendor's story of just that, whatever goes wrong. */
export async function told<T>(vendorServer: VendorServer, run: () => Promise<T>): Promise<T> {
  vendorServer.forget();
  try {
    return await run();
  } catch (error) {
    if (error instanceof Error) error.message += story(vendorServer);
    throw error;
  }
}

export async function setUp(stand: Stand, vendorServer: VendorServer): Promise<void> {
  vendorServer.expectAt(`${stand.broker.url}/oauth2/callback/${idOf(vendorServer)}`);
  expectOk(await put(stand, vendorServer, vendorServer.identity), 201);
}

/** With these secrets. */
export function put({ broker, modes }: Stand, vendorServer: VendorServer, identity: Identity) {
  const { row } = vendorServer;
  const id = idOf(vendorServer);
  const several = (modes.get(vendorServer.provider)?.length ?? 0) > 1;
  const setup = {
    provider: id,
    ...clientOf(row, identity),
    // Where there is one mode only, none is asked for.
    params: { ...row.params, ...(several && { mode: row.mode }) },
    ...(row.scopes && row.scopes.length > 0 && { scopes: row.scopes }),
  };
  return broker.ask('PUT', `/v1/integrations/${id}`, moved(vendorServer, setup));
}

/** The owner agrees in a browser; the connection's id. */
async function connectInBrowser({ broker }: Stand, vendorServer: VendorServer, row: CodeRow): Promise<string> {
  const jar = createCookieJar();
  const invited = await invite(broker, {
    integration: idOf(vendorServer),
    owner: newOwner(),
    ...paramsOf(vendorServer),
  });
  const page = await visit(invited.url, jar);
  expect(page.location, `the broker sends the browser to the vendor: ${gist(page.text)}`).toMatch(vendorServer.base);
  const back = await visit(page.location!, jar);
  expect(back.location, `the vendor sends the browser back: ${back.text}`).toMatch(`${broker.url}/oauth2/callback/`);
  for (const name of row.authorize.guards ?? []) await refusesForged({ broker }, vendorServer, name);
  const end = await visit(back.location!, jar);
  expect(end.status, `the broker takes the callback: ${gist(end.text)}`).toBeLessThan(400);
  return String((await connectionOf(broker, invited)).id);
}

const paramsOf = (vendorServer: VendorServer): Json =>
  vendorServer.row.connection ? { params: moved(vendorServer, vendorServer.row.connection) } : {};

/** Of a page of the broker's that refuses: its code; of any other, the whole. */
const gist = (page: string): string => /<dd>([a-z_]+ \(\d+\))<\/dd>/.exec(page)?.[1] ?? page;

/** A callback whose parameter was altered on its way. */
async function refusesForged(
  { broker }: Pick<Stand, 'broker'>,
  vendorServer: VendorServer,
  name: string,
): Promise<void> {
  const jar = createCookieJar();
  const invited = await invite(broker, {
    integration: idOf(vendorServer),
    owner: newOwner(),
    ...paramsOf(vendorServer),
  });
  const page = await visit(invited.url, jar);
  const back = new URL((await visit(page.location!, jar)).location!);
  const value = back.searchParams.get(name) ?? '';
  back.searchParams.set(name, (value.startsWith('0') ? '1' : '0') + value.slice(1));
  const asked = vendorServer.seen.length;
  expect((await visit(back, jar)).status, `a callback with another ${name} is refused`).toBeGreaterThanOrEqual(400);
  expect(vendorServer.seen.length, `a callback with another ${name} spends no code`).toBe(asked);
  expect((await sessionOf(broker, invited)).status).not.toBe('completed');
}

export async function adopt({ broker }: Stand, vendorServer: VendorServer, credentials: Json): Promise<string> {
  const { row } = vendorServer;
  const params = { ...row.connection, ...row.imports };
  const body = {
    integration: idOf(vendorServer),
    owner: newOwner(),
    ...(Object.keys(params).length > 0 && { params }),
    credentials,
  };
  const answer = await broker.ask('POST', '/v1/connections', moved(vendorServer, body));
  return String(expectOk(answer, 201).id);
}

export async function adoptGrant(stand: Stand, vendorServer: VendorServer): Promise<string> {
  const { access, refresh } = await vendorServer.grant();
  return adopt(stand, vendorServer, refresh === undefined ? { access_token: access } : { refresh_token: refresh });
}

/** What is said to the broker, and what it says, with every host where it stands for that side. */
export const moved = (vendorServer: VendorServer, body: unknown): unknown =>
  JSON.parse(vendorServer.moved(JSON.stringify(body)));
const unmoved = (vendorServer: VendorServer, body: Json): Json =>
  JSON.parse(vendorServer.unmoved(JSON.stringify(body))) as Json;

export function tokenIn(vendorServer: VendorServer, body: Json): Token {
  const view = unmoved(vendorServer, body);
  return { id: String(view.connection_id), view, access: String(view.access_token), type: String(view.token_type) };
}

export const read = async ({ broker }: Stand, vendorServer: VendorServer, id: string): Promise<Token> =>
  tokenIn(vendorServer, expectOk(await broker.ask('GET', `/v1/connections/${id}/token`)));
const renew = async ({ broker }: Stand, vendorServer: VendorServer, id: string): Promise<Token> =>
  tokenIn(vendorServer, expectOk(await broker.ask('POST', `/v1/connections/${id}/refresh`)));
export const look = async ({ broker }: Stand, vendorServer: VendorServer, id: string): Promise<Json> =>
  unmoved(vendorServer, expectOk(await broker.ask('GET', `/v1/connections/${id}`)));

/** What the token endpoints say is what the row says. */
export function expectServed({ row }: VendorServer, { view }: Token): void {
  const lifetime = lifetimeOf(row);
  expect(view).toMatchObject({ token_type: row.expects?.tokenType ?? takesOf(row)[0] });
  const scopes = row.expects?.scopes ?? row.granted ?? row.scopes ?? [];
  expect([...(view.scopes as string[])].sort()).toEqual([...scopes].sort());
  if (lifetime === null) expect(view).toMatchObject({ expires_at: null, expires_in: null });
  else {
    expect(view.expires_in).toBeLessThanOrEqual(lifetime);
    expect(view.expires_in).toBeGreaterThanOrEqual(lifetime - 30);
  }
}

/** What the connection says, right after it was made. */
function expectKept({ row }: VendorServer, view: Json): void {
  if (row.captured) expect(view.captured).toMatchObject(row.captured);
  const { created_at, expires_at, next_refresh_at, reauth_due_at } = view;
  const reauthDueIn = row.expects?.reauthDueIn;
  if (reauthDueIn !== undefined) {
    const told = (Date.parse(String(reauth_due_at)) - Date.parse(String(created_at))) / 1_000;
    expect(Math.abs(told - reauthDueIn), 'when the owner must agree anew').toBeLessThan(60);
  }
  if (!canRenew(row)) expect(next_refresh_at).toBeNull();
  else if (expires_at !== null)
    expect(Date.parse(String(next_refresh_at))).toBeLessThan(Date.parse(String(expires_at)));
}

function lifetimeOf(row: VendorServer['row']): number | null {
  if (row.expects?.lifetime !== undefined) return row.expects.lifetime;
  if (row.flow === 'given') return null;
  if (row.flow === 'code' && row.swap) return row.swap.lifetime;
  return row.lifetime === undefined ? 3_600 : row.lifetime;
}

/** The API's verdict on the token, sent as its type says, with the headers that the entry names. */
async function callApi({ broker }: Stand, vendorServer: VendorServer, { id, access, type }: Token): Promise<number> {
  const { row, moved, identity } = vendorServer;
  const { headers, query, form } = carrying(type, access);
  const { captured } = expectOk(await broker.ask('GET', `/v1/connections/${id}`));
  const api = apiOf(vendorServer, captured as Json);
  const url = filled(row.api.url, { ...row.params, ...row.connection, client_id: identity.secrets.clientId });
  if (row.api.apart !== true)
    expect(url, 'the API is below the base that the entry names').toMatch(api.base ?? '(none)');
  const place = located(moved(url), query);
  const method = form ? 'POST' : (row.api.method ?? 'GET');
  const response = await fetch(place, {
    method,
    headers: { ...api.headers, ...(type === SIGNED ? keyed(access, method, place, row.api.signs!) : headers) },
    ...(form && { body: new URLSearchParams(form) }),
  });
  await response.text();
  return response.status;
}

/** The headers of a request that is signed with the keys in the token. */
function keyed(token: string, method: string, { host, pathname: path, search }: URL, scope: Scope): Values {
  const { AccessKeyId: id, SecretAccessKey: secret, SessionToken } = JSON.parse(token) as Record<string, string>;
  const wire = { method, host, path, query: search.slice(1), headers: {}, body: '' };
  return signed(wire, { id: id!, secret: secret!, token: SessionToken }, scope);
}

/** Connect or import → read → refresh → revoke. */
export async function livesAndEnds(stand: Stand, vendorServer: VendorServer): Promise<void> {
  const { row, identity } = vendorServer;
  const id =
    row.flow === 'code'
      ? await connectInBrowser(stand, vendorServer, row)
      : await adopt(stand, vendorServer, credentialsOf(row.credentials, identity));
  const first = await read(stand, vendorServer, id);
  expectServed(vendorServer, first);
  if (row.flow === 'given') expect(parsed(first.access)).toEqual(parsed(servedOf(row, identity)));
  expectKept(vendorServer, await look(stand, vendorServer, id));
  expect(await callApi(stand, vendorServer, first), 'the API takes the token').toBeLessThan(300);
  const last = await refreshes(stand, vendorServer, first);
  expect(vendorServer.complaints, 'nothing was asked in a way that the vendor does not know').toEqual([]);
  await ends(stand, vendorServer, last);
}

const parsed = (text: string): unknown => (text.startsWith('{') ? JSON.parse(text) : text);

const canRenew = (row: VendorServer['row']): boolean =>
  row.flow === 'minted' || (row.flow === 'code' && row.refresh !== undefined);

/** Twice, so that what the first brought is spent by the second. */
async function refreshes(stand: Stand, vendorServer: VendorServer, first: Token): Promise<Token> {
  const { row } = vendorServer;
  if (!canRenew(row)) return first;
  const { generation } = await look(stand, vendorServer, first.id);
  let before = first;
  for (const turn of [1, 2]) {
    ripen(stand, vendorServer);
    const after = await renew(stand, vendorServer, first.id);
    expectServed(vendorServer, after);
    if (row.flow !== 'minted' || row.token) expect(after.access, 'a new token is served').not.toBe(before.access);
    expect(await look(stand, vendorServer, first.id)).toMatchObject({
      status: 'active',
      generation: Number(generation) + turn,
    });
    expect(await callApi(stand, vendorServer, after), 'the API takes the renewed token').toBeLessThan(300);
    before = after;
  }
  if (row.captured) expect((await look(stand, vendorServer, first.id)).captured).toMatchObject(row.captured);
  return before;
}

async function ends(stand: Stand, vendorServer: VendorServer, last: Token): Promise<void> {
  const { row } = vendorServer;
  const revocable = row.flow === 'code' && row.revoke !== undefined;
  const answer = expectOk(await stand.broker.ask('DELETE', `/v1/connections/${last.id}`));
  expect(answer).toMatchObject({ status: 'revoked', upstream_revocation: revocable ? 'done' : 'unsupported' });
  expect(vendorServer.complaints, 'it was revoked as the vendor wants').toEqual([]);
  expectProblem(await stand.broker.ask('GET', `/v1/connections/${last.id}/token`), 410, 'connection_revoked');
  if (!revocable) return;
  const dies = row.revoke?.leavesAccess !== true;
  expect((await callApi(stand, vendorServer, last)) >= 400, 'the API refuses what was revoked').toBe(dies);
}

/** Until what was issued is old enough to be renewed. */
export function ripen(stand: Stand, vendorServer: VendorServer): void {
  const { row } = vendorServer;
  if (row.flow !== 'code' || !row.refresh?.minAge) return;
  stand.advance(row.refresh.minAge + 60);
  vendorServer.age(row.refresh.minAge + 60);
}
