// The shape of the rooms of the broker: small, each with one factory, and interfaces that are written down. Which room may
// import which is in architecture.test.ts.
import { globSync, readFileSync } from 'node:fs';
import { posix } from 'node:path';
import { describe, expect, it } from 'vitest';

const SRC = new URL('../src/', import.meta.url);

const withoutComments = (source: string) => source.replace(/^\s*(\/\*[\s\S]*?\*\/|\/\/.*$)/gm, '');
const roomOf = (path: string) => path.split('/')[1]!;

/** Rooms that are functions, without state or parts to put together. */
const FUNCTIONS_ONLY = new Set(['secrets']);
const ROOM_SIZE = { least: 2, most: 6 };
/** Files of a room, its `index.ts` included, its subfolders not. */
const BIGGER: Record<string, { most: number; why: string }> = {
  connections: { most: 7, why: 'sessions, import, revocation and housekeeping share how a connection is made' },
  refresh: { most: 19, why: 'each mechanism of the refresh engine (breaker, limiter, scheduler, …) is a file' },
};

/** What is wrong with the shape of the rooms: their size, and what their `index.ts` exports. */
function roomShapeFaults(files: Record<string, string>): string[] {
  const faults: string[] = [];
  const inBroker = Object.keys(files).filter((file) => file.startsWith('broker/'));
  for (const room of new Set(inBroker.map(roomOf))) {
    const own = inBroker.filter((file) => posix.dirname(file) === `broker/${room}`);
    const most = BIGGER[room]?.most ?? ROOM_SIZE.most;
    if (own.length < ROOM_SIZE.least || own.length > most)
      faults.push(`broker/${room} has ${own.length} files: a room has ${ROOM_SIZE.least} to ${most}`);
    const factories = factoriesOf(files[`broker/${room}/index.ts`] ?? '');
    const expected = FUNCTIONS_ONLY.has(room) ? 0 : 1;
    if (factories.length !== expected)
      faults.push(
        `broker/${room}/index.ts exports ${factories.join(', ') || 'no factory'}: a room has one create… function`,
      );
  }
  for (const file of inBroker)
    if (/ReturnType<typeof create/.test(withoutComments(files[file]!)))
      faults.push(`${file} infers its API with ReturnType: write the interface first, with its contract`);
  return faults;
}

/** The `create…` functions that a module exports. */
function factoriesOf(source: string): string[] {
  const code = withoutComments(source);
  const declared = [...code.matchAll(/^export (?:async )?(?:function|const) (create\w+)/gm)].map(([, name]) => name!);
  const reexported = [...code.matchAll(/^export \{([^}]*)\}/gm)].flatMap(([, names]) =>
    names!.split(',').map((name) => name.trim().replace(/^.* as /, '')),
  );
  return [...declared, ...reexported.filter((name) => /^create[A-Z]/.test(name))];
}

describe('the rooms of the broker', () => {
  const paths = globSync('broker/**/*.ts', { cwd: SRC }).map((path) => path.replaceAll('\\', '/'));
  const files = Object.fromEntries(paths.map((path) => [path, readFileSync(new URL(path, SRC), 'utf8')]));

  it('have two to six files, one factory and interfaces', () => {
    expect(roomShapeFaults(files)).toEqual([]);
  });

  const room = (index: string, ...others: string[]) =>
    Object.fromEntries([
      ['broker/jwt/index.ts', index],
      ...['a', 'b', ...others].map((name) => [`broker/jwt/${name}.ts`, '']),
    ]);
  const factory = 'export function createJwt() {}';

  it.each([
    ['one declared factory', room(factory)],
    ['one factory that is exported again', room(`export { type Jwt, createJwt, mayVerify } from './a.ts';`)],
    ['functions only, where the room is listed as such', { ...room(factory), ...secretsRoom() }],
  ])('are accepted with %s', (_, found) => {
    expect(roomShapeFaults(found)).toEqual([]);
  });

  it.each([
    ['two factories', room(`${factory}\nexport { createBatch } from './b.ts';`), /createJwt, createBatch/],
    ['no factory', room(`export { verify } from './a.ts';`), /no factory/],
    ['too many files', room(factory, 'c', 'd', 'e', 'f'), /7 files/],
    [
      'a file that infers its API',
      { ...room(factory), 'broker/jwt/a.ts': 'type A = ReturnType<typeof createA>;' },
      /a\.ts/,
    ],
  ])('are refused with %s', (_, found, reported) => {
    expect(roomShapeFaults(found).join('\n')).toMatch(reported);
  });
});

const secretsRoom = () =>
  Object.fromEntries(
    ['index', 'ids', 'keys'].map((name) => [`broker/secrets/${name}.ts`, `export const ${name} = 1;`]),
  );
