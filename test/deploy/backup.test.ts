// Backup and restore as docs/operations.md has them, and what a restored database is worth at a provider that rotates.
import { execFile } from 'node:child_process';
import { mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { expectOk, expectProblem } from '../support/contract.ts';
import { read } from '../support/deploy-files.ts';
import { openRestartableBroker, type RestartableBroker } from '../support/restartable-broker.ts';

let house: RestartableBroker;
let cwd: string;
beforeAll(async () => {
  house = await openRestartableBroker();
  cwd = await mkdtemp(join(tmpdir(), 'valetkey-backup-'));
  await symlink(house.folder, join(cwd, 'data'));
});
afterAll(async () => {
  await house?.close();
  await rm(cwd, { recursive: true, force: true });
});

/** The commands of the page that begin with this comment, beside the data of the house. */
async function follow(name: string): Promise<void> {
  const [, commands] = new RegExp(`\`\`\`sh\\n# ${name}\\n([\\s\\S]*?)\`\`\``).exec(read('docs/operations.md'))!;
  await promisify(execFile)('sh', ['-e', '-c', commands!], { cwd });
}

const token = (id: string) => house.ask('GET', `/v1/connections/${id}/token`);
const refresh = (id: string) => house.ask('POST', `/v1/connections/${id}/refresh`, {});

test('a backup is taken while the broker serves; restored, it serves what lives and tells what is over', async () => {
  const [ada, grace] = [await house.adopt('ada'), await house.adopt('grace')];
  const { access_token: kept } = expectOk(await token(ada));
  expectOk(await token(grace));

  await follow('backup');
  expectOk(await refresh(ada));
  expectOk(await house.ask('DELETE', `/v1/connections/${grace}`));
  expect(await house.broker().stop('SIGTERM')).toBe(0);

  await follow('restore');
  await house.start();
  expect(expectOk(await token(ada))).toMatchObject({ access_token: kept });
  expect(expectProblem(await refresh(ada), 409, 'reauthorization_required')).toMatchObject({ reason: 'grant_revoked' });
  expect(expectOk(await house.ask('GET', `/v1/connections/${grace}`))).toMatchObject({ status: 'active' });

  const credentials = { refresh_token: await house.mint('ada') };
  const again = { integration: 'acme', owner: 'ada', connection_id: ada, credentials };
  await house.ask('POST', '/v1/connections', again);
  expectOk(await token(ada));
});
