// The requests of a discovery that begins at a third party's URL: few, small, within one deadline, and without redirects.
import { isObject, type Json, parseJson } from '../../domain/json.ts';
import { DISCOVERY_DEADLINE_MS, OUTBOUND_DEADLINE_MS } from '../../domain/time-limits.ts';
import { withoutQuery } from '../../domain/urls.ts';
import type { Clock, ProviderFault, ProviderResult } from '../../ports/index.ts';
import { type Outbound, OutboundError, type OutboundRequest, WholeResponse } from '../outbound/outbound.ts';
import { classifyProviderError, fault } from './provider-errors.ts';

/** Ends a discovery. */
export class DiscoveryFault extends Error {
  override name = 'DiscoveryFault';
  readonly fault: ProviderFault;
  constructor(why: ProviderFault, cause?: Error) {
    super(why.detail, { cause });
    this.fault = why;
  }
}

/** Turns what ends a discovery into its fault. */
export async function orFault<T>(work: () => Promise<T>): Promise<ProviderResult<T>> {
  try {
    return { ok: true, value: await work() };
  } catch (error) {
    if (error instanceof DiscoveryFault) return { ok: false, fault: error.fault };
    throw error;
  }
}

/** In words, with the URL that it is about. */
export type Step = { name: string; url: string };

export const refusedAt = ({ name, url }: Step, code: string, why: string): DiscoveryFault =>
  new DiscoveryFault(fault('misconfigured', code, `${name} at ${withoutQuery(url) ?? 'an invalid URL'}: ${why}`));

export interface DiscoveryRequests {
  /** The status and the header of the answer, below 500; its body is not read. Rejects with `DiscoveryFault`. */
  ask(step: Step, init: OutboundRequest): Promise<WholeResponse>;
  /** The answer, whatever its status below 500. Rejects with `DiscoveryFault`. */
  send(step: Step, init: OutboundRequest): Promise<WholeResponse>;
  /** The JSON object there; undefined: there is none (a status 4xx). Rejects with `DiscoveryFault`. */
  read(step: Step): Promise<Json | undefined>;
}

/** Metadata documents have a few kB. */
const MOST_BYTES = 100_000;

export interface DiscoveryRequestsParts {
  outbound: Outbound;
  clock: Clock;
  /** Of all requests of a discovery together; 20 seconds by default. */
  deadlineMs?: (() => number) | undefined;
}

/** For one discovery: its deadline begins now. */
export function discoveryRequests({
  outbound,
  clock,
  deadlineMs = () => DISCOVERY_DEADLINE_MS,
}: DiscoveryRequestsParts): DiscoveryRequests {
  const until = clock.monotonic() + deadlineMs();

  async function send(step: Step, init: OutboundRequest): Promise<WholeResponse> {
    const { name, url } = step;
    const timeoutMs = Math.min(OUTBOUND_DEADLINE_MS, until - clock.monotonic());
    const at = `${name} at ${withoutQuery(url) ?? 'an invalid URL'}`;
    if (timeoutMs <= 0) throw new DiscoveryFault(fault('transient', 'timeout', `${at}: discovery took too long`));
    try {
      const response = await outbound(url, { cutOffAt: MOST_BYTES, ...init, timeoutMs });
      if (response.status < 500 && response.status !== 429) return response;
      const detail = `${at}: answered ${response.status}`;
      throw new DiscoveryFault(fault('transient', `http_${response.status}`, detail));
    } catch (error) {
      if (!(error instanceof OutboundError)) throw error;
      if (error.code === 'blocked') throw refusedAt(step, 'outbound_refused', error.message);
      if (error.code === 'redirect')
        throw refusedAt(step, 'redirect', 'answered with a redirect, which is not followed');
      const classified = classifyProviderError(error, { what: at, secrets: [], now: clock.now() });
      throw new DiscoveryFault({ ...classified, outcomeUnknown: false }, error);
    }
  }

  return {
    send,
    async ask(step, init) {
      try {
        return await send(step, { ...init, cutOffAt: 0 });
      } catch (error) {
        // A success whose body does not end: a stream of events.
        const { status = 0 } =
          error instanceof DiscoveryFault && error.cause instanceof OutboundError ? error.cause : {};
        if (status >= 200 && status < 300) return new WholeResponse('', status);
        throw error;
      }
    },
    async read(step) {
      const response = await send(step, { headers: { accept: 'application/json' } });
      if (response.status >= 400) return undefined;
      if (response.status !== 200) throw refusedAt(step, 'invalid_metadata', `answered ${response.status}`);
      const content = await response.text();
      if (response.isPartial || content.length >= MOST_BYTES)
        throw refusedAt(step, 'invalid_metadata', `answered more than ${MOST_BYTES} bytes`);
      const document = parseJson(content);
      if (!isObject(document)) throw refusedAt(step, 'invalid_metadata', 'answered no JSON object');
      return document;
    },
  };
}
