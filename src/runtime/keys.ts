// The key ring of a deployment: opened, checked against the database, rotated.
import { existsSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { createKeyRing, type KeyRing, proveKeyRing } from '../adapters/keyring/keyring.ts';
import { createAudit } from '../broker/audit/index.ts';
import { type KeyRotationResult, rotateKeys } from '../broker/maintenance/index.ts';
import type { Logger, Store } from '../ports/index.ts';
import { openRescueFile, type RescueFile } from '../stores/open.ts';
import type { Config } from './config.ts';
import { keySource } from './key-sources.ts';
import { SetupError } from './setup-error.ts';
import { systemClock } from './system-clock.ts';
import { openUsedStore } from './used-store.ts';

export { generateKey, isKid } from '../adapters/keyring/keyring.ts';

/** What it accepts, `proveKeys` finds out. Rejects with `SetupError`. */
export async function openKeyRing({ keys }: Config, log: Logger): Promise<KeyRing> {
  const source = keySource(keys, log);
  const loaded = await source.load();
  log.debug({ source: source.name, keys: loaded.map(({ kid }) => kid) }, 'encryption keys: loaded');
  return createKeyRing(loaded, undefined, { envelope: 'v1', protection: 'legacy' });
}

/** Of a database that brokers have used: no key is made for it, which would not be theirs. Rejects with `SetupError`. */
export async function openUsedKeyRing(config: Config, log: Logger): Promise<KeyRing> {
  const missing = missingKeyFile(config);
  if (missing !== undefined)
    throw new SetupError([
      `VALETKEY_KEYS is not set, and there is no key file ${missing}: run this with the environment of the brokers`,
    ]);
  return openKeyRing(config, log);
}

/** As `openKeyRing`, for a broker: a key file is made for a new database only. Rejects with `SetupError` or `StoreError`. */
export async function openKeyRingOf(store: Pick<Store, 'keyChecks'>, config: Config, log: Logger): Promise<KeyRing> {
  // First: another process that starts makes the file, then the check.
  const used = (await store.keyChecks()).map(({ kid }) => kid);
  const missing = missingKeyFile(config);
  if (used.length > 0 && missing !== undefined)
    throw new SetupError([
      `VALETKEY_KEYS: not set, and there is no key file ${missing}, but this database is encrypted with key ${used.join(', ')}: put the file back, or set VALETKEY_KEYS to the key ring that it had`,
    ]);
  return openKeyRing(config, log);
}

/** The path of the key file, if the keys are to come from one that does not exist. */
const missingKeyFile = ({ keys }: Config): string | undefined =>
  keys.from === 'file' && !existsSync(keys.path) ? keys.path : undefined;

/**
 * Rejects with `SetupError` if the ring cannot decrypt what is stored. Stores a proof of the key that encrypts, for the
 * next start, and learns from the proofs what brokers write and which rows are accepted. Keys that only decrypt need no new
 * proof: each has one from when it encrypted, or protects nothing.
 */
export async function proveKeys(store: Store, vault: KeyRing): Promise<void> {
  const { issues, stage, missing } = proveKeyRing(vault, await store.keyChecks());
  if (issues.length > 0) throw new SetupError(issues.map((issue) => `VALETKEY_KEYS: ${issue}`));
  const current = missing.find(({ kid }) => kid === vault.encryptionKid);
  if (!current) {
    vault.advance(stage);
    return;
  }
  await store.addKeyCheck(current);
  // Another process may have been first, also one of the release before.
  await proveKeys(store, vault);
}

/**
 * Re-encrypts every secret with the first key of the ring, while brokers keep serving. Rejects with `SetupError` or
 * `StoreError`; what was committed until then stays, and another run continues from there.
 */
export async function runKeyRotation(
  config: Config,
  log: Logger,
  wait: (ms: number) => Promise<unknown> = pause,
): Promise<KeyRotationResult & { isUnused: boolean }> {
  const { store, kids } = await openUsedStore({ databaseUrl: config.databaseUrl }, log);
  let rescue: RescueFile | undefined;
  try {
    const ring = await openUsedKeyRing(config, log);
    await proveKeys(store, ring);
    const isUnused = !kids.includes(ring.encryptionKid);
    if (isUnused) {
      log.warn(
        { kid: ring.encryptionKid },
        'key rotation: no broker uses this key yet; brokers that do not have it cannot decrypt what is re-encrypted now',
      );
    }
    const { access } = createAudit({ store, vault: ring, clock: systemClock, log });
    rescue = openRescueFile(config);
    return { ...(await rotateKeys({ store, ring, rescue, access, log, pause: wait })), isUnused };
  } finally {
    rescue?.close();
    await store.close();
  }
}
