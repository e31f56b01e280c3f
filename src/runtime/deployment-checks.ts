// What is wrong with a deployment although each of its settings is valid: refused where it would open the door, warned of where
// it may be meant.
import { parseIp } from '../domain/ip-ranges.ts';
import { ENOUGH_KEY_BITS, estimatedKeyBits } from '../domain/key-strength.ts';
import { isLoopback } from '../domain/urls.ts';
import { hasUnknownParameter, PARAMETERS } from '../stores/postgres/url-parameters.ts';
import type { SettingValues } from './settings.ts';

export interface DeploymentFindings {
  issues: string[];
  warnings: string[];
}

/** `callerKeys`: of the declarative file, with their paths. */
export function checkDeployment(
  settings: SettingValues,
  callerKeys: readonly { at: string; key: string }[],
): DeploymentFindings {
  const { VALETKEY_HOST: host, VALETKEY_PORT: port, VALETKEY_INTERNAL_PORT: internalPort } = settings;
  const issues: string[] = [];
  const warnings: string[] = [];
  const url = settings.VALETKEY_PUBLIC_URL;
  const listensEverywhere = ['0.0.0.0', '::'].includes(parseIp(host)?.toString() ?? '');
  const isLocal = isLoopback(url === undefined ? hostOf(host) : new URL(url).hostname);

  if (internalPort !== undefined && internalPort !== 0 && internalPort === port)
    issues.push('VALETKEY_INTERNAL_PORT: must be another port than VALETKEY_PORT');
  if (settings.VALETKEY_WORKERS !== 1 && settings.VALETKEY_DATABASE_URL === 'file::memory:')
    issues.push('VALETKEY_WORKERS: a database in memory is of one process: set 1, or a file');
  if (/^file:.*\?/.test(settings.VALETKEY_DATABASE_URL))
    warnings.push(
      'VALETKEY_DATABASE_URL: file: takes no options: the ? and what follows it are part of the name of the file',
    );
  if (hasUnknownParameter(settings.VALETKEY_DATABASE_URL))
    warnings.push(
      `VALETKEY_DATABASE_URL: a parameter of the URL is ignored, since nothing here reads it. Those that are read: ${PARAMETERS.join(', ')}`,
    );
  if (url?.startsWith('http:') && !isLocal)
    warnings.push(
      `VALETKEY_PUBLIC_URL: ${url} is plain http: codes, cookies and links can be read on the way. Use https, by a proxy that speaks TLS`,
    );
  if (listensEverywhere && url === undefined)
    warnings.push('VALETKEY_PUBLIC_URL: not set, and no browser reaches the broker at the address that it listens on');
  if (url !== undefined && isLocal && !isLoopback(hostOf(host)))
    warnings.push(
      `VALETKEY_HOST: ${host} ${listensEverywhere ? 'listens on every address of this machine' : 'is not only for this machine'}, while VALETKEY_PUBLIC_URL is for this machine only: others in the network can reach the broker. Set VALETKEY_HOST to 127.0.0.1, or the URL to what they use`,
    );

  const adminKey = settings.VALETKEY_ADMIN_KEY;
  // A development set-up may have what is easy to type.
  if (adminKey !== undefined && isWeak(adminKey)) (isLocal ? warnings : issues).push(`VALETKEY_ADMIN_KEY: ${WEAK}`);
  for (const { kid, key } of settings.VALETKEY_KEYS ?? [])
    if (new Set(key.export()).size < RANDOM_BYTES)
      warnings.push(`VALETKEY_KEYS: the key ${kid} was not made at random: rotate it`);
  for (const { at, key } of callerKeys) if (isWeak(key)) warnings.push(`VALETKEY_CONFIG: ${at}: ${WEAK}`);
  return { issues, warnings };
}

/** Different ones among 32 random bytes: fewer than these are as good as impossible. */
const RANDOM_BYTES = 16;
const WEAK = 'is easy to guess; make one with: openssl rand -hex 32';
const isWeak = (key: string) => estimatedKeyBits(key) < ENOUGH_KEY_BITS;
const hostOf = (host: string) => (host.includes(':') ? `[${host}]` : host);
