// The flags of V8 that a broker runs under.
import { setFlagsFromString } from 'node:v8';
import { START_FLAGS_FOR_MS } from '../domain/time-limits.ts';

/**
 * What a start makes stays for the most part: a young generation of 16 MB would be collected no less often than one of 1 MB, and
 * kept by a process that is idle.
 */
const YOUNG_GENERATION = { start: '--semi-space-growth-factor=1', default: '--semi-space-growth-factor=2' };
/**
 * What a start runs a thousand times is not run again. It is not worth an optimizing compiler, whose code is megabytes in memory
 * once it is used.
 */
const OPTIMIZATION = { start: '--no-maglev --no-turbofan', default: '--maglev --turbofan' };
/**
 * While V8 marks the old generation beside the program, the young one grows, whatever its factor, and some starts would end with 5
 * to 11 MB more. As long as no one waits for an answer, it is marked at once, for some 15 ms.
 */
const MARKING = { start: '--no-incremental-marking', default: '--incremental-marking' };

/** What the bundle starts under (`build.ts`), and what V8 has by default in their places. */
export const START_FLAGS = {
  start: `${YOUNG_GENERATION.start} ${OPTIMIZATION.start} ${MARKING.start}`,
  default: `${YOUNG_GENERATION.default} ${OPTIMIZATION.default} ${MARKING.default}`,
};

/** To be called by a process that begins to serve: its first requests still load what the start left out. */
export function endStartFlagsLater(ms = START_FLAGS_FOR_MS): void {
  setTimeout(() => setFlagsFromString(START_FLAGS.default), ms).unref();
}

/** To be called before the first work that is more than a start: a request that is no probe, or the first one to a third party. */
export const expectWork = (): void => setFlagsFromString(`${OPTIMIZATION.default} ${MARKING.default}`);

/**
 * V8 allocates what its first collections have not found dead in the old generation from then on (pretenuring). The first that it
 * sees of refreshes is a burst, all of it alive. Objects of the old generation are found dead seldom, and until then each keeps
 * what it refers to: half of what survived a collection of young objects was of refreshes that had ended. To be called when all
 * that a start needs is loaded: V8 refuses code that was compiled under other flags.
 */
export const stopPretenuring = (): void => setFlagsFromString('--no-allocation-site-pretenuring');
