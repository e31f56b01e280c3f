// The documents: what they refer to exists, their commands run on any machine. They, the code, the deployment files and the
// titles of tests use the field's words.
import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join, posix, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const filesOf = (...patterns: string[]) =>
  globSync(patterns, { cwd: ROOT, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(ROOT, join(entry.parentPath, entry.name)).replaceAll('\\', '/'));
const PAGES = filesOf('*.md', 'docs/**/*.md', 'client/*.md');
/** Whole files: comments, messages, help, metrics, texts of the catalogue, and names. */
const SOURCES = filesOf('*.ts', 'src/**/*.{ts,json}', 'bench/**/*.ts', 'demo/**/*.ts', 'deploy/**/*', '.env.example');
const TESTS = filesOf('test/**/*.ts').filter((path) => path !== 'test/docs.test.ts');
const read = (path: string) => readFileSync(`${ROOT}/${path}`, 'utf8');

/** As GitHub makes them of headings. */
const anchorsOf = (page: string): string[] =>
  [...page.matchAll(/^#+ (.+)$/gm)].map(([, title]) =>
    title!
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  );

const withoutBlocks = (page: string) => page.replace(/```[\s\S]*?```/g, '');

/** Links that lead nowhere, each as `page: link`. */
function brokenLinks(
  path: string,
  text: string,
  readPage = read,
  exists = (at: string) => existsSync(`${ROOT}/${at}`),
) {
  const links = [...withoutBlocks(text).matchAll(/\]\(([^)\s]+)\)/g)].map(([, link]) => link!);
  return links
    .filter((link) => !/^[a-z]+:/.test(link))
    .filter((link) => {
      const [file = '', anchor] = link.split('#');
      const target = file === '' ? path : posix.join(dirname(path), file);
      if (!exists(target)) return true;
      if (anchor === undefined) return false;
      return !anchorsOf(file === '' ? text : readPage(target)).includes(anchor);
    })
    .map((link) => `${path}: ${link}`);
}

/** Paths in backticks that do not exist. `<id>` stands for anything; an operator makes `deploy/.env`. */
function missingPaths(path: string, text: string): string[] {
  const named = [...text.matchAll(/`((?:src|test|docs|bench|demo|deploy|drizzle|client)\/[^`\s]*)`/g)].map(
    ([, at]) => at!,
  );
  const there = (at: string) =>
    at === 'deploy/.env' || globSync(at.replaceAll(/<\w+>/g, '*'), { cwd: ROOT }).length > 0;
  return named.filter((at) => !there(at)).map((at) => `${path}: ${at}`);
}

/** A command that runs whatever Node is in the PATH. In the image that is the right one: `node dist/…`. */
const bareNode = (path: string, text: string): string[] =>
  [...text.matchAll(/(?:^|[`;&|(]|\$ ) *(node (?!dist\/)[^\n`]*)/gm)].map(([, command]) => `${path}: ${command}`);

/** Words of our first version, and what is said instead. */
const OLD_WORDS: [RegExp, string][] = [
  [/\banew\b/i, 'again'],
  [/\bwhoever\b/i, 'the one that'],
  [/\bnobody\b/i, 'no one'],
  [/\bsomebody\b/i, 'someone'],
  [/\bmend(s|ed|ing)?\b/i, 'fix'],
  [/\b(re)?seal(s|ed|ing)?\b/i, 'encrypt'],
  [/\bsealing_key\b/i, 'encryption_key'],
  [/\bnews\b/i, 'change notification, change feed'],
  [/`sentence`|sentence=/, 'operation'],
  [/\b(quick|long) way\b/i, 'fast path, framework'],
  [/\bmanners?\b/i, 'dialect'],
  [/\bmov(e|ing) house\b/i, 'migrating between databases'],
  [/\bpatience\b/i, 'backoff'],
  [/\blately\b/i, 'recent'],
  [/\bkept once more\b/i, 'restored'],
  [/\bfore?closed|befall/i, 'happen'],
  [/\bdoorbell\b/i, 'hint'],
  [/\binvitations?\b/i, 'connect session'],
  [/\brekey\b/i, 'rotate'],
  [/\bwinner\b/i, 'concurrent refresh'],
  [/\bat three in the morning\b/i, 'runbook'],
  [/\bturn(s|ed)? away\b/i, 'reject'],
  [/\bwitness(es|ed)?\b/i, 'observe'],
  [/\b(hungry|appetite)\b/i, 'prefetch'],
  [/\bnone but\b/i, 'only'],
];

/** The field's word for what protects a log from being changed, as in sealed journals. What is encrypted is not sealed. */
const SEAL_OF_AUDIT = /\b(?:(?:re|un)?seal(?:s|ed|ing)?)\b/i;
const isOfAudit = (path: string, line: string): boolean => /audit|hash chain/i.test(`${path} ${line}`);

/** Lines with an old word, each as `file:line: word (say …)`. */
const oldWords = (path: string, text: string): string[] =>
  text.split('\n').flatMap((line, i) =>
    OLD_WORDS.flatMap(([word, instead]) => {
      const [found] = word.exec(line) ?? [];
      if (found === undefined || (SEAL_OF_AUDIT.test(found) && isOfAudit(path, line))) return [];
      return [`${path}:${i + 1}: ${found} (say ${instead})`];
    }),
  );

/** The name of a column of the first release, which databases have. */
const withoutColumn = (text: string) => text.replaceAll("'sealed'", "''");

/** Only the titles of tests, each on its own line. */
const titlesOf = (text: string): string =>
  text
    .split('\n')
    .map((line) => TITLE.exec(line)?.groups?.title ?? '')
    .join('\n');
const TITLE =
  /(?:\b(?:test|it|describe)(?:\.\w+)*|\](?: as const)?\)|\w\))\((?<quote>['"`])(?<title>(?:(?!\k<quote>).)+)/;

describe('the documents', () => {
  test.each(PAGES)('%s: its links and paths exist', (path) => {
    const text = read(path);
    expect([...brokenLinks(path, text), ...missingPaths(path, text)]).toEqual([]);
  });

  test('they run Node through npm, since the one in the PATH may be too old', () => {
    expect([...PAGES, '.env.example'].flatMap((path) => bareNode(path, read(path)))).toEqual([]);
  });

  test("they use the field's words", () => {
    // The changelog names what is renamed.
    const names = PAGES.filter((path) => path !== 'CHANGELOG.md');
    expect(names.flatMap((path) => oldWords(path, read(path)))).toEqual([]);
  });
});

describe("the field's words are used", () => {
  test('in the code and the deployment files', () => {
    expect(SOURCES.length).toBeGreaterThan(300);
    expect(SOURCES.flatMap((path) => oldWords(path, withoutColumn(read(path))))).toEqual([]);
  });

  test('in the titles of tests', () => {
    expect(TESTS.flatMap((path) => titlesOf(read(path)).split('\n')).filter(Boolean).length).toBeGreaterThan(1_000);
    expect(TESTS.flatMap((path) => oldWords(path, titlesOf(read(path))))).toEqual([]);
  });
});

describe('the checks find', () => {
  test('a link to a missing file, and to a missing heading', () => {
    const page = '# Title\n[a](README.md) [b](nowhere.md) [c](#title) [d](#titel) [e](https://example.com)';
    expect(brokenLinks('README.md', page)).toEqual(['README.md: nowhere.md', 'README.md: #titel']);
  });

  test('a missing path', () => {
    expect(missingPaths('x.md', '`src/main.ts` `src/catalogue/<id>.json` `src/broker/follow.ts`')).toEqual([
      'x.md: src/broker/follow.ts',
    ]);
  });

  test('a bare node', () => {
    const page = "run `node src/main.ts`\n```sh\nnode -e '1'\n```\n`npm exec -c 'node x.ts'` `node dist/cli.js`";
    expect(bareNode('x.md', page)).toEqual(['x.md: node src/main.ts', "x.md: node -e '1'"]);
  });

  test('an old word', () => {
    expect(oldWords('x.md', 'fine\nit is sealed anew')).toEqual([
      'x.md:2: anew (say again)',
      'x.md:2: sealed (say encrypt)',
    ]);
  });

  test('a seal that is not of the audit log', () => {
    expect(oldWords('x.md', 'the audit log is sealed\nthe token is sealed')).toEqual(['x.md:2: sealed (say encrypt)']);
  });

  test('an old word in a title, and in none of its data', () => {
    const file = "const nobody = 1;\ntest('nobody is asked', () => {});\n])('%s: lately', () => {});";
    expect(oldWords('x.test.ts', titlesOf(file))).toEqual([
      'x.test.ts:2: nobody (say no one)',
      'x.test.ts:3: lately (say recent)',
    ]);
  });
});
