// The young generation of V8's heap, where objects are allocated, and whose collections are frequent: how a broker uses it.
import { setFlagsFromString } from 'node:v8';
import { YOUNG_GENERATION_GROWS_AFTER_MS } from '../domain/time-limits.ts';

/**
 * V8 allocates what its first collections have not found dead in the old generation from then on (pretenuring). The first that it
 * sees of refreshes is a burst, all of it alive. Objects of the old generation are found dead seldom, and until then each keeps
 * what it refers to: half of what survived a collection of young objects was of refreshes that had ended. To be called when all
 * that a start needs is loaded: V8 refuses code that was compiled under other flags.
 */
export const stopPretenuring = (): void => setFlagsFromString('--no-allocation-site-pretenuring');

/**
 * The bundle starts with a young generation that does not grow (`build.ts`): what a start makes stays for the most part, so that
 * 16 MB would be collected no less often than one, and kept by a process that is idle. Sets V8's default again when it has been
 * serving for a while.
 */
export function growYoungGenerationLater(ms = YOUNG_GENERATION_GROWS_AFTER_MS): void {
  setTimeout(() => setFlagsFromString('--semi-space-growth-factor=2'), ms).unref();
}
