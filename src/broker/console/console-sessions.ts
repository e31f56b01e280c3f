// Sessions of the browser console: whose cookie a request has, and how sessions begin and end.
import { madeWith, type Permission } from '../../domain/caller.ts';
import {
  type ConsoleRole,
  type ConsoleSession,
  consoleActor,
  consolePrincipal,
  ROLE_PERMISSIONS,
} from '../../domain/console.ts';
import { type Refusal, refuse } from '../../domain/errors.ts';
import {
  CONSOLE_IDLE_MS,
  CONSOLE_LINK_TTL_MS,
  CONSOLE_SESSION_TTL_MS,
  CONSOLE_TOUCH_INTERVAL_MS,
} from '../../domain/time-limits.ts';
import type { Clock, EndedConsoleSessions, Store } from '../../ports/index.ts';
import type { Access, Call } from '../audit/index.ts';
import type { CallerCache } from '../cache/index.ts';
import { derivedSecret, digest, newId, newSecret } from '../secrets/index.ts';

/** What is known of a browser's request before it is known who sends it. */
export type ConsoleVisit = Pick<Call, 'address' | 'requestId' | 'client'>;

/** Who has signed in. */
export type ConsoleUser = Pick<ConsoleSession, 'issuer' | 'subject' | 'name' | 'role' | 'providerSession'>;

/** A session with the secret of its cookie, which is stored nowhere. */
export interface OpenedConsoleSession {
  session: ConsoleSession;
  secret: string;
}

/** All reject with `StoreError`. */
export interface ConsoleSessions {
  /**
   * Whose cookie this is; undefined: no session has it, or that one has ended. `isPerson`: they are there now, which is not known
   * of a page that looks again by itself.
   */
  authenticate(secret: string, isPerson: boolean): Promise<ConsoleSession | undefined>;
  /**
   * Makes a link that signs in the first who opens it, within ten minutes, with the role; as the caller, in the audit log.
   * For callers that have all permissions of the role.
   */
  createLink(call: Call, role: ConsoleRole): Promise<{ secret: string; session: ConsoleSession } | Refusal>;
  /** Whether a link can still be opened. It does not open it. */
  isLink(secret: string): Promise<boolean>;
  /**
   * The session that the browser had before ends. Undefined: it has been opened, or its time is over. `page`: a secret of the
   * page with the button; the same page again opens the same session, since a second click drops the answer to the first.
   */
  openLink(
    secret: string,
    page: string,
    visit: ConsoleVisit,
    before: ConsoleSession | undefined,
  ): Promise<OpenedConsoleSession | undefined>;
  /** Always with a new secret; the session that the browser had before ends. */
  open(user: ConsoleUser, visit: ConsoleVisit, before: ConsoleSession | undefined): Promise<OpenedConsoleSession>;
  /** Those that last, and links that no one has opened, the newest first. */
  list(call: Call): Promise<ConsoleSession[] | Refusal>;
  end(call: Call, id: string): Promise<'ended' | Refusal>;
  signOut(call: Call, id: string): Promise<void>;
  /** Of a user who has signed out at the provider (OpenID Connect Back-Channel Logout). Returns how many there were. */
  endOf(user: Omit<EndedConsoleSessions, 'id'>): Promise<number>;
}

interface Parts {
  store: Pick<
    Store,
    | 'addConsoleSession'
    | 'consoleSession'
    | 'openConsoleLink'
    | 'touchConsoleSession'
    | 'consoleSessions'
    | 'endConsoleSessions'
  >;
  access: Access;
  /** Why the caller may not pass on these permissions; undefined: it may. */
  mayNotDelegate: (call: Call, permissions: (typeof ROLE_PERMISSIONS)[ConsoleRole]) => Refusal | undefined;
  /** Whether who has the first permissions may pass on all of the others. */
  mayPassOn: (own: readonly Permission[], wanted: readonly Permission[]) => boolean;
  callerCache: Pick<CallerCache, 'makerOf'>;
  clock: Clock;
  /** The issuer of links: this broker. */
  publicUrl: string;
  /** Whether people sign in with this issuer now: sessions of another provider, which signed them in before, have ended. */
  isIssuer: (issuer: string) => Promise<boolean>;
}

const MOST_LISTED = 500;

export function createConsoleSessions(parts: Parts): ConsoleSessions {
  const { store, access, mayNotDelegate, mayPassOn, callerCache, clock, publicUrl, isIssuer } = parts;

  async function lasts(session: ConsoleSession): Promise<boolean> {
    const { openedAt, expiresAt, lastSeenAt, issuer } = session;
    const now = clock.now();
    if (openedAt === null || expiresAt <= now || lastSeenAt + CONSOLE_IDLE_MS <= now) return false;
    return issuer === publicUrl ? isVouchedFor(session) : isIssuer(issuer);
  }
  /** Of a link: by the caller that made it, with what it may do now, and with the credential that it had then. */
  function isVouchedFor({ subject, providerSession, role }: ConsoleSession): boolean {
    const maker = callerCache.makerOf({ callerId: subject, createdWith: providerSession ?? '' }, clock.now());
    return maker !== undefined && mayPassOn(maker.permissions, ROLE_PERMISSIONS[role]);
  }
  const by = (session: ConsoleSession, visit: ConsoleVisit): Call => ({
    principal: consolePrincipal(session),
    ...visit,
  });
  const link = async (secret: string): Promise<ConsoleSession | undefined> => {
    const found = await store.consoleSession(digest(secret));
    return found && found.openedAt === null && found.expiresAt > clock.now() && isVouchedFor(found) ? found : undefined;
  };
  function opened(
    session: Omit<ConsoleSession, 'digest' | 'openedAt' | 'lastSeenAt' | 'expiresAt' | 'mac'>,
    secret = newSecret(),
  ) {
    const now = clock.now();
    const times = { openedAt: now, lastSeenAt: now, expiresAt: now + CONSOLE_SESSION_TTL_MS };
    return { secret, session: { ...session, digest: digest(secret), ...times } };
  }

  return {
    async authenticate(secret, isPerson) {
      const session = await store.consoleSession(digest(secret));
      if (!session || !(await lasts(session))) return undefined;
      const now = clock.now();
      if (isPerson && now - session.lastSeenAt >= CONSOLE_TOUCH_INTERVAL_MS)
        await store.touchConsoleSession(session.id, now);
      return session;
    },

    async createLink(call, role) {
      const refused = access.denied(call, 'admin', '*', '*') ?? mayNotDelegate(call, ROLE_PERMISSIONS[role]);
      if (refused) return refused;
      const [secret, now] = [newSecret(), clock.now()];
      const { id: subject, name } = call.principal.caller;
      const session: ConsoleSession = {
        id: newId('cse', now),
        digest: digest(secret),
        issuer: publicUrl,
        subject,
        name,
        role,
        providerSession: madeWith(call.principal),
        address: null,
        createdAt: now,
        openedAt: null,
        lastSeenAt: now,
        expiresAt: now + CONSOLE_LINK_TTL_MS,
      };
      const detail = `${session.id} ${role}`;
      await store.addConsoleSession(session, access.record(call, 'console_session.link_created', { detail }));
      return { secret, session };
    },

    isLink: async (secret) => (await link(secret)) !== undefined,

    async openLink(secret, page, visit, before) {
      const own = derivedSecret('console', secret, page);
      const found = await link(secret);
      if (found) {
        const { mac: _, ...known } = found;
        const begun = opened({ ...known, address: visit.address }, own);
        const detail = `${found.id} ${found.role}`;
        const audit = access.record(by(begun.session, visit), 'console_session.opened', { detail });
        if (await store.openConsoleLink(begun.session, audit, before?.id)) return begun;
      }
      const session = await store.consoleSession(digest(own));
      const isRecent = session && session.createdAt + CONSOLE_LINK_TTL_MS > clock.now();
      return isRecent && (await lasts(session)) ? { session, secret: own } : undefined;
    },

    async open(user, visit, before) {
      const now = clock.now();
      const begun = opened({ id: newId('cse', now), ...user, address: visit.address, createdAt: now });
      const detail = `${begun.session.id} ${user.role}`;
      const audit = access.record(by(begun.session, visit), 'console_session.opened', { detail });
      await store.addConsoleSession(begun.session, audit, before?.id);
      return begun;
    },

    async list(call) {
      const refused = access.denied(call, 'admin:read', '*', '*');
      return refused ?? store.consoleSessions(clock.now(), MOST_LISTED);
    },

    async end(call, id) {
      const refused = access.denied(call, 'admin', '*', '*');
      if (refused) return refused;
      const audit = access.record(call, 'console_session.ended', { detail: id });
      const ended = await store.endConsoleSessions({ id }, audit);
      return ended > 0 ? 'ended' : refuse({ code: 'not_found', what: 'console session', id });
    },

    async signOut(call, id) {
      await store.endConsoleSessions({ id }, access.record(call, 'console_session.ended', { detail: id }));
    },

    endOf(user) {
      const { issuer = '', subject = '' } = user;
      const detail =
        subject === '' ? `${issuer} has ended a session` : `${consoleActor({ issuer, subject })} has signed out`;
      return store.endConsoleSessions(user, access.recordSystem('console_session.ended', { detail }));
    },
  };
}
