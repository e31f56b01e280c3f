// The listeners of a broker: one for everyone, or one for browsers and providers and an internal one for callers and operators.
import { basePath } from '../domain/urls.ts';
import { type Listener, listen, type PortSharing } from './listener.ts';
import type { Http } from './server.ts';

export type { PortSharing } from './listener.ts';

export interface Listeners {
  /** The public one, as reached from this machine. */
  url: string;
  /** Undefined: the public one serves everything. */
  internalUrl: string | undefined;
  /** As of `Listener`. */
  handle(http: Http): Promise<void>;
  /** Accepts no more connections, lets open requests end within `graceMs`, then closes their connections. */
  stop(graceMs: number): Promise<void>;
}

export interface ListenOn {
  host: string;
  port: number;
  internalPort: number | undefined;
  /** Its path is what requests may begin with. Undefined: it has none. */
  publicUrl: string | undefined;
  sharing?: PortSharing;
}

/** Why a port cannot be bound, with the code of the system. */
export interface BindFailure {
  which: 'public' | 'internal';
  port: number;
  code: string;
}

export class BindError extends Error {
  override name = 'BindError';
  readonly failures: readonly BindFailure[];
  constructor(failures: readonly BindFailure[]) {
    super(failures.map(({ which, port, code }) => `${which} port ${port}: ${code}`).join(', '));
    this.failures = failures;
  }
}

/** Rejects with `BindError`, which names every port that cannot be bound; then nothing is left open. */
export async function listenOn({ host, port, internalPort, publicUrl, sharing }: ListenOn): Promise<Listeners> {
  const base = publicUrl && basePath(publicUrl);
  const bound: Listener[] = [];
  const failures: BindFailure[] = [];
  const bind = async (which: BindFailure['which'], wanted: number): Promise<Listener | undefined> => {
    try {
      const listener = await listen(host, wanted, base, undefined, sharing);
      bound.push(listener);
      return listener;
    } catch (error) {
      failures.push({ which, port: wanted, code: (error as NodeJS.ErrnoException).code ?? 'unknown error' });
      return undefined;
    }
  };
  const open = await bind('public', port);
  const internal = internalPort === undefined ? undefined : await bind('internal', internalPort);
  if (!open || failures.length > 0) {
    await Promise.all(bound.map((listener) => listener.stop(0)));
    throw new BindError(failures);
  }
  return {
    url: open.url,
    internalUrl: internal?.url,
    async handle({ fastRoutes, framework }) {
      if (!internal) return open.handle({ fastRoutes, framework: framework.everything });
      await internal.handle({ fastRoutes, framework: framework.everything });
      // No fast route is published.
      await open.handle({ fastRoutes: () => undefined, framework: framework.published });
    },
    async stop(graceMs) {
      await Promise.all(bound.map((listener) => listener.stop(graceMs)));
    },
  };
}
