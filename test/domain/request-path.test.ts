// Paths of proxied calls: what is sent, what is refused however it is written, and what of it is logged.
import { describe, expect, test } from 'vitest';
import { PathFault, pathTemplate, readRequestPath } from '../../src/domain/request-path.ts';

const read = (target: string) => {
  const found = readRequestPath(target);
  return found instanceof PathFault ? 'refused' : found.path + found.query;
};

describe('a path', () => {
  test.each([
    ['/user', '/user'],
    ['', ''],
    ['/', '/'],
    ['?q=1', '?q=1'],
    ['/repos/', '/repos/'],
    ['/chat.postMessage', '/chat.postMessage'],
    ['/a;v=1/b', '/a;v=1/b'],
    ['/.well-known/x', '/.well-known/x'],
    ['/...', '/...'],
    ['/a/..b/.c', '/a/..b/.c'],
    ['/@me', '/@me'],
    ['/v1/{name}/x|y', '/v1/{name}/x|y'],
    ['/%7Euser', '/~user'],
    ['/%72epos', '/repos'],
    ['/a%2fb', '/a%2Fb'],
    ['/group%2Fproject/issues', '/group%2Fproject/issues'],
    ['/a%2F.github', '/a%2F.github'],
    ['/100%25', '/100%25'],
    ['/%E2%82%AC', '/%E2%82%AC'],
    ['/a%3Fb', '/a%3Fb'],
    ['/a%23b', '/a%23b'],
    ['/a?x=%zz&y=//..\\%00', '/a?x=%zz&y=//..\\%00'],
    ['/a?next=https://elsewhere.example/', '/a?next=https://elsewhere.example/'],
    ['/Q1%EF%BC%8FQ2', '/Q1%EF%BC%8FQ2'],
  ])('%s is sent as %s', (target, sent) => expect(read(target)).toBe(sent));

  test.each([
    // Dot segments, in every encoding.
    ...['/..', '/../x', '/a/..', '/a/../b', '/.', '/a/./b', '/a/.'],
    ...['/%2e%2e', '/%2E%2E/x', '/.%2e', '/%2e.', '/a/%2e', '/a%2F..', '/..%2Fa', '/a%2F..%2Fb', '/a%2f%2e%2e%2fb'],
    ...['/%252e%252e', '/%25252e%25252e/x', '/a%252F..%252Fb', '/%2525252e', '/.%252e'],
    ...['/..;', '/..;/x', '/..;v=1/x', '/.;/x', '/%2e%2e;/x', '/..%3b/x', '/..%253Bx/y'],
    // Where what is encoded twice cannot be decoded as a whole, or ends the path of a server that decodes it.
    ...[
      '/%252e%252e%252fx%25ff',
      '/%252e%252e%252fx%25zz',
      '/a%252F..%252Fb%25',
      '/x%255cy%25ff',
      '/..%3fx',
      '/..%23x',
    ],
    ...['/..%20', '/%20..', '/..%E2%80%8B', '/.%C2%AD.', '/%EF%BB%BF..'],
    // Unicode's other dots and slashes.
    ...['/%EF%BC%8E%EF%BC%8E', '/%E2%80%A5', '/%E2%80%A4%E2%80%A4', '/%EF%B9%92.', '/%25EF%25BC%258E%25EF%25BC%258E'],
    ...['/a%EF%BC%8F..', '/..%E2%88%95a', '/a%EF%BC%BC..', '/..%EF%BC%8Fetc'],
    // Overlong forms, halves of surrogates, other encodings.
    ...['/%c0%ae%c0%ae', '/%C0%AF', '/%e0%80%ae', '/%f0%80%80%ae', '/%ED%A0%80', '/%ff', '/%u002e%u002e', '/%25u002e'],
    ...['/%25c0%25ae%25c0%25ae', '/%', '/%2', '/%zz', '/a%2'],
    // Empty segments, other hosts, backslashes.
    ...['//', '//host', '//host/x', '/a//b', '///x', '/%2F%2Fhost/../..'],
    ...['\\', '/\\', '/\\host', '/a\\..\\b', '/%5c', '/a%5C..', '/%255c', '/%25255C'],
    ...[
      '/https:/elsewhere.example',
      '/https://elsewhere.example/x',
      'https://elsewhere.example',
      '/http:',
      '@elsewhere.example',
    ],
    ...['user:pass@elsewhere.example/x', '/javascript:/x'],
    // What ends or splits a request line.
    ...[
      '/%00',
      '/a%00b',
      '/%2500',
      '/%0d%0aX: y',
      '/%0A',
      '/%09',
      '/%7f',
      '/%C2%85',
      '/a b',
      '/a\tb',
      '/a\rb',
      '/a\nb',
      '/\0',
    ],
    ...['/a#b', '/#', '/a"b', '/<a>', '/a^b', '/é', '/a?x y', '/a?x#y', '/a?x\r\ny', '/a?\0'],
    ...['x', ' /x', '.', '..', ';/x', '%2Fx'],
    `/${'a'.repeat(20_000)}`,
    `/${'%25'.repeat(1)}${'25'.repeat(6)}2e`,
  ])('%j is refused', (target) => expect(read(target)).toBe('refused'));

  test('a path that is accepted stays where it is, read by the URL standard and by a server that decodes it again', () => {
    const alphabet = [
      '.',
      '/',
      '%2e',
      '%2E',
      '%2f',
      '%5c',
      '\\',
      ';',
      '%25',
      '2e',
      'a',
      '%c0%ae',
      '%E2%80%A5',
      '%EF%BC%8E',
      '%00',
      '@',
      ':',
      '%3b',
      '%20',
    ];
    let seed = 7;
    const next = (n: number) => {
      seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31;
      return seed % n;
    };
    let accepted = 0;
    const escaped: string[] = [];
    for (let i = 0; i < 30_000; i++) {
      const target = `/${Array.from({ length: 1 + next(7) }, () => alphabet[next(alphabet.length)]).join('')}`;
      const found = readRequestPath(target);
      if (found instanceof PathFault) continue;
      accepted++;
      let path = found.path;
      for (let decodings = 0; decodings < 4; decodings++) {
        const url = new URL(`https://api.example/base${path}`);
        const leaves = url.host !== 'api.example' || !url.pathname.startsWith('/base/');
        const isDots = path.split(/[/\\]/).some((one) => /^\.{1,2}(;|$)/.test(one.normalize('NFKC').trim()));
        if (leaves || isDots) escaped.push(target);
        try {
          path = decodeURIComponent(path);
        } catch {
          break;
        }
      }
    }
    expect(escaped).toEqual([]);
    expect(accepted).toBeGreaterThan(500);
  });
});

test.each([
  ['/user', '/user'],
  ['/repos/octocat7/hello', '/repos/{}/hello'],
  ['/v1/customers/cus_9s6XKzkNRiz8i3', '/v1/customers/{}'],
  ['/chat.postMessage', '/chat.postMessage'],
  ['/users/ada%40acme.example', '/users/{}'],
  ['/bot123456:ABC-DEF/getMe', '/{}/getMe'],
  ['/a/b/c/d/e/f/g/h/i/j', '/a/b/c/d/e/f/g/…'],
  ['/v2.1/accounts/12', '/v2.1/accounts/{}'],
])('the log says of %s no more than %s', (path, shown) => expect(pathTemplate(path)).toBe(shown));
