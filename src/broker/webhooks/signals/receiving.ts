// Receives security event tokens and logout tokens: verified before anything is looked up, stored, and only then answered with
// success. Acted on afterwards.
import { hash } from 'node:crypto';
import type { ReceivedWebhook } from '../../../domain/received-webhook.ts';
import type { SetFault } from '../../../domain/security-events.ts';
import { SIGNAL_RETRY_AFTER_S } from '../../../domain/time-limits.ts';
import type {
  Clock,
  Logger,
  SecurityEventVerifier,
  SetVerdict,
  Store,
  Telemetry,
  Vault,
} from '../../../ports/index.ts';
import { digest, isSameSecret, newId } from '../../secrets/index.ts';
import type { Admission } from '../receiving/admission.ts';
import type { SignalReceiver, SignalReceivers } from './receivers.ts';
import { encryptSignal, type StoredSignal, signalOf } from './stored-signal.ts';

export type SignalAnswer =
  /** Durable, or received before. */
  | { kind: 'taken'; isNew: boolean }
  | { kind: 'refused'; error: SetFault | 'authentication_failed'; description: string }
  | { kind: 'not_set_up' }
  /** Seconds. */
  | { kind: 'unavailable'; retryAfter: number };

export interface Arrival {
  integration: string;
  address: string | null;
}

export interface SignalReceiving {
  /** Before the body is read. Undefined: read it. */
  admit(arrival: Arrival): SignalAnswer | undefined;
  /** A security event token. `authorization`: the header. Rejects with `StoreError`. */
  receiveSet(arrival: Arrival, token: string, authorization: string | undefined): Promise<SignalAnswer>;
  /** Rejects with `StoreError`. */
  receiveLogout(arrival: Arrival, token: string): Promise<SignalAnswer>;
  /** A token that was fetched for this integration. */
  receivePolled(receiver: SignalReceiver, token: string): Promise<SignalAnswer>;
}

/** Signals and webhooks that wait to be processed. */
const MAX_OPEN = 100_000;

interface Parts {
  store: Pick<Store, 'receive'>;
  vault: Pick<Vault, 'encrypt' | 'digests'>;
  receivers: SignalReceivers;
  verifier: SecurityEventVerifier;
  admission: Pick<Admission, 'take' | 'giveBack'>;
  /** Called when something is due for processing. */
  onReceived: () => void;
  telemetry: Pick<Telemetry, 'signal'>;
  clock: Pick<Clock, 'now'>;
  log: Logger;
}

type Kind = 'signal' | 'logout';

export function createSignalReceiving(parts: Parts): SignalReceiving {
  const { store, vault, receivers, verifier, admission, onReceived, telemetry, clock, log } = parts;
  const unavailable = (): SignalAnswer => ({ kind: 'unavailable', retryAfter: SIGNAL_RETRY_AFTER_S });

  /** Sets with these claims are one: the same for several receivers of one stream. */
  const keyOf = (kind: Kind, issuer: string, jti: string, integrations: string[]) =>
    digest(JSON.stringify([kind, issuer, jti, integrations]));

  async function keep(
    { integration, transmitter, issuer }: SignalReceiver,
    kind: Kind,
    { claims, jti }: Extract<SetVerdict, { kind: 'verified' }>,
    signal: StoredSignal,
  ): Promise<SignalAnswer> {
    const now = clock.now();
    const id = newId('whr', now);
    const { text, body } = encryptSignal(vault, id, claims, signal);
    const row: ReceivedWebhook = {
      id,
      kind,
      integration,
      status: 'received',
      reason: null,
      receivedAt: now,
      method: 'POST',
      contentType: kind === 'signal' ? 'application/secevent+jwt' : 'application/x-www-form-urlencoded',
      path: kind === 'signal' ? `/signals/${integration}` : `/logout/${integration}`,
      headers: {},
      digest: hash('sha256', text),
      size: Buffer.byteLength(text),
      body,
      items: signal.events.map(({ type }, index) => ({
        index,
        eventId: newId('msg', now),
        providerEventId: jti,
        providerType: type,
      })),
      attempts: 0,
      nextAt: now,
      processedAt: null,
    };
    const from = kind === 'signal' ? transmitter.issuer : (issuer ?? '');
    const key = keyOf(kind, from, jti, signal.integrations);
    const keys = Object.fromEntries(row.items.map(({ index }) => [index, index === 0 ? key : `${key}.${index}`]));
    const taken = await store.receive(row, keys, MAX_OPEN);
    if (taken === 'full') {
      telemetry.signal(integration, 'full');
      return unavailable();
    }
    const isNew = taken.length > 0;
    telemetry.signal(integration, isNew ? 'taken' : 'duplicate');
    if (isNew) onReceived();
    return { kind: 'taken', isNew };
  }

  /** What is not verified; undefined: it is. */
  function refusalOf(receiver: SignalReceiver, verdict: SetVerdict): SignalAnswer | undefined {
    if (verdict.kind === 'verified') return undefined;
    const { integration, transmitter } = receiver;
    telemetry.signal(integration, verdict.kind);
    if (verdict.kind === 'unavailable') {
      log.warn(
        { integration, issuer: transmitter.issuer },
        'signals: the keys cannot be fetched, the sender will retry',
      );
      return unavailable();
    }
    const { fault, description } = verdict;
    log.info({ integration, fault, description }, 'signals: a token was refused');
    return { kind: 'refused', error: fault, description };
  }

  async function takeSet(receiver: SignalReceiver, token: string): Promise<SignalAnswer> {
    const { integration, transmitter } = receiver;
    const related = await receivers.ofTransmitter(transmitter);
    const clientIds = related.map(({ clientId }) => clientId).filter((id) => id !== '');
    const verdict = await verifier.verifySet(token, transmitter, {
      audiences: [...receiver.audiences, ...clientIds],
      isTyped: transmitter.isTyped,
    });
    const refused = refusalOf(receiver, verdict);
    if (refused || verdict.kind !== 'verified') return refused ?? unavailable();
    const isMeant = (one: SignalReceiver): boolean =>
      (one.clientId !== '' && verdict.audiences.includes(one.clientId)) ||
      (one.integration === integration && one.audiences.some((audience) => verdict.audiences.includes(audience)));
    const meant = related.filter(isMeant).map((one) => one.integration);
    return keep(receiver, 'signal', verdict, signalOf(vault, verdict.claims, meant.sort()));
  }

  async function receiverOf({ integration }: Arrival): Promise<SignalReceiver | undefined> {
    const receiver = await receivers.find(integration);
    // Not by its name: anyone may ask for any.
    if (!receiver) telemetry.signal('', 'not_set_up');
    return receiver;
  }

  /** What is verified gives its token back: genuine senders have no limit. */
  function settled({ integration, address }: Arrival, answer: SignalAnswer): SignalAnswer {
    if (answer.kind === 'taken') admission.giveBack(integration, address);
    return answer;
  }

  return {
    admit({ integration, address }) {
      const wait = admission.take(integration, address);
      if (wait === 0) return undefined;
      telemetry.signal('', 'rate_limited');
      return { kind: 'unavailable', retryAfter: wait };
    },

    async receiveSet(arrival, token, authorization) {
      const receiver = await receiverOf(arrival);
      if (!receiver) return { kind: 'not_set_up' };
      const { poll_url, token: expected } = receiver.settings;
      if (
        expected !== undefined &&
        poll_url === undefined &&
        !isSameSecret(withoutScheme(authorization), withoutScheme(expected))
      ) {
        telemetry.signal(receiver.integration, 'refused');
        return {
          kind: 'refused',
          error: 'authentication_failed',
          description: 'the Authorization header is not right',
        };
      }
      return settled(arrival, await takeSet(receiver, token));
    },

    async receiveLogout(arrival, token) {
      const receiver = await receiverOf(arrival);
      if (!receiver || receiver.issuer === null || receiver.clientId === '') return { kind: 'not_set_up' };
      const { integration, issuer, clientId } = receiver;
      const verdict = await verifier.verifyLogoutToken(token, issuer, [clientId]);
      const refused = refusalOf(receiver, verdict);
      if (refused || verdict.kind !== 'verified') return refused ?? unavailable();
      const { claims } = verdict;
      const signal = signalOf(vault, claims, [integration]);
      // The subject of a logout token is the one of ID tokens.
      const subject =
        typeof claims.sub === 'string' && claims.sub !== ''
          ? ({ kind: 'identity', issuer, subject: claims.sub } as const)
          : ({ kind: 'other' } as const);
      const events = signal.events.map((event) => ({ ...event, subject }));
      return settled(arrival, await keep(receiver, 'logout', verdict, { ...signal, events }));
    },

    receivePolled: takeSet,
  };
}

/** With or without the scheme: transmitters send the header as it was given to them. */
const withoutScheme = (authorization = ''): string => authorization.replace(/^Bearer +/i, '');
