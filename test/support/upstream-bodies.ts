// Bodies of API responses that are made by hand, for tests of what takes them.
import type { UpstreamBody } from '../../src/ports/index.ts';

type Listener = Parameters<UpstreamBody['onEnd']>[0];

/** Tells its end as a real one does. `pipe`: what it hands over; without it, nothing ever comes. */
export function handMadeBody(made: Partial<Omit<UpstreamBody, 'onEnd'>> = {}): UpstreamBody {
  const listeners: Listener[] = [];
  let ended: Parameters<Listener> | undefined;
  let bytes = 0;
  const tell = (isComplete: boolean) => {
    if (ended) return;
    ended = [bytes, isComplete];
    for (const listener of listeners) listener(...ended);
  };
  return {
    pipe: (sink) =>
      made.pipe?.({
        write(chunk) {
          bytes += chunk.length;
          return sink.write(chunk);
        },
        end() {
          tell(true);
          sink.end();
        },
        fail(error) {
          tell(false);
          sink.fail(error);
        },
      }),
    read: async (maxBytes) => {
      const read = (await made.read?.(maxBytes)) ?? new Uint8Array();
      bytes = read.length;
      tell(true);
      return read;
    },
    whole: (maxBytes) => made.whole?.(maxBytes),
    resume: () => made.resume?.(),
    discard() {
      tell(false);
      made.discard?.();
    },
    onEnd(listener) {
      if (ended) listener(...ended);
      else listeners.push(listener);
    },
  };
}
