// Backup and restore as in docs/operations.md, and the state of a restored database with rotating refresh tokens.
import { execFile } from 'node:child_process';
import { mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { expectOk, expectProblem } from '../support/contract.ts';
import { read } from '../support/deploy-files.ts';
import { type RestartableBroker, startRestartableBroker } from '../support/restartable-broker.ts';

let restartable: RestartableBroker;
let cwd: string;
beforeAll(async () => {
  restartable = await startRestartableBroker();
  cwd = await mkdtemp(join(tmpdir(), 'valetkey-backup-'));
  await symlink(restartable.folder, join(cwd, 'data'));
});
afterAll(async () => {
  await restartable?.close();
  await rm(cwd, { recursive: true, force: true });
});

/** Runs the commands of the page that begin with this comment, beside the broker's data. */
async function runCommands(name: string): Promise<void> {
  const [, commands] = new RegExp(`\`\`\`sh\\n# ${name}\\n([\\s\\S]*?)\`\`\``).exec(read('docs/operations.md'))!;
  await promisify(execFile)('sh', ['-e', '-c', commands!], { cwd });
}

const token = (id: string) => restartable.ask('GET', `/v1/connections/${id}/token`);
const refresh = (id: string) => restartable.ask('POST', `/v1/connections/${id}/refresh`, {});

test('backup and restore: valid tokens are served, rotated ones need a reconnect, revoked connections are back', async () => {
  const [ada, grace] = [await restartable.importConnection('ada'), await restartable.importConnection('grace')];
  const { access_token: backedUp } = expectOk(await token(ada));
  expectOk(await token(grace));

  await runCommands('backup');
  expectOk(await refresh(ada));
  expectOk(await restartable.ask('DELETE', `/v1/connections/${grace}`));
  expect(await restartable.current().stop('SIGTERM')).toBe(0);

  await runCommands('restore');
  await restartable.start();
  expect(expectOk(await token(ada))).toMatchObject({ access_token: backedUp });
  expect(expectProblem(await refresh(ada), 409, 'reauthorization_required')).toMatchObject({ reason: 'grant_revoked' });
  expect(expectOk(await restartable.ask('GET', `/v1/connections/${grace}`))).toMatchObject({ status: 'active' });

  const credentials = { refresh_token: await restartable.mintRefreshToken('ada') };
  const again = { integration: 'acme', owner: 'ada', connection_id: ada, credentials };
  await restartable.ask('POST', '/v1/connections', again);
  expectOk(await token(ada));
});
