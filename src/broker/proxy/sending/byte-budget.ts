// The memory that bodies of calls may take together while they are held as a whole: a caller that holds many waits for itself
// before the others have to.

export interface HeldBytes {
  /** Of what was taken, so many bytes are enough. */
  shrink(bytes: number): void;
  /** The first call counts. */
  release(): void;
}

export interface ByteBudget {
  /** Waits until there is room, first come, first served; undefined: there was none in time, or too many wait. */
  take(caller: string, bytes: number, signal?: AbortSignal): Promise<HeldBytes | undefined>;
  /** Bytes that are taken. */
  taken(): number;
}

export interface ByteBudgetSettings {
  total: number;
  /** Of one caller. Not less than what is taken at once. */
  each: number;
  waitMs: number;
  maxWaiting: number;
}

interface Waiter {
  caller: string;
  bytes: number;
  settle(held: HeldBytes | undefined): void;
}

export function createByteBudget({ total, each, waitMs, maxWaiting }: ByteBudgetSettings): ByteBudget {
  const byCaller = new Map<string, number>();
  const waiting = new Set<Waiter>();
  let taken = 0;

  const add = (caller: string, bytes: number) => {
    taken += bytes;
    const own = (byCaller.get(caller) ?? 0) + bytes;
    if (own > 0) byCaller.set(caller, own);
    else byCaller.delete(caller);
  };
  const isOver = (caller: string, bytes: number) => (byCaller.get(caller) ?? 0) + bytes > each;

  function hold(caller: string, bytes: number): HeldBytes {
    let held = bytes;
    add(caller, bytes);
    const shrink = (to: number) => {
      if (to >= held) return;
      add(caller, to - held);
      held = to;
      advance();
    };
    return { shrink, release: () => shrink(0) };
  }

  /** Those whose caller holds its share are passed over; of the others, the first has to fit. */
  function advance(): void {
    for (const waiter of waiting) {
      if (isOver(waiter.caller, waiter.bytes)) continue;
      if (taken + waiter.bytes > total) return;
      waiter.settle(hold(waiter.caller, waiter.bytes));
    }
  }

  return {
    async take(caller, bytes, signal) {
      const mayGo = ![...waiting].some((one) => !isOver(one.caller, one.bytes));
      if (mayGo && !isOver(caller, bytes) && taken + bytes <= total) return hold(caller, bytes);
      if (waiting.size >= maxWaiting || signal?.aborted) return undefined;
      return new Promise((resolve) => {
        const giveUp = () => waiter.settle(undefined);
        const timer = setTimeout(giveUp, waitMs);
        const waiter: Waiter = {
          caller,
          bytes,
          settle(held) {
            waiting.delete(waiter);
            clearTimeout(timer);
            signal?.removeEventListener('abort', giveUp);
            resolve(held);
          },
        };
        waiting.add(waiter);
        signal?.addEventListener('abort', giveUp, { once: true });
      });
    },
    taken: () => taken,
  };
}
