// What every step of the connect flow shares: the browser's request, what the browser gets, and how a step fails.
import { whyDenied } from '../../../domain/authorization-errors.ts';
import type { InputIssue } from '../../../domain/errors.ts';
import type { CredentialField, Params } from '../../../domain/fields.ts';
import type { ConnectSession, Flow } from '../../../domain/integration.ts';
import type { Clock, Logger, ProviderClient, ProviderFault, Store, Telemetry, Vault } from '../../../ports/index.ts';
import type { Access, Call } from '../../audit/index.ts';
import type { TokenCache } from '../../cache/index.ts';
import type { ResolvedIntegration, Targets } from '../../integrations/index.ts';
import type { GrantSources, Resources } from '../../resources/index.ts';
import { keepUnreadableResponse } from '../../secrets/index.ts';
import type { CheckCredentials } from '../entered-credentials/check-credentials.ts';
import type { BoundedLookups } from './bounded-lookups.ts';

/** A secret that a browser was given for one connect session. */
export interface BrowserCookie {
  /** Of the session: see browser-cookies.ts. Empty: of a release that had one cookie for all sessions. */
  tag: string;
  secret: string;
}

export interface BrowserRequest {
  /** Those that the browser has, the oldest first. */
  cookies: readonly BrowserCookie[];
  address: string | null;
  requestId: string;
  client?: Call['client'];
  /** Told the session that the request is about, once that is known: its page is in its language and has its look. */
  about?: ((session: ConnectSession) => void) | undefined;
}

/** What a step answers to the browser. `provider` is the provider's name; `session` the id of the session that has ended. */
export type ConnectStep =
  | { kind: 'redirect'; url: string; provider: string; cookie?: BrowserCookie }
  | ConfirmStep
  | ChooseStep
  | PopupStep
  | { kind: 'connected'; provider: string; label: string; session: string }
  /**
   * The code is being exchanged, or the browser has left the provider's page; the outcome will be at the session's own page,
   * and what is to be posted there begins another try.
   */
  | { kind: 'waiting'; session: string; retryToken: string }
  | RefusedStep;

/** The one form: says what is about to happen, and asks for missing parameters. */
export interface ConfirmStep {
  kind: 'confirm';
  provider: string;
  /** On whose behalf; null: the caller did not say. */
  displayOwner: string | null;
  /** The parameters that are asked for; empty: none. */
  fields: Params;
  values: Record<string, string>;
  /** Empty when the form is shown for the first time. */
  issues: InputIssue[];
  /** What the owner is to enter; undefined: the provider asks them itself. */
  asked?: AskedCredentials | undefined;
  /** The integration that was chosen among several; null: there was nothing to choose. */
  choice: string | null;
  /** The form has been posted, and is shown again. */
  isAgain: boolean;
  /** It has been posted by a browser that has not kept the cookie of the page. */
  lacksCookie: boolean;
  /** To be posted with the form: shows that this browser was shown the page. */
  token: string;
  cookie?: BrowserCookie;
}

/** Credentials that the owner enters, and that are checked before they are stored. */
export interface AskedCredentials {
  fields: Record<string, CredentialField>;
  /** Those that are no secrets. */
  readable: readonly string[];
  /** Where the provider says how to get them. */
  helpUrl: string;
  /** Why they were not stored. */
  trouble: CredentialTrouble | null;
}

/**
 * - `rejected`: the provider does not accept them
 * - `unexpected`: an answer that the catalogue does not know
 * - `unavailable`: the provider does not answer, or no more than it limits
 * - `identity_mismatch`: they are of another account than the one that is connected
 */
export type CredentialTrouble = 'rejected' | 'unexpected' | 'unavailable' | 'identity_mismatch';

/** A session of several integrations: the owner chooses one. */
export interface ChooseStep {
  kind: 'choose';
  displayOwner: string | null;
  choices: readonly { integration: string; provider: string }[];
  lacksCookie: boolean;
  token: string;
  cookie?: BrowserCookie;
}

/** The last page of a session with `display: "popup"`: tells the window that opened it, and closes. */
export interface PopupStep {
  kind: 'popup';
  session: string;
  provider: string;
  status: 'completed' | 'failed' | 'cancelled';
  error: string | null;
  /** Where the browser goes if no window has opened it: the `return_url` with what it is told. */
  url: string;
}

export interface RefusedStep {
  kind: 'refused';
  error: BrowserError;
  provider: string | null;
  session?: string;
  /** The name of the account that is connected, where another one came. */
  wanted?: string | null;
  /** The owner may try again: what is to be posted to the session's page. */
  retryToken?: string;
}

/** What an owner may see go wrong. Some are also the `error` of a session and of a `return_url`. */
export type BrowserError =
  | 'not_found'
  | 'invitation_used'
  | 'invitation_expired'
  | 'invitation_cancelled'
  | 'other_browser'
  | 'invalid_state'
  | 'access_denied'
  | 'provider_error'
  | 'provider_unavailable'
  | 'invalid_answer'
  | 'identity_mismatch'
  | 'account_unknown'
  | 'connection_gone'
  | 'integration_misconfigured';

export interface FlowParts {
  store: Pick<
    Store,
    | 'sessionBySecret'
    | 'session'
    | 'failSession'
    | 'awaitFinish'
    | 'candidate'
    | 'reopenSession'
    | 'hasFailedSession'
    | 'flowOf'
    | 'connection'
    | 'beginFlow'
    | 'bindSession'
    | 'chooseIntegration'
    | 'consumeFlow'
    | 'servedRowsByOwner'
    | 'addConnection'
    | 'addUnreadableResponse'
    | 'renewConnection'
    | 'storedCredentials'
    | 'addPendingRevocation'
    | 'connectionsOfAccount'
    | 'revocationsUnderWay'
  > &
    BoundedLookups;
  vault: Vault;
  provider: Pick<ProviderClient, 'authorizationUrl' | 'exchange'>;
  targets: Targets;
  sources: Pick<GrantSources, 'find'>;
  registrations: Resources['registrations'];
  checkCredentials: CheckCredentials;
  tokenCache: Pick<TokenCache, 'invalidate'>;
  access: Pick<Access, 'recordBrowser'>;
  telemetry: Pick<Telemetry, 'connect'>;
  clock: Clock;
  log: Logger;
  publicUrl: string;
}

/** The row and column that a secret of a flow is encrypted for. */
/** Bound to its session, which says whose the connection will be, and to what the code is exchanged for. */
export const flowContext = (
  { stateDigest, sessionId, integration }: Pick<Flow, 'stateDigest' | 'sessionId' | 'integration'>,
  column: 'verifier' | 'nonce' | 'source',
) => ({ row: `flows/${stateDigest}`, column, bound: [sessionId, integration] });

export const refused = (error: BrowserError, provider: string | null = null, session?: string): RefusedStep => ({
  kind: 'refused',
  error,
  provider,
  ...(session !== undefined && { session }),
});

/** Whether the flow of this session may go on. */
export const isOpen = (session: ConnectSession, now: number): boolean =>
  session.status === 'pending' && session.expiresAt > now;

/** The integration requires the finish since the session was created. */
export const lacksFinish = (
  { finish }: Pick<ConnectSession, 'finish'>,
  { integration }: Pick<ResolvedIntegration, 'integration'>,
): boolean => integration.requireFinish === true && finish !== true;

/** For the audit log. */
export const origin = ({ address, requestId, client }: BrowserRequest) => ({ address, requestId, client });

type FailureParts = Pick<FlowParts, 'store' | 'vault' | 'access' | 'telemetry' | 'clock' | 'log'>;

/** Ends the session with an error, which the owner sees at the `return_url` or on a page of the broker. */
export async function fail(
  { store, access, telemetry, log }: FailureParts,
  session: ConnectSession,
  request: BrowserRequest,
  provider: string,
  error: BrowserError,
  code: string = error,
): Promise<ConnectStep> {
  const { integration, owner, connectionId } = session;
  const subject = { integration, owner, connectionId, detail: code };
  const by = access.recordBrowser(origin(request), 'connection.connect_failed', subject, 'failed');
  await store.failSession(session.id, code, by, code === error ? undefined : error);
  telemetry.connect(integration, error);
  log.info({ session: session.id, integration, error: code, request_id: request.requestId }, 'connect: session failed');
  if (session.returnUrl === null) return refused(error, provider, session.id);
  return returnTo(session, provider, { status: 'error', error: code });
}

/** The same for a fault of the provider. Callers get the provider's own code where it refused, ours where we did. */
export async function failWith(
  parts: FailureParts,
  session: ConnectSession,
  request: BrowserRequest,
  provider: string,
  fault: ProviderFault,
): Promise<ConnectStep> {
  const { kind, code, detail, unreadable } = fault;
  await keepUnreadableResponse(parts, { integration: session.integration, sessionId: session.id }, unreadable);
  parts.log.warn({ session: session.id, kind, code, detail }, 'connect: the provider returned an error');
  const error = browserError(fault);
  const shown = kind === 'transient' || kind === 'misconfigured' ? error : code;
  return fail(parts, session, request, provider, error, shown);
}

const DENIED = {
  cancelled: 'access_denied',
  unavailable: 'provider_unavailable',
  refused: 'provider_error',
} as const satisfies Record<ReturnType<typeof whyDenied>, BrowserError>;

function browserError(fault: ProviderFault): BrowserError {
  switch (fault.kind) {
    case 'denied':
      return DENIED[whyDenied(fault.code)];
    case 'transient':
      return 'provider_unavailable';
    case 'misconfigured':
      return 'integration_misconfigured';
    case 'grant_dead':
    case 'invalid':
    case 'identity_changed':
      return 'invalid_answer';
  }
}

/**
 * Sends the browser to the `return_url`, which the session must have; a pop-up is told instead how the session has ended, but
 * for a finish code, which only the `return_url` may have.
 */
export function returnTo(
  { id, returnUrl, display }: ConnectSession,
  provider: string,
  outcome: { status: 'success' | 'confirm' | 'error'; error?: string } & Record<string, string>,
): ConnectStep {
  const { status, ...more } = outcome;
  const url = withQuery(returnUrl ?? '', { status, connect_session_id: id, ...more });
  if (display !== 'popup' || status === 'confirm') return { kind: 'redirect', provider, url };
  const ended = status === 'success' ? 'completed' : outcome.error === 'invitation_cancelled' ? 'cancelled' : 'failed';
  return { kind: 'popup', session: id, provider, status: ended, error: outcome.error ?? null, url };
}

function withQuery(url: string, values: Record<string, string>): string {
  const target = new URL(url);
  for (const [name, value] of Object.entries(values)) target.searchParams.set(name, value);
  return target.href;
}
