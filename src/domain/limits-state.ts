// What the limits and circuits of one process are like at a moment, for those who operate it. Times are milliseconds.
import type { UpstreamLimitScope } from './errors.ts';
import type { CircuitCause } from './explanation-causes.ts';

/** A circuit that is not closed. */
export interface CircuitView {
  /** Whose it is: of an integration, or of a webhook endpoint. */
  id: string;
  /** Where its requests go: a token endpoint, the host of an API, a URL. */
  endpoint: string;
  /** `half_open`: a probe is under way. `recovering`: it has closed, and lets few requests pass. */
  state: 'open' | 'half_open' | 'recovering';
  /** Undefined: not known any more. */
  why?: { cause: CircuitCause; code: string } | undefined;
  openForMs: number | null;
  /** Until the next probe; null: it is under way, or none is needed. */
  probeInMs: number | null;
  /** Of hosts of APIs: whom it refuses. */
  scope?: 'all' | 'caller';
}

/** A limit of an API, as far as this process knows it. */
export interface LimitView {
  integration: string;
  scope: UpstreamLimitScope;
  /** The connection or caller that it counts; null: many, or what was captured. */
  of: string | null;
  waiting: number;
  inFlight: number;
  /** Calls at once; null: any number. */
  places: number | null;
  /** How long nothing is sent; 0: something can be. */
  blockedForMs: number;
  /** What the API has said: what remains of how many, until when; null: nothing that still holds. */
  window: { left: number; limit: number | null; resetMs: number } | null;
  /** A rate that is counted here; null: none is. */
  rate: { requests: number; windowS: number } | null;
  /** After a refusal, few calls go at once. */
  isResuming: boolean;
}

/** How often the limits of an integration's APIs were met, since this process began. */
export interface LimitsMet {
  integration: string;
  /** The API said so. */
  told: number;
  /** A call was not sent. */
  refused: number;
  lastMsAgo: number;
}

/** The refreshes of an integration. */
export interface RefreshQueueView {
  integration: string;
  inFlight: number;
  /** Of these, those that take long. */
  slow: number;
  waitingReads: number;
  waitingBackground: number;
  /** At once, of this process. */
  places: number;
}
