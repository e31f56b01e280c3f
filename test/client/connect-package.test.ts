// @valetkey/connect as a package: one file below 2 kB, its types, and nothing else.
import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { build } from 'esbuild';
import { expect, onTestFinished, test, vi } from 'vitest';
import { rejectionOf } from '../support/client.ts';
import { ROOT } from '../support/image.ts';

test('@valetkey/connect: one file below 2 kB, with types, and no dependencies', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'valetkey-connect-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  await promisify(execFile)(join(ROOT, 'node_modules/.bin/tsc'), ['-p', join(ROOT, 'connect'), '--outDir', folder]);
  expect(readdirSync(folder).sort()).toEqual(['index.d.ts', 'index.js']);
  const minified = await build({
    entryPoints: [join(folder, 'index.js')],
    bundle: true,
    platform: 'browser',
    format: 'esm',
    minify: true,
    write: false,
  });
  expect(minified.outputFiles[0]!.contents.byteLength).toBeLessThan(2_000);
  const manifest = JSON.parse(readFileSync(join(ROOT, 'connect/package.json'), 'utf8')) as object;
  expect(Object.keys(manifest).filter((name) => /dependencies/i.test(name))).toEqual([]);
}, 180_000);

/** Loaded by its path: it has the types of a browser, which the tests do not. */
async function load(): Promise<(url: string, options: object) => Promise<unknown>> {
  const { connect } = await import(pathToFileURL(join(ROOT, 'connect/index.ts')).href);
  return connect;
}

/** What a page has, as far as `connect` uses it. */
function startPage() {
  const popup = { closed: false, close: vi.fn() };
  const open = vi.fn(() => popup);
  vi.stubGlobal('window', { open });
  const listeners = new Set<(event: object) => void>();
  vi.stubGlobal('addEventListener', (_: string, listener: () => void) => listeners.add(listener));
  vi.stubGlobal('removeEventListener', (_: string, listener: () => void) => listeners.delete(listener));
  onTestFinished(() => void vi.unstubAllGlobals());
  const post = (event: object) => [...listeners].map((listener) => listener(event));
  return { popup, open, post };
}

test('@valetkey/connect: a poll that throws says nothing, and one without a promise is an answer', async () => {
  const { popup } = startPage();
  const connect = await load();
  const answers = [
    () => {
      throw new Error('not signed in');
    },
    () => Promise.reject(new Error('offline')),
    () => undefined,
    () => ({ status: 'pending' }),
    () => ({ status: 'failed', error: 'access_denied' }),
  ];
  const poll = () => answers.shift()!();
  expect(await connect('https://keys.example.com/connect/x', { poll, every: 1 })).toEqual({
    status: 'failed',
    error: 'access_denied',
  });
  expect([answers, popup.close.mock.calls.length]).toEqual([[], 1]);
});

test('@valetkey/connect: a signal that is aborted already opens nothing', async () => {
  const { open } = startPage();
  const connect = await load();
  const reason = new Error('gone');
  const poll = async () => ({ status: 'pending' });
  const outcome = connect('https://keys.example.com/connect/x', { poll, signal: AbortSignal.abort(reason) });
  expect(await rejectionOf(outcome)).toBe(reason);
  expect(open).not.toHaveBeenCalled();
});

test('@valetkey/connect: of two calls, the first is not told of the session of the second, and leaves it the pop-up', async () => {
  const { popup, post } = startPage();
  const connect = await load();
  let status = 'pending';
  let polled = 0;
  const poll = async () => {
    polled++;
    return { status };
  };
  const first = connect('https://keys.example.com/connect/1', { poll, every: 1 });
  const second = connect('https://keys.example.com/connect/2', { poll: async () => ({ status: 'pending' }), every: 1 });
  post({
    origin: 'https://keys.example.com',
    data: { type: 'valetkey', connect_session_id: 'cs_2', status: 'completed' },
  });
  expect(await second).toEqual({ connect_session_id: 'cs_2', status: 'completed' });
  const before = polled;
  await expect.poll(() => polled).toBeGreaterThan(before);
  status = 'expired';
  expect(await first).toEqual({ status: 'expired' });
  expect(popup.close).not.toHaveBeenCalled();
});
