// The provider: a token endpoint in this process, in place of the sockets below the real OAuth client. Answers take virtual
// time. Sockets of loopback would take real time, which virtual time would have to wait for.
import { setTimeout as pause } from 'node:timers/promises';
import { type Outbound, OutboundError, WholeResponse } from '../../src/adapters/outbound/outbound.ts';

/** Times in milliseconds since the beginning. */
export interface Fault {
  /**
   * `refused`: 503 at once. `down`: nothing accepts connections. `slow`: answers come late, later than a refresh is slow.
   */
  kind: 'refused' | 'down' | 'slow';
  from: number;
  until: number;
  /** Undefined: of all integrations. */
  integration?: string;
}

export interface TokenEndpoint {
  outbound: Outbound;
  /** Answers and failures, as they are given. */
  onRequest(listener: (integration: string) => void): void;
  onFailure(listener: (integration: string) => void): void;
}

const MIN_MS = 60;
const SPREAD_MS = 120;
const SLOW_MS = 15_000;
const PADDING = 'a'.repeat(180);

interface Parts {
  elapsed: () => number;
  faults: readonly Fault[];
  random: () => number;
  lifeSeconds: number;
}

/** The integration is in the path: `https://<host>/<integration>/token`. */
export function createTokenEndpoint({ elapsed, faults, random, lifeSeconds }: Parts): TokenEndpoint {
  let onRequest: (integration: string) => void = () => undefined;
  let onFailure: (integration: string) => void = () => undefined;
  let issued = 0;

  const outbound = async (to: string | URL, init: Parameters<Outbound>[1] = {}): Promise<WholeResponse> => {
    const integration = new URL(to).pathname.split('/')[1] ?? '';
    if (init.mayStillSend?.() === false) throw new OutboundError('withheld', 'the lease has ended', false);
    onRequest(integration);
    const now = elapsed();
    const fault = faults.find(
      (one) => now >= one.from && now < one.until && (one.integration ?? integration) === integration,
    );
    if (fault?.kind === 'down') {
      onFailure(integration);
      throw new OutboundError('network', 'the provider could not be reached (ECONNREFUSED)', false);
    }
    await pause(MIN_MS + random() * SPREAD_MS + (fault?.kind === 'slow' ? SLOW_MS : 0));
    if (fault?.kind === 'refused') {
      onFailure(integration);
      return new WholeResponse('{"error":"temporarily_unavailable"}', 503, { 'content-type': 'application/json' });
    }
    const n = ++issued;
    return new WholeResponse(
      {
        access_token: `${PADDING}${String(n).padStart(20, '0')}`,
        refresh_token: `refresh-${String(n).padStart(40, '0')}`,
        token_type: 'Bearer',
        expires_in: lifeSeconds,
      },
      200,
      { 'content-type': 'application/json' },
    );
  };

  return {
    outbound: Object.assign(outbound, { close: async () => undefined }),
    onRequest(listener) {
      onRequest = listener;
    },
    onFailure(listener) {
      onFailure = listener;
    },
  };
}
