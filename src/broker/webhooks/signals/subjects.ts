// Which connections a signal is about: exact values only, of live connections.
import type { Connection } from '../../../domain/connection.ts';
import type { Store } from '../../../ports/index.ts';
import { usableConnections } from '../processing/usable-connections.ts';
import type { SignalReceiver } from './receivers.ts';
import type { StoredSubject } from './stored-signal.ts';

/** That are read at once, also of other issuers. One account may be connected by many owners. */
const MAX_CONNECTIONS = 1_000;

/**
 * Each once. All whose grant is usable, however many there are; of the others, those that are among the first. `areDestroyed`: what is
 * done with one destroys it, so that it is not found again, and others come first then: all of them.
 */
export async function* connectionsOf(
  store: Pick<Store, 'connectionsByValue' | 'usableConnectionsByValue'>,
  receiver: Pick<SignalReceiver, 'integration' | 'subjectIssuer'>,
  subject: StoredSubject,
  areDestroyed: boolean,
): AsyncGenerator<Connection> {
  const seen = new Set<string>();
  for (let before = -1; seen.size > before; ) {
    before = seen.size;
    for await (const one of firstOf(store, receiver, subject)) {
      if (seen.has(one.id)) continue;
      seen.add(one.id);
      yield one;
    }
    if (!areDestroyed) return;
  }
}

async function* firstOf(
  store: Pick<Store, 'connectionsByValue' | 'usableConnectionsByValue'>,
  receiver: Pick<SignalReceiver, 'integration' | 'subjectIssuer'>,
  subject: StoredSubject,
): AsyncGenerator<Connection> {
  const { integration, subjectIssuer } = receiver;
  if (subject.kind === 'token') {
    const found = await Promise.all(
      subject.values.map((value) => store.connectionsByValue(integration, subject.key, value, MAX_CONNECTIONS)),
    );
    yield* found.flat();
  }
  if (subject.kind !== 'identity') return;
  const issuer = subjectIssuer?.of === subject.issuer ? subjectIssuer.is : subject.issuer;
  const isOf = ({ identity }: Connection) => identity?.issuer === issuer && identity.subject === subject.subject;
  const first = await store.connectionsByValue(integration, SUBJECT, subject.subject, MAX_CONNECTIONS);
  yield* first.filter(isOf);
  if (first.length < MAX_CONNECTIONS) return;
  for await (const one of usableConnections(store, integration, SUBJECT, subject.subject)) if (isOf(one)) yield one;
}

const SUBJECT = 'identity.sub';
