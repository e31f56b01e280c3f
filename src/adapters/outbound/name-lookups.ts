// Looks up names of third parties. The resolver of the system takes a thread for as long as it waits, and has two of them in a
// process: names whose servers are silent would keep everyone else, the database too, from looking up anything.
import { type LookupAddress, type LookupAllOptions, promises, lookup as systemLookup } from 'node:dns';
import { LRUCache } from 'lru-cache';
import { upTo } from '../../domain/cache-bounds.ts';
import { createLane } from '../../domain/lane.ts';
import { NAME_LOOKUP_SLOW_MS, NAME_LOOKUP_WAIT_MS, NAME_SERVER_TIMEOUT_MS } from '../../domain/time-limits.ts';

/** As `dns.lookup` of Node, for all addresses. */
export type Resolver = (
  hostname: string,
  options: LookupAllOptions,
  callback: (error: NodeJS.ErrnoException | null, addresses: LookupAddress[]) => void,
) => void;

interface Parts {
  /** That of the system, with its threads. */
  system?: Resolver;
  /** Asks the name servers, without threads: what is only in a file or a search domain of the machine is not found. */
  servers?: (hostname: string, family: number) => Promise<LookupAddress[]>;
  slowMs?: number;
  /** Milliseconds, monotonic. */
  now?: () => number;
}

/** Names that were quick the last time. */
const MAX_QUICK = 10_000;
/** Names that may wait for a thread. */
const MAX_WAITING = 1_000;

/**
 * A resolver that asks that of the system for each name once at a time, and uses one thread for names that it has answered at
 * once before, and one for all others. Where it has no answer for a while, the name servers are asked, too, and the first
 * addresses count; when none has any, the error is that of the system.
 */
export function createNameLookups({
  system = (...asked) => systemLookup(...asked),
  servers = askServers,
  slowMs = NAME_LOOKUP_SLOW_MS,
  now = () => performance.now(),
}: Parts = {}): Resolver {
  const quick = new LRUCache<string, true>(upTo(MAX_QUICK));
  const lanes = {
    quick: createLane({ atOnce: 1, waiting: MAX_WAITING }),
    others: createLane({ atOnce: 1, waiting: MAX_WAITING }),
  };
  const running = new Map<string, Promise<LookupAddress[] | 'full'>>();

  /** `full`: too many wait, or it has waited for so long that no one does any more; the next one is not to wait for it either. */
  async function ask(name: string, hostname: string, options: LookupAllOptions): Promise<LookupAddress[] | 'full'> {
    const asked = now();
    const lane = quick.has(name) ? lanes.quick : lanes.others;
    return lane.run(async () => {
      const started = now();
      if (started - asked > NAME_LOOKUP_WAIT_MS) return 'full' as const;
      try {
        return await new Promise<LookupAddress[]>((resolve, reject) =>
          system(hostname, options, (error, addresses) => (error ? reject(error) : resolve(addresses))),
        );
      } finally {
        if (now() - started < slowMs) quick.set(name, true);
        else quick.delete(name);
      }
    });
  }

  function bySystem(hostname: string, options: LookupAllOptions): Promise<LookupAddress[] | 'full'> {
    const name = JSON.stringify([hostname, options.family ?? 0, options.hints ?? 0]);
    const known = running.get(name);
    if (known) return known;
    const asked = ask(name, hostname, options).finally(() => running.delete(name));
    running.set(name, asked);
    return asked;
  }

  async function find(hostname: string, options: LookupAllOptions): Promise<LookupAddress[]> {
    const byServers = () => servers(hostname, Number(options.family) || 0);
    const asked = bySystem(hostname, options).then((found) => (found === 'full' ? byServers() : found));
    if (!(await isLate(asked, slowMs))) return asked;
    return Promise.any([asked, byServers()]).catch(() => asked);
  }

  return (hostname, options, callback) => {
    find(hostname, options).then(
      (addresses) => callback(null, addresses),
      (error: NodeJS.ErrnoException) => callback(error, []),
    );
  };
}

/** Whether it is not settled after so long. */
function isLate(work: Promise<unknown>, ms: number): Promise<boolean> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms, true);
    const settled = () => {
      clearTimeout(timer);
      resolve(false);
    };
    work.then(settled, settled);
  });
}

const unanswered = (hostname: string): NodeJS.ErrnoException =>
  Object.assign(new Error(`no name server has answered for ${hostname} in time`), { code: 'EAI_AGAIN' });

/** One for all questions: they share its sockets. Made with the first. */
let nameServers: promises.Resolver | undefined;

/** Both families, unless one is asked for. Rejects when neither has addresses. */
async function askServers(hostname: string, family: number): Promise<LookupAddress[]> {
  nameServers ??= new promises.Resolver({ timeout: NAME_SERVER_TIMEOUT_MS, tries: 2 });
  const found = await Promise.allSettled([
    family === 6 ? [] : nameServers.resolve4(hostname),
    family === 4 ? [] : nameServers.resolve6(hostname),
  ]);
  const addresses = found.flatMap((answer, i) =>
    answer.status === 'fulfilled' ? answer.value.map((address) => ({ address, family: i === 0 ? 4 : 6 })) : [],
  );
  if (addresses.length === 0) throw unanswered(hostname);
  return addresses;
}

/** That of this process: its threads are of all clients. */
export const lookupName: Resolver = createNameLookups();
