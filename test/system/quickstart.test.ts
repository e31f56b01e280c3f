// Runs the code blocks of docs/quickstart.md, in order, against `npm run demo`.
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { walkThrough } from '../../demo/browser.ts';
import { buildClientPackage, type ClientPackage } from '../support/client-package.ts';
import { ROOT } from '../support/image.ts';

vi.setConfig({ testTimeout: 180_000, hookTimeout: 180_000 });

const page = readFileSync(join(ROOT, 'docs/quickstart.md'), 'utf8');
const blocks = [...page.matchAll(/```(sh|js)\n([\s\S]*?)```/g)].map(([, language, code]) => ({
  language,
  code: code!,
}));
const [start, ask, invite, use, install, service, run, revoke] = blocks.map(({ code }) => code.trimEnd());

interface Running {
  /** The line that matched. */
  line: string;
  stop(): Promise<unknown>;
}

/** Starts a process, and resolves when it has printed a matching line. */
async function startUntil(pattern: RegExp, args: string[], cwd: string, env: NodeJS.ProcessEnv): Promise<Running> {
  const child = spawn(process.execPath, args, { cwd, env, stdio: ['ignore', 'pipe', 'inherit'] });
  const gone = once(child, 'exit');
  const line = await new Promise<string>((found, failed) => {
    createInterface({ input: child.stdout }).on('line', (text) => pattern.test(text) && found(text));
    void gone.then(([code]) => failed(new Error(`it exited with ${code}`)));
  });
  const stop = () => {
    child.kill('SIGTERM');
    return gone;
  };
  return { line, stop };
}

let client: ClientPackage;
let demo: Running;
let env: NodeJS.ProcessEnv;
beforeAll(async () => {
  client = await buildClientPackage();
  demo = await startUntil(/^export /, ['demo/main.ts'], ROOT, { PATH: process.env.PATH });
  const exported = [...demo.line.matchAll(/(\w+)=(\S+)/g)].map(([, name, value]) => [name, value]);
  env = { PATH: process.env.PATH, ...Object.fromEntries(exported) };
});
afterAll(async () => {
  await demo?.stop();
  client?.remove();
});

/** Runs code as if it were pasted into a terminal. */
const paste = async (code = ''): Promise<string> =>
  (await promisify(execFile)('sh', ['-euc', code], { cwd: client.consumer, env })).stdout;
const curl = await promisify(execFile)('curl', ['--version']).then(
  () => true,
  () => false,
);

test('quickstart: begins with the demo; the service has at most 20 lines', () => {
  expect(blocks.map(({ language }) => language)).toEqual(['sh', 'sh', 'sh', 'sh', 'sh', 'js', 'sh', 'sh']);
  expect([start, run]).toEqual(['npm ci && npm run demo', `npm exec -c 'node service.mjs'`]);
  expect(install).toMatch(/^npm run build:client\n.*npm install \.\.\/\.\.\/client$/);
  expect(service?.split('\n').length).toBeLessThanOrEqual(20);
});

describe.skipIf(!curl)('quickstart with curl', () => {
  test('a user who is not connected gets a link, then a token that the API accepts', async () => {
    expect(JSON.parse(await paste(ask))).toMatchObject({ code: 'not_found' });
    const { url } = JSON.parse(await paste(invite));
    await walkThrough(url, { login: 'ada' });
    expect(JSON.parse(await paste(ask))).toMatchObject({ owner: 'ada', token_type: 'Bearer' });
    expect(await paste(use)).toBe('{"sub":"ada"}');
  });

  test('the service redirects a user to connect, greets them, and notices a revocation', async () => {
    writeFileSync(join(client.consumer, 'service.mjs'), service!);
    const { line: url, stop } = await startUntil(/^http:/, ['service.mjs'], client.consumer, { ...env, PORT: '0' });
    try {
      const cancelled = await walkThrough(url, { cancel: true });
      expect([cancelled.response?.status, cancelled.text]).toEqual([400, 'Not connected.\n']);
      const first = await walkThrough(url, { login: 'grace' });
      expect(first.text).toBe('Connected as grace\n');
      expect(first.redirects.length).toBeGreaterThan(2);
      expect(await (await fetch(url)).text()).toBe('Connected as grace\n');
      expect(JSON.parse(await paste(revoke))).toMatchObject({ upstream_revocation: 'done' });
      const again = await fetch(url, { redirect: 'manual' });
      expect(again.status).toBe(302);
      expect(again.headers.get('location')).toContain(`${env.VALETKEY_URL}/connect/`);
    } finally {
      await stop();
    }
  });
});
