// Which connections a signal is about: exact values only, of live connections.
import type { Connection } from '../../../domain/connection.ts';
import type { Store } from '../../../ports/index.ts';
import type { SignalReceiver } from './receivers.ts';
import type { StoredSubject } from './stored-signal.ts';

/** One account may be connected by many owners. */
const MAX_CONNECTIONS = 1_000;

export async function connectionsOf(
  store: Pick<Store, 'connectionsByValue'>,
  receiver: Pick<SignalReceiver, 'integration' | 'subjectIssuer'>,
  subject: StoredSubject,
): Promise<Connection[]> {
  const { integration, subjectIssuer } = receiver;
  if (subject.kind === 'token') {
    const found = await Promise.all(
      subject.values.map((value) => store.connectionsByValue(integration, subject.key, value, MAX_CONNECTIONS)),
    );
    return distinct(found.flat());
  }
  if (subject.kind !== 'identity') return [];
  const issuer = subjectIssuer?.of === subject.issuer ? subjectIssuer.is : subject.issuer;
  const same = await store.connectionsByValue(integration, 'identity.sub', subject.subject, MAX_CONNECTIONS);
  return same.filter(({ identity }) => identity?.issuer === issuer && identity.subject === subject.subject);
}

const distinct = (all: Connection[]): Connection[] => [...new Map(all.map((one) => [one.id, one])).values()];
