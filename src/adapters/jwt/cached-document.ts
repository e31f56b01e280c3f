// Documents of others that are fetched, cached, and used stale while they cannot be fetched.
import { JWKS_RETRY_MS, JWKS_STALE_MS, JWKS_TTL_MS } from '../../domain/time-limits.ts';
import type { Clock } from '../../ports/index.ts';

/** The outbound client: follows no redirect, limits a response's size and time, and rejects without one. */
export type Fetch = (
  url: string,
  init: { headers: Record<string, string> },
) => Promise<Pick<Response, 'status' | 'text'>>;

/** Characters of the reason why a document cannot be fetched. */
const MAX_FAILURE = 300;

/** A fetched document, cached in memory: fresh for 10 minutes, stale for a day while it cannot be fetched. */
export class CachedDocument<T extends object> {
  readonly #load: () => Promise<T>;
  readonly #clock: Pick<Clock, 'monotonic'>;
  #current: { value: T; at: number } | undefined;
  #failedAt = Number.NEGATIVE_INFINITY;
  #failure: string | undefined;
  readonly #onFailure: (reason: string) => void;
  #loading: Promise<T | undefined> | undefined;

  constructor(
    load: () => Promise<T>,
    clock: Pick<Clock, 'monotonic'>,
    onFailure: (reason: string) => void = () => undefined,
  ) {
    this.#onFailure = onFailure;
    this.#load = load;
    this.#clock = clock;
  }

  /** The fresh document, or a stale one while it cannot be fetched; undefined without either. Never rejects. */
  async get(): Promise<T | undefined> {
    const now = this.#clock.monotonic();
    const usable = this.#usable(now);
    if (!this.#isDue(now)) return usable;
    const loaded = this.#reload();
    // In a known outage the fetch runs in the background, and no reader waits for the issuer.
    if (usable && now - this.#failedAt < JWKS_TTL_MS) return usable;
    return (await loaded) ?? usable;
  }

  /** The same without waiting. Undefined, too, if it is due to be fetched: `get` fetches it. */
  atHand(): T | undefined {
    const now = this.#clock.monotonic();
    return this.#isDue(now) ? undefined : this.#usable(now);
  }

  #age = (now: number): number => (this.#current ? now - this.#current.at : Number.POSITIVE_INFINITY);
  #usable = (now: number): T | undefined => (this.#age(now) < JWKS_STALE_MS ? this.#current?.value : undefined);
  #isDue = (now: number): boolean => this.#age(now) >= JWKS_TTL_MS && now - this.#failedAt >= JWKS_RETRY_MS;

  /** As it was last fetched, fresh or stale. */
  current = (): T | undefined => this.#current?.value;
  /** Why it could not be fetched the last time; undefined: it could. */
  failure = (): string | undefined => this.#failure;

  /** A newer document than the one seen: the cached one if it is newer, else fetched. `failed`: the fetch failed. */
  async getNewer(seen: T, mayFetch: () => boolean): Promise<T | 'limited' | 'failed'> {
    if (this.#current && this.#current.value !== seen) return this.#current.value;
    if (!this.#loading && !mayFetch()) return 'limited';
    return (await this.#reload()) ?? 'failed';
  }

  /** Single-flight: concurrent calls share one fetch. Undefined when it failed. */
  #reload(): Promise<T | undefined> {
    const at = this.#clock.monotonic();
    this.#loading ??= this.#load()
      .then(
        (value) => {
          this.#current = { value, at };
          this.#failedAt = Number.NEGATIVE_INFINITY;
          this.#failure = undefined;
          return value;
        },
        (error: unknown) => {
          this.#failedAt = this.#clock.monotonic();
          this.#failure = error instanceof Error ? error.message.slice(0, MAX_FAILURE) : 'it failed';
          this.#onFailure(this.#failure);
          return undefined;
        },
      )
      .finally(() => {
        this.#loading = undefined;
      });
    return this.#loading;
  }
}
