// Providers are data: code never names one.
import { globSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { loadCatalogue } from '../../src/catalogue/load.ts';
import { providersOf } from '../support/entries.ts';

const SRC = new URL('../../src/', import.meta.url);
const ids = [...providersOf(loadCatalogue([])).keys()];

/** Parts of ids that are English words, or names of protocols. */
const WORDS = new Set([
  ...['account', 'box', 'calendar', 'generic', 'linear', 'maps', 'monday', 'notion', 'segment', 'service', 'square'],
  ...['teams', 'x', 'zoom', 'aws', 'mcp', 'oauth2', 'oidc', 'ses'],
]);
const vendors = [...new Set(ids.flatMap((id) => id.split('-')))].filter((part) => !WORDS.has(part));

const withoutComments = (source: string): string => source.replace(/^\s*(\/\*[\s\S]*?\*\/|\/\/.*$)/gm, '');
/** `isSlackBot` has three words. */
const wordsOf = (line: string): string[] =>
  (line.match(/[A-Z]?[a-z0-9]+|[A-Z0-9]+(?![a-z])/g) ?? []).map((w) => w.toLowerCase());

/** Lines with a vendor's name, or with a string that is exactly a provider's id. */
function namedIn(source: string): string[] {
  return withoutComments(source)
    .split('\n')
    .filter((line) => {
      const words = wordsOf(line);
      const joined = line.toLowerCase();
      const vendor = vendors.some((name) => (name.length < 6 ? words.includes(name) : joined.includes(name)));
      return vendor || [...line.matchAll(/(['"`])([a-z0-9-]+)\1/g)].some(([, , text]) => ids.includes(text!));
    })
    .map((line) => line.trim());
}

describe('code of src', () => {
  it('names no provider', () => {
    // Schemas have examples with well-known providers.
    const files = globSync('**/*.ts', { cwd: SRC }).filter((file) => !file.startsWith('api/'));
    expect(files.length).toBeGreaterThan(80);
    const named = files.flatMap((file) =>
      namedIn(readFileSync(new URL(file, SRC), 'utf8')).map((line) => `${file}: ${line}`),
    );
    expect(named).toEqual([]);
  });
});

describe('provider name', () => {
  it.each([
    "if (provider.id === 'slack') return;",
    "if (integration.provider === 'linear') return;",
    "    case 'square':",
    '  case "x-twitter":',
    'const quirks = { box: `box` };',
    'const isGitHub = name.length > 0;',
    'function slackBot() {}',
    "if (name.startsWith('Shopify')) return; // a comment behind it",
    'if (url.host.endsWith("salesforce.com")) return;',
    'const OKTA_SCOPES = [];',
  ])('is found in %s', (line) => {
    expect(namedIn(`const before = 1;\n${line}\nconst after = 2;`)).toEqual([line.trim()]);
  });

  it('is not found in similar words', () => {
    const harmless = [
      '// as Slack does it',
      '/** At GitHub and others. */',
      'const segment = path.split("/")[1];',
      "const shape = 'a square box';",
      "if (auth.mode === 'oidc') return central;",
    ];
    expect(namedIn(harmless.join('\n'))).toEqual([]);
  });
});
