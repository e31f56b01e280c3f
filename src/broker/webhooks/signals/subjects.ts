// Which connections a signal is about: exact values only, of live connections.
import type { Connection } from '../../../domain/connection.ts';
import type { Store } from '../../../ports/index.ts';
import { usableConnections } from '../processing/usable-connections.ts';
import type { SignalReceiver } from './receivers.ts';
import type { StoredSubject } from './stored-signal.ts';

/** That are read at once, also of other issuers. One account may be connected by many owners. */
const MAX_CONNECTIONS = 1_000;

/** All whose grant is usable, however many there are; of the others, those that are among the first. */
export async function* connectionsOf(
  store: Pick<Store, 'connectionsByValue' | 'usableConnectionsByValue'>,
  receiver: Pick<SignalReceiver, 'integration' | 'subjectIssuer'>,
  subject: StoredSubject,
): AsyncGenerator<Connection> {
  const { integration, subjectIssuer } = receiver;
  if (subject.kind === 'token') {
    const found = await Promise.all(
      subject.values.map((value) => store.connectionsByValue(integration, subject.key, value, MAX_CONNECTIONS)),
    );
    yield* distinct(found.flat());
  }
  if (subject.kind !== 'identity') return;
  const issuer = subjectIssuer?.of === subject.issuer ? subjectIssuer.is : subject.issuer;
  const isOf = ({ identity }: Connection) => identity?.issuer === issuer && identity.subject === subject.subject;
  const first = await store.connectionsByValue(integration, SUBJECT, subject.subject, MAX_CONNECTIONS);
  yield* first.filter(isOf);
  if (first.length < MAX_CONNECTIONS) return;
  const seen = new Set(first.map(({ id }) => id));
  for await (const one of usableConnections(store, integration, SUBJECT, subject.subject))
    if (!seen.has(one.id) && isOf(one)) yield one;
}

const SUBJECT = 'identity.sub';
const distinct = (all: Connection[]): Connection[] => [...new Map(all.map((one) => [one.id, one])).values()];
