// What a broker needs before its parts can be put together: keys, store, rescue file and a bound socket.
import type { KeyRing } from '../adapters/keyring/keyring.ts';
import { type Listener, listen } from '../http/listener.ts';
import type { Logger, Store } from '../ports/index.ts';
import { openRescueFile, openStore, type RescueFile } from '../stores/open.ts';
import type { Config } from './config.ts';
import { openKeyRing, proveKeys } from './keys.ts';
import { systemClock } from './system-clock.ts';

export interface Foundation {
  vault: KeyRing;
  store: Store;
  rescue: RescueFile;
  /** Bound, so that the port is known; answers 503 until it is given a handler. */
  listener: Listener;
}

/** Rejects with `SetupError`, `StoreError` or the error of the socket; then nothing is left open. */
export async function openFoundation(config: Config, log: Logger): Promise<Foundation> {
  const vault = await openKeyRing(config, log);
  const store = await openStore(config, log, systemClock.monotonic);
  let rescue: RescueFile | undefined;
  try {
    rescue = openRescueFile(config);
    await proveKeys(store, vault);
    if (vault.protection() !== 'enforced')
      log.warn(
        { protection: vault.protection() },
        'rows of an earlier release are accepted without authentication: once every broker runs this version, run valetkey keys rotate',
      );
    return { vault, store, rescue, listener: await listen(config.host, config.port) };
  } catch (error) {
    await store.close();
    rescue?.close();
    throw error;
  }
}

/** For a start that fails before the parts are put together. */
export async function closeFoundation({ store, rescue, listener }: Foundation): Promise<void> {
  await listener.stop(0);
  await store.close();
  rescue.close();
}
