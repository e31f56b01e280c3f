// The key ring of a deployment: where it comes from, whether it opens what is stored, and sealing everything anew with it.
import { setTimeout as pause } from 'node:timers/promises';
import {
  createKeyRing,
  generateKey,
  parseKeyRing,
  proveKeyRing,
  readOrCreateKeyFile,
} from '../adapters/keyring/keyring.ts';
import { createAudit } from '../broker/audit/index.ts';
import { type KeyRotationResult, rotateKeys } from '../broker/maintenance/index.ts';
import type { Logger, Store } from '../ports/index.ts';
import { openRescueFile, openStore } from '../stores/open.ts';
import type { RescueFile } from '../stores/sqlite/rescue-file.ts';
import type { Config } from './config.ts';

export { generateKey } from '../adapters/keyring/keyring.ts';

/** The deployment is set up wrongly: what is wrong, by name. */
export class SetupError extends Error {
  override name = 'SetupError';
  readonly issues: string[];
  constructor(issues: string[]) {
    super(issues.join('\n'));
    this.issues = issues;
  }
}

export type KeyRing = ReturnType<typeof createKeyRing>;

/** The key ring of the environment; in development, a key file. */
export function openKeyRing({ keys }: Config, log: Logger): KeyRing {
  if (keys.from === 'environment') return createKeyRing(keys.keys);
  if (keys.from === 'memory') return ringOf(generateKey());
  const { path } = keys;
  const file = readOrCreateKeyFile(path);
  if (!file.ok) throw new SetupError(file.issues.map((issue) => `VALETKEY_KEYS: ${issue}`));
  log.warn(
    { path, created: file.created },
    'VALETKEY_KEYS is not set: using a key file, which is for development only',
  );
  return ringOf(file.keys);
}

function ringOf(text: string): KeyRing {
  const parsed = parseKeyRing(text);
  if (parsed.ok) return createKeyRing(parsed.keys);
  throw new SetupError(parsed.issues.map((issue) => `VALETKEY_KEYS: ${issue}`));
}

/**
 * A ring that does not open what is stored must not serve; a key that is about to seal leaves its proof behind. One that
 * only opens needs none: either it has one from when it sealed, or it protects nothing (any more).
 */
export async function proveKeys(store: Store, vault: KeyRing): Promise<void> {
  const { issues, missing } = proveKeyRing(vault, await store.keyChecks());
  if (issues.length > 0) throw new SetupError(issues.map((issue) => `VALETKEY_KEYS: ${issue}`));
  const sealing = missing.find(({ kid }) => kid === vault.sealingKid);
  if (sealing) await store.addKeyCheck(sealing);
}

/**
 * Seals every secret anew with the first key of the ring, while brokers go on serving. Rejects with `SetupError` or
 * `StoreError`; what was done until then is good, and another run goes on from there.
 */
export async function runKeyRotation(config: Config, log: Logger): Promise<KeyRotationResult> {
  const ring = openKeyRing(config, log);
  const store = await openStore(config, log);
  let rescue: RescueFile | undefined;
  try {
    const known = (await store.keyChecks()).map(({ kid }) => kid);
    if (known.length === 0) throw new SetupError(['VALETKEY_DATABASE_URL: no broker has used this database yet']);
    await proveKeys(store, ring);
    if (!known.includes(ring.sealingKid)) {
      log.warn({ kid: ring.sealingKid }, 'no broker has begun to seal with this key: those that lack it will fail');
    }
    const { access } = createAudit({
      store,
      clock: { now: () => Date.now(), monotonic: () => performance.now() },
      log,
    });
    rescue = openRescueFile(config);
    return await rotateKeys({ store, ring, rescue, access, log, pause });
  } finally {
    rescue?.close();
    await store.close();
  }
}
