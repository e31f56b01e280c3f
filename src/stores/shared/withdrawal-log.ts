// Withdrawals as lines of JSON in files beside the data, to which the processes of this machine append: one file for the time
// that a withdrawal is remembered, so that a file is deleted as a whole.
import { mkdir, open, readdir, readFile, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { WITHDRAWAL_TTL_MS } from '../../domain/time-limits.ts';
import type { RememberedWithdrawal, WithdrawalLog } from '../../ports/index.ts';
import { OWN, PRIVATE } from './own-files.ts';

/** `path`: of the data that are elsewhere. `now`: ms since the epoch. */
export function openWithdrawalLog(path: string, now: () => number): WithdrawalLog {
  const folder = dirname(path);
  const prefix = `${basename(path)}.withdrawals.`;
  const spanOf = (ms: number): number => Math.floor(ms / WITHDRAWAL_TTL_MS);

  /** The span of the last file that this process has written to. */
  let written: number | undefined;

  /** Deletes files of spans that ended before this time; returns the others, the oldest first. */
  async function filesSince(at: number): Promise<string[]> {
    const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
    const names = entries.filter((one) => one.name.startsWith(prefix) && one.isFile()).map(({ name }) => name);
    const isOld = (name: string) => Number(name.slice(prefix.length)) < spanOf(at);
    for (const name of names.filter(isOld)) await rm(join(folder, name), { force: true });
    return names
      .filter((name) => !isOld(name))
      .sort()
      .map((name) => join(folder, name));
  }

  return {
    async add(some) {
      await mkdir(folder, { recursive: true, mode: 0o700 });
      const span = spanOf(now());
      const file = await open(join(folder, `${prefix}${span}`), OWN.append, PRIVATE);
      try {
        // In one write. It begins with a new line: what a killed process has left half-written ends there.
        await file.appendFile(`\n${some.map((one) => JSON.stringify(one)).join('\n')}\n`);
        await file.datasync();
      } finally {
        await file.close();
      }
      if (span !== written) await filesSince(now() - WITHDRAWAL_TTL_MS);
      written = span;
    },
    async since(at) {
      const found: RememberedWithdrawal[] = [];
      for (const file of await filesSince(at))
        found.push(...(await readFile(file, { encoding: 'utf8', flag: OWN.read })).split('\n').flatMap(withdrawalOf));
      return found.filter((one) => one.at >= at);
    },
  };
}

/** Of an audit entry. A database refuses some characters, and the query for all ids with them. */
const ID = /^[\w-]+$/;

function withdrawalOf(line: string): RememberedWithdrawal[] {
  try {
    const one = JSON.parse(line) as RememberedWithdrawal;
    const { operation, args } = one.withdrawal;
    const isWhole =
      typeof one.id === 'string' && ID.test(one.id) && typeof one.at === 'number' && typeof operation === 'string';
    return isWhole && Array.isArray(args) ? [one] : [];
  } catch {
    return [];
  }
}
