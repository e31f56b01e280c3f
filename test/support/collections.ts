// Garbage collections, and how much the old generation of V8's heap has.
import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

setFlagsFromString('--expose-gc');
const collect: NonNullable<typeof globalThis.gc> = runInNewContext('gc');
setFlagsFromString('--no-expose-gc');

/** What lives is in the old generation afterwards. */
export const collectAll = (): void => void collect({ type: 'major', execution: 'sync' });
export const collectYoung = (): void => void collect({ type: 'minor', execution: 'sync' });

export const oldBytes = (): number =>
  getHeapSpaceStatistics()
    .filter(({ space_name: name }) => name === 'old_space' || name === 'large_object_space')
    .reduce((sum, { space_used_size: used }) => sum + used, 0);
