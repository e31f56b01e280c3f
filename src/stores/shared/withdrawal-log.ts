// Withdrawals as lines of JSON in files beside the data, to which the processes of this machine append: one file for the time
// that a withdrawal is remembered, so that a file is deleted as a whole.
import { mkdir, open, readdir, readFile, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { WITHDRAWAL_TTL_MS } from '../../domain/time-limits.ts';
import type { RememberedWithdrawal, WithdrawalLog } from '../../ports/index.ts';

/** `path`: of the data that are elsewhere. `now`: ms since the epoch. */
export function openWithdrawalLog(path: string, now: () => number): WithdrawalLog {
  const folder = dirname(path);
  const prefix = `${basename(path)}.withdrawals.`;
  const spanOf = (ms: number): number => Math.floor(ms / WITHDRAWAL_TTL_MS);

  return {
    async add(some) {
      await mkdir(folder, { recursive: true });
      const file = await open(join(folder, `${prefix}${spanOf(now())}`), 'a', 0o600);
      try {
        // In one write. It begins with a new line: what a killed process has left half-written ends there.
        await file.appendFile(`\n${some.map((one) => JSON.stringify(one)).join('\n')}\n`);
        await file.datasync();
      } finally {
        await file.close();
      }
    },
    async since(at) {
      const names = (await readdir(folder).catch(() => [])).filter((name) => name.startsWith(prefix));
      const found: RememberedWithdrawal[] = [];
      for (const name of names.sort()) {
        const file = join(folder, name);
        if (Number(name.slice(prefix.length)) < spanOf(at)) await rm(file, { force: true });
        else found.push(...(await readFile(file, 'utf8')).split('\n').flatMap(withdrawalOf));
      }
      return found.filter((one) => one.at >= at);
    },
  };
}

function withdrawalOf(line: string): RememberedWithdrawal[] {
  try {
    const one = JSON.parse(line) as RememberedWithdrawal;
    const { operation, args } = one.withdrawal;
    const isWhole = typeof one.id === 'string' && typeof one.at === 'number' && typeof operation === 'string';
    return isWhole && Array.isArray(args) ? [one] : [];
  } catch {
    return [];
  }
}
