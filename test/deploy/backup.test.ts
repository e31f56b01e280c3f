// Backup and restore as in docs/operations.md, and the state of a restored database with rotating refresh tokens.
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

/** Runs the commands of the page that begin with this comment, beside the broker's data. */
async function runCommands(name: string): Promise<void> {
  const [, commands] = new RegExp(`\`\`\`sh\\n# ${name}\\n([\\s\\S]*?)\`\`\``).exec(read('docs/operations.md'))!;
  await promisify(execFile)('sh', ['-e', '-c', commands!], { cwd });
}

const token = (id: string) => house.ask('GET', `/v1/connections/${id}/token`);
const refresh = (id: string) => house.ask('POST', `/v1/connections/${id}/refresh`, {});

test('backup and restore: valid tokens are served, rotated ones need a reconnect, revoked connections are back', async () => {
  const [ada, grace] = [await house.adopt('ada'), await house.adopt('grace')];
  const { access_token: backedUp } = expectOk(await token(ada));
  expectOk(await token(grace));

  await runCommands('backup');
  expectOk(await refresh(ada));
  expectOk(await house.ask('DELETE', `/v1/connections/${grace}`));
  expect(await house.broker().stop('SIGTERM')).toBe(0);

  await runCommands('restore');
  await house.start();
  expect(expectOk(await token(ada))).toMatchObject({ access_token: backedUp });
  expect(expectProblem(await refresh(ada), 409, 'reauthorization_required')).toMatchObject({ reason: 'grant_revoked' });
  expect(expectOk(await house.ask('GET', `/v1/connections/${grace}`))).toMatchObject({ status: 'active' });

  const credentials = { refresh_token: await house.mint('ada') };
  const again = { integration: 'acme', owner: 'ada', connection_id: ada, credentials };
  await house.ask('POST', '/v1/connections', again);
  expectOk(await token(ada));
});
