// The client as a package: its files, that it runs without Node, and its types in other projects.
import { execFile } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { createContext, runInContext } from 'node:vm';
import { build, type Platform } from 'esbuild';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { startTestSetup } from '../support/broker-setup.ts';
import { buildClientPackage, type ClientPackage } from '../support/client-package.ts';
import { ROOT } from '../support/image.ts';
import { newOwner } from '../support/owner-browser.ts';
import { startScriptedServer } from '../support/scripted-server.ts';

vi.setConfig({ testTimeout: 180_000, hookTimeout: 180_000 });

let client: ClientPackage;
beforeAll(async () => {
  client = await buildClientPackage();
});
afterAll(() => client?.remove());

const manifest = JSON.parse(readFileSync(join(ROOT, 'client/package.json'), 'utf8'));

async function bundle(platform: Platform, contents = "export * from '@valetkey/client';"): Promise<string> {
  const { outputFiles } = await build({
    stdin: { contents, resolveDir: client.consumer },
    bundle: true,
    platform,
    format: 'iife',
    globalName: 'client',
    target: 'es2022',
    write: false,
    logLevel: 'silent',
  });
  return outputFiles[0]!.text;
}

describe('the package', () => {
  test('contains code, types, README and license, and nothing else', async () => {
    const pack = ['pack', '--dry-run', '--json', '--ignore-scripts'];
    const { stdout } = await promisify(execFile)('npm', pack, { cwd: client.folder });
    const [{ files }] = JSON.parse(stdout) as [{ files: { path: string }[] }];
    const paths = files.map(({ path }) => path);
    const others = paths.filter((path) => !/^dist\/[a-z-]+\.(js|d\.ts)$/.test(path));
    expect(others.sort()).toEqual(['LICENSE', 'README.md', 'package.json']);
    expect(paths).toContain('dist/index.js');
  });

  test('has no dependencies', () => {
    expect(Object.keys(manifest).filter((name) => /dependencies/i.test(name))).toEqual([]);
  });

  test('has a README of one page', () => {
    const page = readFileSync(join(ROOT, 'client/README.md'), 'utf8').trimEnd().split('\n');
    expect(page.length).toBeLessThanOrEqual(68);
    const [, example = ''] = page.join('\n').match(/```js\n([\s\S]*?)```/) ?? [];
    expect(example.trimEnd().split('\n').length).toBeLessThanOrEqual(20);
  });
});

describe('without Node', () => {
  test.each<Platform>(['browser', 'neutral'])('bundles for %s', async (platform) => {
    expect(await bundle(platform)).not.toMatch(/\bnode:|\brequire\(/);
  });

  test('the bundle check fails for an import of Node', async () => {
    const contents = "import 'node:fs'; export * from '@valetkey/client';";
    for (const platform of ['browser', 'neutral'] as const)
      await expect(bundle(platform, contents)).rejects.toThrow(/node:fs/);
  });

  test('gets, refreshes and throws with web APIs only', async () => {
    const testSetup = await startTestSetup();
    const owner = newOwner();
    const id = await testSetup.importConnection(owner);
    const { body } = await testSetup.broker.ask('GET', `/v1/connections/${id}/token`);
    const rejected = `Bearer ${body.access_token}`;
    const api = await startScriptedServer(({ headers }) => ({
      status: headers.authorization === rejected ? 401 : 200,
      body: {},
    }));
    try {
      const web = {
        fetch,
        Headers,
        URL,
        URLSearchParams,
        AbortSignal,
        performance,
        setTimeout,
        clearTimeout,
        AbortController,
        TextDecoder,
      };
      const context = createContext({
        ...web,
        given: { url: testSetup.broker.url, key: testSetup.broker.adminKey },
        owner,
        api,
      });
      runInContext(await bundle('browser'), context);
      const result = await runInContext(
        `(async () => {
          const valetkey = client.createValetkey(given);
          const who = { integration: 'acme', owner };
          const { status } = await valetkey.fetch(who, api.url);
          const { connection_id } = await valetkey.token(who);
          const own = await client.createValetkey({ ...given, key: 'none' }).api(who).get('/x').catch((error) => error);
          const error = await valetkey.token({ ...who, label: 'none' }).catch((error) => error);
          return { status, connection_id, proxied: own.code, mustConnect: client.mustConnect(error), process: typeof process };
        })()`,
        context,
      );
      const proxied = 'unauthenticated';
      expect(result).toEqual({ status: 200, connection_id: id, proxied, mustConnect: true, process: 'undefined' });
      expect(api.received).toHaveLength(2);
    } finally {
      await api.close();
      await testSetup.close();
    }
  });
});

describe('the types', () => {
  const NONCE_PATH = [
    '--strict',
    '--noEmit',
    '--noUncheckedIndexedAccess',
    '--exactOptionalPropertyTypes',
    '--types',
    '',
  ];
  const compile = (source: string, ...options: string[]) => {
    writeFileSync(join(client.consumer, 'service.ts'), source);
    return client.compile(
      client.consumer,
      'service.ts',
      ...NONCE_PATH,
      '--module',
      'esnext',
      '--target',
      'es2022',
      ...options,
    );
  };
  const WEB = ['--lib', 'es2022,dom', '--moduleResolution', 'bundler'];
  const SERVICE = `
    import { ApiError, createValetkey, isReauthorizationRequired, RateLimited, ReauthorizationRequired, ValetkeyError, type Token } from '@valetkey/client';
    const valetkey = createValetkey({ url: 'https://broker.example', key: async () => 'vk_', fetch });
    const who = { integration: 'github', owner: 'user_42' };
    export const token: Token = await valetkey.token({ ...who, min_ttl: 5, signal: new AbortController().signal });
    export const response: Response = await valetkey.fetch({ connection: token.connection_id }, 'https://a.example', { method: 'POST' });
    try {
      await valetkey.refresh(token);
    } catch (error) {
      if (isReauthorizationRequired(error)) { const id: string = error.connectionId; console.log(id); }
      if (error instanceof ValetkeyError && error.code === 'forbidden') console.log(error.missing?.owner);
      const { url }: { url: string } = await valetkey.connectUrl({ ...who, return_url: 'https://app.example' }, error);
      console.log(url, await valetkey.connectUrl({ connection_id: token.connection_id }));
    }
    const api = valetkey.api(who, { retry: 2 });
    try {
      const user = await api.get<{ id: number }>('/user', { query: { fields: ['id'] }, headers: { accept: 'text/x' } });
      const stream: ReadableStream<Uint8Array> = await api.put('/file', new Uint8Array(1), { as: 'stream' });
      const { status }: Response = await api.delete('/file', { as: 'response' });
      for await (const page of api.pages<string[]>('/items', { list: 'data' })) console.log(page.length, user.id, stream, status);
      const fetch: typeof globalThis.fetch = api.fetch;
      console.log(fetch, (await api.request<Blob>('REPORT', '/x', { body: { a: 1 } })).attempts);
    } catch (error) {
      if (error instanceof RateLimited) { const seconds: number = error.retryAfter; console.log(seconds, error.scope); }
      if (error instanceof ReauthorizationRequired) console.log((await error.connectUrl({ return_url: 'https://app.example' })).url);
      if (error instanceof ApiError) { const body: unknown = error.body; console.log(body, error.headers.get('etag')); }
    }
    const verdict = await valetkey.verify('a.b.c', { audience: 'me' });
    if (verdict.active) console.log(verdict.claims.sub);
    else console.log(verdict.reason);
  `;

  test('compile in a strict project with DOM types only', async () => {
    await compile(SERVICE, ...WEB);
  });

  test('compile in a Node project without DOM types', async () => {
    writeFileSync(join(client.consumer, 'package.json'), '{"type":"module"}');
    const typeRoots = join(ROOT, 'node_modules/@types');
    const node = [
      '--lib',
      'es2024',
      '--module',
      'nodenext',
      '--moduleResolution',
      'nodenext',
      '--typeRoots',
      typeRoots,
    ];
    await compile(SERVICE, ...node, '--types', 'node');
  });

  // Compiled together: the compiler takes its time for the libraries, and not for these.
  const WRONG: [what: string, code: string][] = [
    ['a token without an owner', 'valetkey.token({ integration: "github" })'],
    ['an owner and a connection at once', 'valetkey.token({ integration: "github", owner: "a", connection: "con_1" })'],
    ['an unknown error code', 'error.code === "unknown"'],
    ['a link without an integration', 'valetkey.connectUrl({ owner: "a" })'],
    ['a call with a wait that is no number', 'valetkey.api("con_1").get("/x", { maxWait: "long" })'],
    ['a call of a host that is no text', 'valetkey.api("con_1", { host: 1 })'],
    ['a link without an owner', 'valetkey.connectUrl({ integration: "github" })'],
  ];
  let compiled: Promise<string> | undefined;
  const compileWrong = () => {
    const lines = WRONG.map(([, code], n) => `export const it${n} = ${code};`);
    compiled ??= compile(
      `${DECLARED}\nexport const right = valetkey.token({ connection: "con_1" });\n${lines.join('\n')}`,
      ...WEB,
    ).then(
      () => '',
      (error: Error) => error.message,
    );
    return compiled;
  };
  const DECLARED = `
    import { type Valetkey, type ValetkeyError } from '@valetkey/client';
    declare const valetkey: Valetkey;
    declare const error: ValetkeyError;`;

  test.each(WRONG.map(([what], n) => [what, 6 + n] as const))('reject %s', async (_, line) => {
    expect(await compileWrong()).toContain(`service.ts(${line},`);
  });

  test('reject nothing else', async () => {
    const lines = [...(await compileWrong()).matchAll(/^service\.ts\((\d+),/gm)].map(([, line]) => Number(line));
    expect([...new Set(lines)].sort((a, b) => a - b)).toEqual(WRONG.map((_, n) => 6 + n));
  });
});
