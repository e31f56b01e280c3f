// How a connect session has ended, for a browser that comes again: a reload, a restored tab, the back button, a second click.
import { setTimeout as pause } from 'node:timers/promises';
import { readableName } from '../../../domain/account.ts';
import { Refusal } from '../../../domain/errors.ts';
import { type ConnectSession, RETRIED } from '../../../domain/integration.ts';
import { EXCHANGE_POLL_MS, EXCHANGE_WAIT_MS } from '../../../domain/time-limits.ts';
import { existingFor } from '../received-grant/store-grant.ts';
import { formToken, isBoundTo, secretWith } from './browser-cookies.ts';
import { confirmAgain } from './confirm-again.ts';
import {
  type BrowserError,
  type BrowserRequest,
  type ConnectStep,
  type FlowParts,
  isOpen,
  refused,
  returnTo,
} from './steps.ts';

export interface Outcome {
  /** For the browser of the session, at the session's own page. Others are told that the link is used. */
  of(session: ConnectSession, request: BrowserRequest): Promise<ConnectStep>;
  /** For any browser that opens the link of a session that is not open: its own one is shown how it ended. */
  ofLink(session: ConnectSession, request: BrowserRequest): Promise<ConnectStep>;
  /** The same as `of`, once the exchange of its code is over; `waiting` if that takes longer. */
  afterExchange(session: ConnectSession, request: BrowserRequest): Promise<ConnectStep>;
}

export function createOutcome(parts: FlowParts): Outcome {
  const { store, targets, clock } = parts;
  /** One for all who wait for the same exchange, and may reload as often as they like. */
  const waits = new Map<string, Promise<ConnectSession | undefined>>();

  async function untilExchanged(session: ConnectSession): Promise<ConnectSession | undefined> {
    let current: ConnectSession | undefined = session;
    for (let waited = 0; waited < EXCHANGE_WAIT_MS && current?.status === 'pending'; waited += EXCHANGE_POLL_MS) {
      await pause(EXCHANGE_POLL_MS);
      current = await store.session(session.id);
    }
    return current;
  }

  async function providerName({ integration }: ConnectSession): Promise<string> {
    const found = await targets.find(integration);
    return found instanceof Refusal ? integration : found.provider.name;
  }

  /** For a session that has ended before it was completed, and links that others hold. */
  function over(session: ConnectSession, name: string, error: BrowserError): ConnectStep {
    if (session.returnUrl === null) return refused(error, name);
    return returnTo(session, name, { status: 'error', error });
  }

  const whyOver = ({ status, expiresAt }: ConnectSession): BrowserError => {
    if (status === 'cancelled') return 'invitation_cancelled';
    const expired = status === 'expired' || (status === 'pending' && expiresAt <= clock.now());
    return expired ? 'invitation_expired' : 'invitation_used';
  };

  async function failed(session: ConnectSession, name: string, request: BrowserRequest): Promise<ConnectStep> {
    const error = session.error ?? 'provider_error';
    if (session.returnUrl !== null) return returnTo(session, name, { status: 'error', error });
    const step = refused((session.pageError ?? error) as BrowserError, name, session.id);
    if (!RETRIED.includes(error) || session.expiresAt <= clock.now() || session.browserDigest === null) return step;
    const secret = secretWith(session.browserDigest, session, request);
    if (secret === undefined) return step;
    const account = (await existingFor(store, session))?.account;
    const wanted = (account && readableName(account)) ?? null;
    return { ...step, wanted, retryToken: formToken('retry', session, secret) };
  }

  async function of(session: ConnectSession, request: BrowserRequest): Promise<ConnectStep> {
    const name = await providerName(session);
    const secret = session.browserDigest === null ? undefined : secretWith(session.browserDigest, session, request);
    if (secret === undefined) return refused('invitation_used', name);
    switch (session.status) {
      case 'completed': {
        const { id, label, returnUrl, connectionId } = session;
        if (returnUrl === null) return { kind: 'connected', provider: name, label, session: id };
        return returnTo(session, name, { status: 'success', connection_id: connectionId ?? '' });
      }
      case 'failed':
        return failed(session, name, request);
      case 'pending':
        return isOpen(session, clock.now())
          ? { kind: 'waiting', session: session.id, retryToken: formToken('retry', session, secret) }
          : over(session, name, 'invitation_expired');
      case 'awaiting_finish': {
        // The same code again: the answer that had it may not have reached the browser.
        return (await confirmAgain(parts, session, name)) ?? over(session, name, 'invitation_expired');
      }
      default:
        return over(session, name, whyOver(session));
    }
  }

  return {
    of,
    async ofLink(session, request) {
      const isSettled = ['awaiting_finish', 'completed', 'failed'].includes(session.status);
      if (isSettled && isBoundTo(session, request)) return of(session, request);
      return over(session, await providerName(session), whyOver(session));
    },
    async afterExchange(session, request) {
      const { id } = session;
      const wait = waits.get(id) ?? untilExchanged(session).finally(() => waits.delete(id));
      waits.set(id, wait);
      return of((await wait) ?? session, request);
    },
  };
}
