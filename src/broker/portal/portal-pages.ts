// The page of an owner's connections: entered once by its link, and then the session of one browser.
import { readableName } from '../../domain/account.ts';
import { scopesOf } from '../../domain/caller.ts';
import type { Connection, ConnectionStatus } from '../../domain/connection.ts';
import { Refusal } from '../../domain/errors.ts';
import { createLane } from '../../domain/lane.ts';
import type { PortalSession, PortalSessionRow } from '../../domain/portal-session.ts';
import { PORTAL_SESSION_TTL_MS } from '../../domain/time-limits.ts';
import { type Clock, type Store, StoreError, type Vault } from '../../ports/index.ts';
import type { Access, Call } from '../audit/index.ts';
import type { ConnectSessions, Revoker } from '../connections/index.ts';
import type { Targets } from '../integrations/index.ts';
import { derivedSecret, digest, newSecret } from '../secrets/index.ts';
import type { OwnerCalls } from './owner-calls.ts';
import { portalContext } from './portal-sessions.ts';

export interface PortalRequest extends Pick<Call, 'address' | 'requestId' | 'client'> {
  /** Of the portal, not of connect sessions. */
  cookie: string | undefined;
  /** Told the session, once it is known: its pages are in its languages. */
  about?: ((session: PortalSession) => void) | undefined;
}

export interface PortalConnection {
  id: string;
  provider: string;
  /** A name of the account for people; null: it is not known. */
  account: string | null;
  label: string;
  status: Exclude<ConnectionStatus, 'revoked'>;
  /** ms since the epoch. */
  createdAt: number;
}

export type PortalNotice =
  | { kind: 'reconnected' | 'disconnected'; provider: string }
  /** `error`: why, as the pages of the connect flow explain it; null: it is not known. */
  | { kind: 'not_reconnected'; failure: { error: string; provider: string } | null };

/** What the browser is shown. `token`: of the forms of the page. */
export type PortalStep =
  /** `lacksCookie`: its form has been posted by a browser that has not kept the cookie of the page. */
  | { kind: 'welcome'; displayOwner: string | null; lacksCookie: boolean; token: string; cookie: string }
  /** The browser has the session from now on. */
  | { kind: 'entered'; cookie: string }
  | {
      kind: 'connections';
      connections: PortalConnection[];
      token: string;
      next: string | null;
      returnUrl: string;
      notice: PortalNotice | null;
    }
  | { kind: 'confirm'; connection: PortalConnection; token: string }
  | { kind: 'redirect'; url: string }
  /** To the page, which is told with this query what has become of it. */
  | { kind: 'back'; notice: Record<string, string> | null }
  | {
      kind: 'refused';
      error: 'portal_ended' | 'not_found' | 'connection_gone' | 'integration_misconfigured';
      provider: string | null;
    };

/** Each rejects with `StoreError`. */
export interface PortalPages {
  /** The link is opened: by its reader, or by a preview. Binds nothing. */
  open(secret: string, request: PortalRequest): Promise<PortalStep>;
  /** The form of the link's page: gives the session to this browser, once. The same form again gives it the same cookie. */
  enter(secret: string, request: PortalRequest, token: string | undefined): Promise<PortalStep>;
  /** `outcome`: as a connect session has come back. */
  show(request: PortalRequest, page: { after: string | undefined; outcome: URLSearchParams }): Promise<PortalStep>;
  /** The page that asks whether to disconnect it; back, if there is nothing to disconnect any more. */
  ask(id: string, request: PortalRequest): Promise<PortalStep>;
  disconnect(id: string, request: PortalRequest, token: string | undefined): Promise<PortalStep>;
  reconnect(id: string, request: PortalRequest, token: string | undefined): Promise<PortalStep>;
}

export interface PortalPageParts {
  store: Pick<
    Store,
    'portalSessionBySecret' | 'portalSessionOfBrowser' | 'enterPortalSession' | 'connection' | 'connections' | 'session'
  >;
  vault: Pick<Vault, 'encrypt' | 'decrypt'>;
  targets: Pick<Targets, 'find'>;
  sessions: Pick<ConnectSessions, 'create' | 'finish'>;
  revoker: Pick<Revoker, 'revoke'>;
  access: Pick<Access, 'recordBrowser'>;
  clock: Clock;
  publicUrl: string;
}

const PAGE = 50;
/** As with connect links: strangers do not take the connections of the database. */
const LOOKUPS = { atOnce: 4, waiting: 200 };

const ended: PortalStep = { kind: 'refused', error: 'portal_ended', provider: null };
const notFound: PortalStep = { kind: 'refused', error: 'not_found', provider: null };

/** What a form carries: a page elsewhere cannot know it (CSRF). */
const formToken = (purpose: 'enter' | 'page', id: string, cookie: string): string =>
  digest(`portal ${purpose} ${id} ${cookie}`);

export function createPortalPages(parts: PortalPageParts & { owners: OwnerCalls }): PortalPages {
  const { store, vault, targets, sessions, revoker, access, clock, publicUrl, owners } = parts;
  const lane = createLane(LOOKUPS);

  async function lookedUp(find: () => Promise<PortalSessionRow | undefined>, request: PortalRequest) {
    const row = await lane.run(find);
    if (row === 'full') throw new StoreError('too many portal sessions are being looked up');
    const session = owners.open(row);
    if (session) request.about?.(session);
    return session;
  }
  const ofLink = (secret: string, request: PortalRequest) =>
    lookedUp(() => store.portalSessionBySecret(digest(secret)), request);
  async function ofBrowser(request: PortalRequest): Promise<PortalSession | undefined> {
    const { cookie } = request;
    return cookie === undefined ? undefined : lookedUp(() => store.portalSessionOfBrowser(digest(cookie)), request);
  }
  const isFormOf = ({ id }: PortalSession, { cookie }: PortalRequest, token: string | undefined): boolean =>
    cookie !== undefined && token === formToken('page', id, cookie);

  async function providerOf({ integration }: Pick<Connection, 'integration'>): Promise<string> {
    const found = await targets.find(integration);
    return found instanceof Refusal ? integration : found.provider.name;
  }

  async function shown(connection: Connection): Promise<PortalConnection | undefined> {
    const { id, label, status, createdAt, account } = connection;
    if (status === 'revoked') return undefined;
    const provider = await providerOf(connection);
    return { id, provider, account: (account && readableName(account)) ?? null, label, status, createdAt };
  }

  /** Undefined: the page does not show it. */
  async function ownConnection(session: PortalSession, id: string): Promise<Connection | undefined> {
    const connection = await store.connection(id);
    return connection && connection.status !== 'revoked' && owners.permits(session, connection)
      ? connection
      : undefined;
  }

  async function listed(session: PortalSession, call: Call, from: string | undefined) {
    const within = scopesOf(call.principal.caller.permissions, 'connections:write');
    const found: PortalConnection[] = [];
    let after = from;
    do {
      const page = await store.connections({ owner: session.owner, within }, { limit: PAGE, after });
      for (const connection of page.data) {
        const one = owners.permits(session, connection) ? await shown(connection) : undefined;
        if (one) found.push(one);
      }
      after = page.next ?? undefined;
    } while (after !== undefined && found.length < PAGE);
    return { connections: found, next: after ?? null };
  }

  /** Why a connect session of this owner has connected nothing. */
  async function failureOf(session: PortalSession, id: string) {
    const failed = await store.session(id);
    const error = failed?.pageError ?? failed?.error;
    return failed && error && owners.permits(session, failed) ? { error, provider: await providerOf(failed) } : null;
  }

  /** Only of what is the owner's: a link of someone else cannot have the page say anything. */
  async function noticeOf(session: PortalSession, outcome: URLSearchParams): Promise<PortalNotice | null> {
    const status = outcome.get('status');
    if (status === 'error') {
      const failure = await failureOf(session, outcome.get('connect_session_id') ?? '');
      return { kind: 'not_reconnected', failure };
    }
    if (status !== 'success' && status !== 'disconnected') return null;
    const connection = await store.connection(outcome.get('connection_id') ?? '');
    if (!connection || !owners.permits(session, connection)) return null;
    if ((status === 'disconnected') !== (connection.status === 'revoked')) return null;
    const provider = await providerOf(connection);
    return { kind: status === 'success' ? 'reconnected' : 'disconnected', provider };
  }

  /** Who is signed in is known: it is the owner whose page this is. */
  async function finished(
    session: PortalSession,
    call: Call,
    outcome: URLSearchParams,
  ): Promise<Record<string, string>> {
    const finishCode = outcome.get('finish_code') ?? '';
    const done = await sessions.finish(call, outcome.get('connect_session_id') ?? '', {
      finishCode,
      owner: session.owner,
    });
    return done instanceof Refusal ? { status: 'error' } : { status: 'success', connection_id: done.connectionId };
  }

  async function welcome(session: PortalSession, request: PortalRequest, lacksCookie: boolean): Promise<PortalStep> {
    if (session.browserDigest !== null)
      return (await ofBrowser(request))?.id === session.id ? { kind: 'back', notice: null } : ended;
    const cookie = request.cookie ?? newSecret();
    const { displayOwner } = session;
    return { kind: 'welcome', displayOwner, lacksCookie, token: formToken('enter', session.id, cookie), cookie };
  }

  return {
    async open(secret, request) {
      const session = await ofLink(secret, request);
      return session ? welcome(session, request, false) : ended;
    },

    async enter(secret, request, token) {
      const session = await ofLink(secret, request);
      if (!session) return ended;
      const { id, owner } = session;
      const { cookie: shownTo } = request;
      if (shownTo === undefined || token !== formToken('enter', id, shownTo))
        return welcome(session, request, shownTo === undefined && token !== undefined);
      // Another one than the page's, which someone else may have set (session fixation). The same for the same page: after Stop or
      // a second click, the browser has not got the first answer.
      const cookie = derivedSecret('portal', session.seed ?? newSecret(), shownTo);
      const browserDigest = digest(cookie);
      const content = vault.encrypt(JSON.stringify({ ...session, browserDigest }), portalContext(id));
      const expiresAt = clock.now() + PORTAL_SESSION_TTL_MS;
      const subject = { integration: '*', owner, detail: id };
      const by = access.recordBrowser(request, 'portal_session.entered', subject);
      const isIn =
        (session.browserDigest === null &&
          (await store.enterPortalSession(id, { browserDigest, content, expiresAt }, by))) ||
        (await ofBrowser({ ...request, cookie }))?.id === id;
      return isIn ? { kind: 'entered', cookie } : ended;
    },

    async show(request, { after, outcome }) {
      const session = await ofBrowser(request);
      if (!session) return ended;
      const call = owners.callOf(session, request);
      if (outcome.get('status') === 'confirm') return { kind: 'back', notice: await finished(session, call, outcome) };
      const { connections, next } = await listed(session, call, after);
      const token = formToken('page', session.id, request.cookie ?? '');
      const notice = await noticeOf(session, outcome);
      return { kind: 'connections', connections, token, next, returnUrl: session.returnUrl, notice };
    },

    async ask(id, request) {
      const session = await ofBrowser(request);
      if (!session) return ended;
      const connection = await ownConnection(session, id);
      const one = connection && (await shown(connection));
      return one
        ? { kind: 'confirm', connection: one, token: formToken('page', session.id, request.cookie ?? '') }
        : // It was shown on a page that is no longer up to date.
          { kind: 'back', notice: null };
    },

    async disconnect(id, request, token) {
      const session = await ofBrowser(request);
      if (!session) return ended;
      if (!isFormOf(session, request, token)) return this.ask(id, request);
      // A second click finds it revoked.
      if (!(await ownConnection(session, id))) return { kind: 'back', notice: null };
      const revoked = await revoker.revoke(owners.callOf(session, request), id);
      if (revoked instanceof Refusal) return notFound;
      return { kind: 'back', notice: { status: 'disconnected', connection_id: id } };
    },

    async reconnect(id, request, token) {
      const session = await ofBrowser(request);
      if (!session) return ended;
      const connection = await ownConnection(session, id);
      if (!connection) return { kind: 'refused', error: 'connection_gone', provider: null };
      if (!isFormOf(session, request, token)) return { kind: 'back', notice: null };
      const found = await targets.find(connection.integration);
      if (found instanceof Refusal)
        return { kind: 'refused', error: 'integration_misconfigured', provider: connection.integration };
      const created = await sessions.create(owners.callOf(session, request), {
        connectionId: id,
        returnUrl: `${publicUrl}/connect/portal`,
        // Who follows the link elsewhere has not this page: what they consent to is given up.
        finish: true,
        displayOwner: session.displayOwner ?? undefined,
        uiLocales: session.uiLocales ?? undefined,
      });
      return created instanceof Refusal
        ? { kind: 'refused', error: 'integration_misconfigured', provider: found.provider.name }
        : { kind: 'redirect', url: created.url };
    },
  };
}
