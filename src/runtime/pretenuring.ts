// Pretenuring, which a broker does without: V8 allocates what its first collections have not found dead in the old generation
// from then on.
import { setFlagsFromString } from 'node:v8';

/**
 * The first that V8 sees of refreshes is a burst, all of it alive. Objects of the old generation are found dead seldom, and until
 * then each keeps what it refers to: half of what survived a collection of young objects was of refreshes that had ended. To be
 * called when all that a start needs is loaded: V8 refuses the compile cache of code that was compiled under other flags.
 */
export const stopPretenuring = (): void => setFlagsFromString('--no-allocation-site-pretenuring');
