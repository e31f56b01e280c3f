// The send gate: whether a token request may still be sent is asked when its bytes are about to leave, far below the library
// that makes the request and has no parameter for it.
import { AsyncLocalStorage } from 'node:async_hooks';

type MayStillSend = () => boolean;

const gates = new AsyncLocalStorage<MayStillSend>();

/** Every token request that `work` makes passes this gate. */
export const withSendGate = <T>(mayStillSend: MayStillSend | undefined, work: () => Promise<T>): Promise<T> =>
  mayStillSend === undefined ? work() : gates.run(mayStillSend, work);

/** The gate of the work that calls this. */
export const currentSendGate = (): MayStillSend | undefined => gates.getStore();
