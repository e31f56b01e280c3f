// The table of audit actions against the code that records them and the documentation that names them.
import { globSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { AUDIT_ACTIONS } from '../../src/domain/audit-actions.ts';

const ROOT = new URL('../../', import.meta.url);
const read = (path: string) => readFileSync(new URL(path, ROOT), 'utf8');
const broker = globSync('src/broker/**/*.ts', { cwd: ROOT }).map(read).join('\n');
const actions = Object.entries(AUDIT_ACTIONS);

describe.each(actions)('audit action %s', (action, { description }) => {
  test('is recorded by a use case', () => {
    expect(broker.includes(`'${action}'`)).toBe(true);
  });

  test('fits the filter of the API, and has a description of one or two sentences', () => {
    expect(action).toMatch(/^[a-z_]+\.[a-z_]{1,64}$/);
    expect(action.length).toBeLessThanOrEqual(64);
    expect(description).toMatch(/^[A-Z].*\.$/);
  });
});

test('the action filter of GET /v1/audit documents every action', () => {
  const { parameters } = JSON.parse(read('openapi.json')).paths['/v1/audit'].get;
  const { description } = parameters.find(({ name }: { name: string }) => name === 'action');
  for (const [action] of actions) expect(description).toContain(`\`${action}\``);
});

test('docs and command line examples name only actions that exist', () => {
  const texts = [
    ...globSync('docs/*.md', { cwd: ROOT }),
    'README.md',
    ...globSync('src/{cli,api}/*.ts', { cwd: ROOT }),
  ];
  const named = texts.flatMap((path) =>
    [...read(path).matchAll(/--action (\w+\.\w+)|<action>[^\n|]{0,40}?such as (\w+\.\w+)|\baction: '(\w+\.\w+)'/g)].map(
      ([, ...found]) => found.find((action) => action !== undefined)!,
    ),
  );
  expect(named.length).toBeGreaterThan(3);
  expect(named.filter((action) => !Object.hasOwn(AUDIT_ACTIONS, action))).toEqual([]);
});
