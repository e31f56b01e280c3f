// Which of a browser's cookies belong to a connect session. Each session has its own, so that two that begin at the same
// time in a new browser do not replace each other's.
import type { ConnectSession } from '../../../domain/integration.ts';
import { digest, newSecret } from '../../secrets/index.ts';
import type { BrowserCookie, BrowserRequest } from './steps.ts';

const TAG_LENGTH = 10;

/** Names the cookies of a session; tells nothing else about it. */
const tagOf = ({ id }: Pick<ConnectSession, 'id'>): string => digest(`cookie ${id}`).slice(0, TAG_LENGTH);

/** The secrets that this browser was given for the session, the oldest first, and those that no session is named for. */
const secretsFor = (session: Pick<ConnectSession, 'id'>, { cookies }: BrowserRequest): string[] => {
  const tag = tagOf(session);
  return cookies.filter((cookie) => cookie.tag === tag || cookie.tag === '').map(({ secret }) => secret);
};

/** The secret of this browser with that digest. */
export const secretWith = (
  browserDigest: string,
  session: Pick<ConnectSession, 'id'>,
  request: BrowserRequest,
): string | undefined => secretsFor(session, request).find((secret) => digest(secret) === browserDigest);

/** Whether the session is bound to this browser. */
export const isBoundTo = (session: ConnectSession, request: BrowserRequest): boolean =>
  session.browserDigest !== null && secretWith(session.browserDigest, session, request) !== undefined;

/**
 * The cookie to go on with: the one that the session is bound to, the newest that the browser has for it, or a new one. It
 * stays the same when a page is shown again, so that a request that was stopped half-way changes nothing.
 */
export function cookieFor(session: ConnectSession, request: BrowserRequest): BrowserCookie & { isNew: boolean } {
  const tag = tagOf(session);
  const bound = session.browserDigest === null ? undefined : secretWith(session.browserDigest, session, request);
  const known = bound ?? request.cookies.findLast((cookie) => cookie.tag === tag)?.secret;
  return { tag, secret: known ?? newSecret(), isNew: known === undefined };
}

/**
 * What a form of the session carries. Other sites cannot know it, so a post that has it comes from a page that this browser
 * was shown (CSRF); `purpose` keeps a token of one form from being used with another.
 */
export const formToken = (purpose: 'confirm' | 'retry', { id }: Pick<ConnectSession, 'id'>, secret: string): string =>
  digest(`${purpose} ${id} ${secret}`);

/** The secret of the page that the form was on; undefined: this browser was not shown it. */
export const secretOfForm = (
  purpose: 'confirm' | 'retry',
  session: Pick<ConnectSession, 'id'>,
  request: BrowserRequest,
  token: string | undefined,
): string | undefined => secretsFor(session, request).find((secret) => formToken(purpose, session, secret) === token);
