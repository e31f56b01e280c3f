// What a broker needs before its parts can be put together: keys, store, rescue file and a bound socket.
import type { KeyRing } from '../adapters/keyring/keyring.ts';
import { BindError, type Listeners, listenOn, type PortSharing } from '../http/listeners.ts';
import { isLatest, type Logger, type Store, type WithdrawalLog } from '../ports/index.ts';
import { openRescueFile, openStore, openWithdrawals, type RescueFile, reserveDataDir } from '../stores/open.ts';
import { bindIssues } from './bind-issues.ts';
import type { Config } from './config.ts';
import { openKeyRingOf, proveKeys } from './keys.ts';
import { SetupError } from './setup-error.ts';
import { systemClock } from './system-clock.ts';

export interface Foundation {
  vault: KeyRing;
  store: Store;
  rescue: RescueFile;
  withdrawalLog: WithdrawalLog;
  /** Their ports are known; answer 503 until they are given a handler. */
  listeners: Listeners;
}

/** Rejects with `SetupError` or `StoreError`; then nothing is left open. */
export async function openFoundation(config: Config, log: Logger, sharing: PortSharing): Promise<Foundation> {
  checkDataDir(config);
  const store = await openStore(config, log, systemClock.monotonic);
  let rescue: RescueFile | undefined;
  try {
    rescue = openRescueFile(config);
    const vault = await openKeyRingOf(store, config, log);
    await proveKeys(store, vault);
    if (vault.protection() !== 'enforced')
      log.warn(
        { protection: vault.protection() },
        'rows of an earlier release are accepted without authentication: once every broker runs this version, run valetkey keys rotate',
      );
    else if (!isLatest(vault.stage()))
      log.info(
        { envelope: vault.stage().envelope },
        'secrets are written in the form of an earlier release: once every broker runs this version, run valetkey keys rotate',
      );
    const withdrawalLog = openWithdrawals(config, systemClock.now);
    return { vault, store, rescue, withdrawalLog, listeners: await listenOn({ ...config, sharing }) };
  } catch (error) {
    await store.close();
    rescue?.close();
    throw error instanceof BindError ? new SetupError(bindIssues(config.host, error.failures)) : error;
  }
}

/** Before the database is opened, whose errors name another setting. */
function checkDataDir(config: Config): void {
  try {
    reserveDataDir(config);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new SetupError([
      `VALETKEY_DATA_DIR: ${config.dataDir} cannot be used (${code}): name a folder that this user may write to, on a disk that stays`,
    ]);
  }
}

/** For a start that fails before the parts are put together. */
export async function closeFoundation({ store, rescue, listeners }: Foundation): Promise<void> {
  await listeners.stop(0);
  await store.close();
  rescue.close();
}
