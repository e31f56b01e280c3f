// A worker's side: what it shares with the others, through the supervisor.
import { WORKER_COUNT_WAIT_MS, WORKER_METRICS_WAIT_MS } from '../../domain/time-limits.ts';
import { type CountedRequests, createRequestCounts, type RequestCounts } from '../../http/middleware/rate-limits.ts';
import type { CollectedMetrics } from '../../ports/index.ts';
import { createAnswers } from './answers.ts';
import type { ReadyMessage, RequestToCount, StartMessage, ToSupervisor, ToWorker } from './messages.ts';

/** The workers of a deployment on this machine, as one of them sees them. */
export interface Siblings {
  /** Exact over all workers. While the supervisor does not answer, each counts by itself. */
  counts: RequestCounts;
  /** Failed authentications of all workers. */
  failures: {
    tell(key: string): void;
    onTold(listener: (key: string) => void): void;
  };
  /** The metrics of all workers as one text. `own`: of this one, which is also asked when a scraper asks another worker. */
  metricsOfAll(own: () => Promise<CollectedMetrics>): () => Promise<string>;
}

export interface SupervisorLink {
  started: Promise<StartMessage>;
  siblings: Siblings;
  ready(message: Omit<ReadyMessage, 'kind'>): void;
  /** The supervisor has ended, or the link was closed. */
  gone: Promise<void>;
  /** The process may end: it is kept alive by the link. */
  close(): void;
}

type Channel = Pick<NodeJS.Process, 'send' | 'on' | 'once' | 'connected' | 'disconnect'>;

/** `channel`: of a process that the supervisor has started. */
export function linkToSupervisor(channel: Channel): SupervisorLink {
  const { promise: started, resolve: start } = Promise.withResolvers<StartMessage>();
  const gone = new Promise<void>((resolve) => channel.once('disconnect', resolve));
  const counted = createAnswers<CountedRequests[]>(WORKER_COUNT_WAIT_MS);
  const allCollected = createAnswers<Extract<ToWorker, { kind: 'all-collected' }>>(2 * WORKER_METRICS_WAIT_MS);
  let collectOwn: () => Promise<CollectedMetrics> = async () => [];
  let told: (key: string) => void = () => undefined;

  const send = (message: ToSupervisor) =>
    void (channel.connected && channel.send?.(message, undefined, undefined, () => undefined));

  channel.on('message', (received) => {
    const message = received as ToWorker;
    switch (message.kind) {
      case 'start':
        start(message);
        break;
      case 'counted':
        counted.settle(message.id, message.counts);
        break;
      case 'collect':
        void collectOwn().then((metrics) => send({ kind: 'collected', id: message.id, metrics }));
        break;
      case 'all-collected':
        allCollected.settle(message.id, message);
        break;
      case 'failures':
        for (const key of message.keys) told(key);
        break;
      case 'ping':
        send({ kind: 'pong' });
    }
  });
  send({ kind: 'hello' });

  const countThere = (requests: RequestToCount[]) => counted.ask((id) => send({ kind: 'count', id, requests }));
  return {
    started,
    siblings: {
      counts: sharedCounts(countThere),
      failures: {
        tell: inBatches((keys) => send({ kind: 'failures', keys })),
        onTold: (listener) => {
          told = listener;
        },
      },
      metricsOfAll(own) {
        collectOwn = own;
        return async () => {
          const { mergedText } = await import('../../adapters/telemetry/merged-metrics.ts');
          const mine = await own();
          const all = await allCollected.ask((id) => send({ kind: 'collect-all', id, own: mine }));
          return mergedText([mine, ...(all?.others ?? [])], all?.workers);
        };
      },
    },
    ready: ({ url, internalUrl, publicUrl }) => send({ kind: 'ready', url, internalUrl, publicUrl }),
    gone,
    close: () => {
      if (channel.connected) channel.disconnect();
    },
  };
}

/** Requests of one turn of the event loop are counted with one message. */
function sharedCounts(
  countThere: (requests: RequestToCount[]) => Promise<CountedRequests[] | undefined>,
): RequestCounts {
  const own = createRequestCounts();
  type Waiting = RequestToCount & { resolve: (counted: CountedRequests | Promise<CountedRequests>) => void };
  const count = inBatches(async (batch: Waiting[]) => {
    const counted = await countThere(batch.map(({ callerId, limit }) => ({ callerId, limit })));
    for (const [i, { callerId, limit, resolve }] of batch.entries()) resolve(counted?.[i] ?? own.add(callerId, limit));
  });
  return { add: (callerId, limit) => new Promise((resolve) => count({ callerId, limit, resolve })) };
}

/** What comes in one turn of the event loop is handled together. */
function inBatches<T>(handle: (batch: T[]) => unknown): (item: T) => void {
  let waiting: T[] = [];
  const flush = () => {
    const batch = waiting;
    waiting = [];
    void handle(batch);
  };
  return (item) => {
    if (waiting.push(item) === 1) setImmediate(flush);
  };
}
