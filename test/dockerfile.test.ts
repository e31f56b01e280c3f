// The image, as far as can be told without an engine: well-formed, not root, lean, and complete enough to start.
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { validate } from 'dockerfile-utils';
import { describe, expect, it } from 'vitest';

const ROOT = fileURLToPath(new URL('../', import.meta.url));
const text = readFileSync(join(ROOT, 'Dockerfile'), 'utf8');

/** One a line, continuations joined, comments gone. */
const instructions = text
  .replace(/^\s*#.*\n/gm, '')
  .replace(/\\\n\s*/g, '')
  .split('\n')
  .filter((line) => line.trim() !== '')
  .map((line) => {
    const [, name, rest] = line.match(/^(\w+)\s+(.*)$/)!;
    return { name: name!, rest: rest! };
  });
const stages = instructions.map(({ name }) => name).lastIndexOf('FROM');
const shipped = instructions.slice(stages);
const only = (name: string) => {
  const found = shipped.filter((instruction) => instruction.name === name);
  expect(found, name).toHaveLength(1);
  return found[0]!.rest;
};
const commandOf = (rest: string): string[] => JSON.parse(rest.slice(rest.indexOf('[')));

const copied = (lines: typeof instructions) =>
  lines
    .filter(({ name, rest }) => name === 'COPY' && !rest.includes('--from='))
    .flatMap(({ rest }) => rest.split(/\s+/).slice(0, -1));

describe('the Dockerfile', () => {
  it('has no fault that the linter knows', () => {
    expect(validate(text).map(({ message, range }) => `${range.start.line + 1}: ${message}`)).toEqual([]);
  });

  it('builds on Debian slim with Node 24', () => {
    const bases = instructions.filter(({ name }) => name === 'FROM').map(({ rest }) => rest);
    expect(bases.length).toBeGreaterThan(1);
    for (const base of bases) expect(base).toMatch(/^node:24-(bookworm|trixie)-slim\b/);
  });

  it('runs as a numbered user that is not root, and stays it', () => {
    expect(only('USER')).toMatch(/^[1-9]\d*:[1-9]\d*$/);
    const after = shipped.slice(shipped.findIndex(({ name }) => name === 'USER'));
    expect(after.filter(({ name }) => name === 'RUN')).toEqual([]);
  });

  it('installs exactly what is locked, without development or optional packages, and runs no install script', () => {
    const installs = instructions.filter(({ rest }) => /\bnpm (ci|install|i)\b/.test(rest)).map(({ rest }) => rest);
    expect(installs).toEqual(['npm ci --omit=dev --omit=optional --ignore-scripts']);
  });

  it('keeps the database on a volume, and listens to the outside', () => {
    expect(only('VOLUME')).toBe('/data');
    expect(only('ENV')).toContain('VALETKEY_DATABASE_URL=file:/data/');
    expect(only('ENV')).toContain('VALETKEY_HOST=0.0.0.0');
    expect(text).not.toMatch(/VALETKEY_(KEYS|ADMIN_KEY)=/);
  });

  it('is sent nothing that it does not copy', () => {
    const ignore = readFileSync(join(ROOT, '.dockerignore'), 'utf8').split('\n');
    const rules = ignore.filter((line) => line !== '' && !line.startsWith('#'));
    expect(rules[0]).toBe('*');
    expect(rules.slice(1).sort()).toEqual([...new Set(copied(instructions).map((path) => `!${path}`))].sort());
    for (const path of copied(instructions)) expect(existsSync(join(ROOT, path)), path).toBe(true);
  });

  it('starts with what it copies, is found healthy by its own check, and stops when told to', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'valetkey-image-'));
    for (const path of copied(shipped)) cpSync(join(ROOT, path), join(folder, path), { recursive: true });
    symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
    const [, ...args] = commandOf(only('CMD'));
    const [, ...check] = commandOf(only('HEALTHCHECK'));
    const env = { VALETKEY_HOST: '127.0.0.1', VALETKEY_PORT: '0', VALETKEY_DATABASE_URL: 'file:./data/valetkey.db' };
    const broker = spawn(process.execPath, args, { cwd: folder, env, stdio: ['ignore', 'pipe', 'inherit'] });
    try {
      let url: string | undefined;
      for await (const line of createInterface(broker.stdout)) {
        const { event, url: at } = JSON.parse(line);
        if (event === 'listening') {
          url = at;
          break;
        }
      }
      const healthy = (port: string) =>
        promisify(execFile)(process.execPath, check, { env: { VALETKEY_PORT: port } }).then(
          () => true,
          () => false,
        );
      const { port } = new URL(url!);
      expect(await healthy(port)).toBe(true);
      const ended = once(broker, 'exit');
      broker.kill('SIGTERM');
      expect(await ended).toEqual([0, null]);
      expect(await healthy(port)).toBe(false);
    } finally {
      broker.kill('SIGKILL');
      rmSync(folder, { recursive: true });
    }
  });
});
