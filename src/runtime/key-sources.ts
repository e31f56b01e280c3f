// Where the encryption keys of a deployment come from. A new source (a KMS, a file) is a row in `keySource`.
import { readOrCreateKeyFile } from '../adapters/keyring/key-file.ts';
import { generateKey, parseKeyRing, type RingKey } from '../adapters/keyring/keyring.ts';
import type { Logger } from '../ports/index.ts';
import type { Keys } from './config.ts';
import { SetupError } from './setup-error.ts';

export interface KeySource {
  /** For the log. */
  name: string;
  /** The first key encrypts, all decrypt. Rejects with `SetupError` if the source has no usable keys. */
  load(): Promise<RingKey[]>;
}

export function keySource(keys: Keys, log: Logger): KeySource {
  switch (keys.from) {
    case 'environment':
      return { name: 'environment', load: async () => keys.keys };
    case 'file':
      return { name: 'development key file', load: async () => loadKeyFile(keys.path, log) };
    case 'memory':
      return { name: 'memory', load: async () => parsed(generateKey()) };
  }
}

/** In development: created with one new key if there is none. */
function loadKeyFile(path: string, log: Logger): RingKey[] {
  const file = readOrCreateKeyFile(path);
  if (!file.ok) throw keyError(file.issues);
  log.warn(
    { path, created: file.created },
    'VALETKEY_KEYS is not set: using a key file, which is for development only',
  );
  return parsed(file.keys);
}

function parsed(text: string): RingKey[] {
  const ring = parseKeyRing(text);
  if (!ring.ok) throw keyError(ring.issues);
  return ring.keys;
}

const keyError = (issues: string[]) => new SetupError(issues.map((issue) => `VALETKEY_KEYS: ${issue}`));
