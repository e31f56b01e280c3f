// A collection of the young objects of the process. V8 gives it to code of contexts that are made while its flag is set; the flag is
// set no longer than that.
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

type Collect = (options: { type: 'minor'; execution: 'sync' }) => void;

let collect: Collect | undefined;

/** Does nothing where V8 does not give it. */
export function collectYoung(): void {
  collect ??= given();
  collect({ type: 'minor', execution: 'sync' });
}

function given(): Collect {
  if (globalThis.gc) return globalThis.gc as Collect;
  try {
    setFlagsFromString('--expose-gc');
    return runInNewContext('gc') as Collect;
  } catch {
    return () => undefined;
  } finally {
    setFlagsFromString('--no-expose-gc');
  }
}
