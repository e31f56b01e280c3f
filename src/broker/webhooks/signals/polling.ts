// Fetches events from transmitters that do not push (RFC 8936), and acknowledges them once they are durable.
import { isObject, parseJson } from '../../../domain/json.ts';
import { createPeriodicTask } from '../../../domain/periodic-task.ts';
import type { SetFault } from '../../../domain/security-events.ts';
import { SIGNAL_POLL_INTERVAL_MS, SIGNAL_POLL_TIMEOUT_MS } from '../../../domain/time-limits.ts';
import type { Clock, Logger, Store } from '../../../ports/index.ts';
import type { SignalReceiver, SignalReceivers } from './receivers.ts';
import type { SignalReceiving } from './receiving.ts';

/** POST of a JSON text, to a URL that an admin has set. */
export type PostJson = (
  url: string,
  init: { headers: Record<string, string>; body: string; timeoutMs: number },
) => Promise<{ status: number; text(): Promise<string> }>;

export interface SignalPolling {
  start(): void;
  stop(): Promise<void>;
}

const MAX_EVENTS = 100;
/** Rounds of one turn, while the transmitter has more. */
const MAX_ROUNDS = 20;

interface Parts {
  store: Pick<Store, 'takeFromBucket'>;
  receivers: Pick<SignalReceivers, 'polled'>;
  receiving: Pick<SignalReceiving, 'receivePolled'>;
  post: PostJson;
  everyMs?: number | undefined;
  clock: Pick<Clock, 'monotonic'>;
  log: Logger;
}

interface Answered {
  ack: string[];
  setErrs: Record<string, { err: SetFault | 'authentication_failed'; description: string }>;
}

const NOTHING: Answered = { ack: [], setErrs: {} };
const isEmpty = ({ ack, setErrs }: Answered) => ack.length === 0 && Object.keys(setErrs).length === 0;

export function createSignalPolling(parts: Parts): SignalPolling {
  const { store, receivers, receiving, post, everyMs = SIGNAL_POLL_INTERVAL_MS, clock, log } = parts;
  const running = new Map<string, Promise<void>>();
  const polling = createPeriodicTask(pollAll, (error) =>
    log.error({ err: error }, 'signals: the integrations could not be read, will retry'),
  );

  /** Undefined: it did not answer as it should. */
  async function ask(
    { settings, integration }: SignalReceiver,
    answered: Answered,
    maxEvents: number,
  ): Promise<{ sets: Record<string, unknown>; moreAvailable: boolean } | undefined> {
    const { ack, setErrs } = answered;
    const body = JSON.stringify({
      maxEvents,
      returnImmediately: true,
      ...(ack.length > 0 && { ack }),
      ...(Object.keys(setErrs).length > 0 && { setErrs }),
    });
    const headers = {
      'content-type': 'application/json',
      accept: 'application/json',
      ...(settings.token !== undefined && { authorization: `Bearer ${settings.token.replace(/^Bearer +/i, '')}` }),
    };
    const response = await post(settings.poll_url!, { headers, body, timeoutMs: SIGNAL_POLL_TIMEOUT_MS });
    const text = await response.text();
    // An acknowledgement alone may be answered without content.
    if (response.status === 204 || (response.status === 200 && text === '')) return { sets: {}, moreAvailable: false };
    if (response.status !== 200) {
      log.warn({ integration, status: response.status }, 'signals: the transmitter refuses to be polled');
      return undefined;
    }
    // What does not parse is not shown: it may repeat the token.
    const found = parseJson(text);
    if (!isObject(found)) {
      log.warn({ integration }, 'signals: the transmitter answers a poll with no JSON object');
      return undefined;
    }
    const { sets, moreAvailable } = found;
    return { sets: isObject(sets) ? sets : {}, moreAvailable: moreAvailable === true };
  }

  /** One that cannot be verified or stored now is left out, so that the transmitter keeps it. */
  async function take(receiver: SignalReceiver, sets: Record<string, unknown>): Promise<Answered> {
    const answered: Answered = { ack: [], setErrs: {} };
    for (const [jti, token] of Object.entries(sets).slice(0, MAX_EVENTS)) {
      const answer = await receiving.receivePolled(receiver, typeof token === 'string' ? token : '');
      if (answer.kind === 'taken') answered.ack.push(jti);
      else if (answer.kind === 'refused')
        answered.setErrs[jti] = { err: answer.error, description: answer.description };
    }
    return answered;
  }

  async function poll(receiver: SignalReceiver): Promise<void> {
    let answered = NOTHING;
    const until = clock.monotonic() + everyMs / 2;
    for (let round = 0; round < MAX_ROUNDS && !polling.isStopped() && clock.monotonic() < until; round++) {
      const found = await ask(receiver, answered, MAX_EVENTS);
      if (!found) return;
      answered = await take(receiver, found.sets);
      if (!found.moreAvailable || isEmpty(answered)) break;
    }
    if (!isEmpty(answered)) await ask(receiver, answered, 0);
  }

  /** One process at a time: a permit is given once in each interval, by the clock of the store. */
  async function pollIfFree(receiver: SignalReceiver): Promise<void> {
    const { integration } = receiver;
    const limits = { perSecond: 1_000 / everyMs, burst: 1, reserve: 0 };
    try {
      const { taken } = await store.takeFromBucket(`signals/${integration}`, 1, limits);
      if (taken > 0) await poll(receiver);
    } catch (error) {
      log.warn({ err: error, integration }, 'signals: the transmitter could not be polled, will retry');
    }
  }

  /** Those that are not being polled still: one that hangs keeps no other from its next turn. */
  async function pollAll(): Promise<void> {
    for (const receiver of await receivers.polled()) {
      const { integration } = receiver;
      if (running.has(integration)) continue;
      const work = pollIfFree(receiver).finally(() => running.delete(integration));
      running.set(integration, work);
    }
  }

  return {
    start: () => polling.start(everyMs),
    async stop() {
      await polling.stop();
      await Promise.all(running.values());
    },
  };
}
