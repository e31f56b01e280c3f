// Where lists go on, by each style that an entry may name: the next request, and what is refused.
import { describe, expect, test } from 'vitest';
import { linkOf, placeOf } from '../../src/client/api-links.ts';
import { type ListOptions, type ListRequest, nextRequest, type Pagination } from '../../src/client/api-pages.ts';
import { at } from '../../src/client/json-path.ts';

const api = {
  base_url: 'https://api.acme.example/v1',
  other_hosts: { files: 'https://files.acme.example', admin: 'https://api.acme.example/v1/admin' },
};
const GET: ListRequest = { method: 'GET', path: '/items?q=a%20b', host: undefined, body: undefined };

interface Case {
  request?: Partial<ListRequest>;
  body?: unknown;
  headers?: Record<string, string>;
  options?: ListOptions;
}
const next = (pagination: Pagination, { request = {}, body, headers = {}, options = {} }: Case) =>
  nextRequest(pagination, {
    api,
    request: { ...GET, ...request },
    answer: { body, headers: new Headers(headers) },
    ...options,
  });
const pathAfter = (pagination: Pagination, given: Case) => next(pagination, given)?.path;
const refusal = (of: () => unknown) => {
  try {
    return of();
  } catch (error) {
    return error;
  }
};

describe('next_url and link_header', () => {
  const url: Pagination = { style: 'next_url', from: 'paging.next', secret_params: ['access_token'] };
  const to = (link: unknown) => next(url, { body: { paging: { next: link } } });

  test.each([
    ['an absolute URL', 'https://api.acme.example/v1/items?page=2', undefined, '/items?page=2'],
    ['one from the root', '/v1/items?page=2', undefined, '/items?page=2'],
    ['one from the base URL', '/items?page=2', undefined, '/items?page=2'],
    ['a query alone', '?page=2', undefined, '/items?page=2'],
    ['another host', 'https://files.acme.example/items?page=2', 'files', '/items?page=2'],
    ['the longest base that fits', 'https://api.acme.example/v1/admin/x', 'admin', '/x'],
    ['a secret in it', 'https://api.acme.example/v1/items?access_token=x&page=2', undefined, '/items?page=2'],
  ])('%s: is mapped to the proxy', (_, link, host, path) => {
    expect(to(link)).toEqual({ method: 'GET', host, path, body: undefined });
  });

  test.each([[null], [undefined], [''], [false]])('%j: the list has ended', (link) => {
    expect(to(link)).toBeUndefined();
  });

  test.each([
    ['https://evil.example/v1/items'],
    ['https://api.acme.example.evil.example/v1/items'],
    ['https://api.acme.example/v2/items'],
    ['https://api.acme.example/v10'],
    ['http://api.acme.example/v1/items'],
    ['https://api.acme.example:444/v1/items'],
    ['https://user@api.acme.example/v1/items'],
    ['//evil.example/v1/items'],
    ['https://api.acme.example/v1/../v2/items'],
    ['javascript:alert(1)'],
    ['https://'],
  ])('%s: is not asked for', (link) => {
    expect(refusal(() => to(link))).toMatchObject({ code: 'pagination', reason: 'foreign_link' });
  });

  test('a Link header: by its relation, however it is written', () => {
    const link = (text: string, rel?: string) =>
      pathAfter({ style: 'link_header', ...(rel !== undefined && { rel }) }, { headers: { link: text } });
    expect(link('<https://api.acme.example/v1/a?page=1>; rel="prev", </v1/a?page=3>; title="x, y"; rel=next')).toBe(
      '/a?page=3',
    );
    expect(link('</v1/a,b;c>; rel="last next"')).toBe('/a,b;c');
    expect(link('</v1/a>; rel="older"', 'older')).toBe('/a');
    expect(link('</v1/a>; rel="nextish"')).toBeUndefined();
    expect(link('garbage')).toBeUndefined();
    expect(linkOf(null, 'next')).toBeUndefined();
    expect(placeOf(new URL('https://api.acme.example/v1'), api)).toEqual({ host: undefined, path: '' });
  });
});

describe('cursors', () => {
  const cursor: Pagination = { style: 'cursor', param: 'page[after]', from: 'meta.after', more: 'meta.more' };

  test('in the query, in the body of what is asked for with one, and the last item of a list', () => {
    expect(pathAfter(cursor, { body: { meta: { after: 'x=&y' } } })).toBe('/items?q=a+b&page%5Bafter%5D=x%3D%26y');
    const again = { request: { path: '/items?page%5Bafter%5D=1&q=1' }, body: { meta: { after: 2 } } };
    expect(pathAfter(cursor, again)).toBe('/items?page%5Bafter%5D=2&q=1');
    const post = { method: 'POST', body: { query: 'x' } };
    expect(next(cursor, { request: post, body: { meta: { after: 'c' } } })).toMatchObject({
      path: GET.path,
      body: { query: 'x', 'page[after]': 'c' },
    });
    expect(next({ ...cursor, in: 'body' }, { body: { meta: { after: 'c' } } })).toMatchObject({
      body: { 'page[after]': 'c' },
    });
    const last: Pagination = { style: 'cursor', param: 'after', from: 'data', last_item: 'id', more: 'has_more' };
    expect(pathAfter(last, { body: { data: [{ id: 1 }, { id: 'b' }], has_more: true } })).toBe('/items?q=a+b&after=b');
    expect(pathAfter(last, { body: { data: [{ id: 1 }], has_more: false } })).toBeUndefined();
    expect(pathAfter(last, { body: { data: [], has_more: true } })).toBeUndefined();
  });

  test.each([[{ after: null }], [{ after: '' }], [{}], [{ after: 'x', more: false }], [{ after: { x: 1 } }]])(
    '%j: the list has ended',
    (meta) => {
      expect(next(cursor, { body: { meta } })).toBeUndefined();
      expect(next(cursor, { body: undefined })).toBeUndefined();
    },
  );

  test('continue_call: another call, with nothing but the cursor', () => {
    const style: Pagination = {
      style: 'continue_call',
      suffix: '/continue',
      param: 'cursor',
      from: 'cursor',
      more: 'has_more',
    };
    const request = { method: 'POST', path: '/files/list?x=1', body: { folder: '/' } };
    const second = next(style, { request, body: { cursor: 'c', has_more: true } });
    expect(second).toEqual({ method: 'POST', host: undefined, path: '/files/list/continue', body: { cursor: 'c' } });
    expect(next(style, { request: second!, body: { cursor: 'd', has_more: true } })).toMatchObject({
      path: second!.path,
    });
    expect(next(style, { request, body: { cursor: 'c', has_more: false } })).toBeUndefined();
  });

  test('relay: a variable of the query, and the only pageInfo of the answer or that of `list`', () => {
    const style: Pagination = { style: 'relay' };
    const request = { method: 'POST', body: { query: 'q', variables: { first: 2 } } };
    const info = (hasNextPage: boolean) => ({ nodes: [], pageInfo: { hasNextPage, endCursor: 'c' } });
    const body = { data: { issues: info(true) } };
    expect(next(style, { request, body })?.body).toEqual({ query: 'q', variables: { first: 2, after: 'c' } });
    const two = { data: { a: info(false), b: info(true) } };
    expect(refusal(() => next(style, { request, body: two }))).toMatchObject({ reason: 'ambiguous_list' });
    const named = { request, body: two, options: { list: 'data.b', variable: 'cursor' } };
    expect(next(style, named)?.body).toMatchObject({ variables: { cursor: 'c' } });
    expect(next(style, { request, body: { data: { a: info(false) } } })).toBeUndefined();
  });
});

describe('page and offset', () => {
  const page: Pagination = { style: 'page', param: 'page', size: 'per_page' };

  test('page: counts on until the list is empty, or shorter than what was asked for', () => {
    expect(pathAfter(page, { body: [1] })).toBe('/items?q=a+b&page=2');
    expect(pathAfter({ ...page, first: 0 }, { body: [1] })).toBe('/items?q=a+b&page=1');
    expect(pathAfter(page, { request: { path: '/items?page=7' }, body: { items: [1], _links: [] } })).toBe(
      '/items?page=8',
    );
    expect(pathAfter(page, { body: [] })).toBeUndefined();
    expect(pathAfter(page, { body: undefined })).toBeUndefined();
    expect(pathAfter(page, { request: { path: '/items?per_page=2' }, body: [1] })).toBeUndefined();
    expect(pathAfter(page, { request: { path: '/items?per_page=1' }, body: [1] })).toBe('/items?per_page=1&page=2');
  });

  test('page: what the answer says of the end counts first', () => {
    const ends: Pagination = { ...page, more: 'info.more', last: 'last_page', pages_header: 'X-Pages' };
    expect(pathAfter(ends, { body: { info: { more: true }, a: [], b: [] } })).toBe('/items?q=a+b&page=2');
    expect(pathAfter(ends, { body: { info: { more: false }, a: [1] } })).toBeUndefined();
    expect(pathAfter(ends, { body: { last_page: true, a: [1] } })).toBeUndefined();
    expect(pathAfter(ends, { body: [], headers: { 'x-pages': '2' } })).toBe('/items?q=a+b&page=2');
    expect(pathAfter(ends, { body: [1], headers: { 'x-pages': '1' } })).toBeUndefined();
  });

  test('offset: by as many as have come', () => {
    const offset: Pagination = { style: 'offset', param: 'start', size: 'count' };
    expect(pathAfter(offset, { body: { items: [1, 2] } })).toBe('/items?q=a+b&start=2');
    expect(pathAfter(offset, { request: { path: '/x?start=2&count=2' }, body: { items: [1, 2] } })).toBe(
      '/x?start=4&count=2',
    );
    expect(pathAfter(offset, { request: { path: '/x?start=2&count=2' }, body: { items: [1] } })).toBeUndefined();
    expect(pathAfter(offset, { body: { items: [] } })).toBeUndefined();
  });

  test('which list is meant: named where there are several', () => {
    const body = { a: [1], b: { c: [1, 2] }, d: [] };
    expect(refusal(() => next(page, { body }))).toMatchObject({
      reason: 'ambiguous_list',
      detail: expect.stringContaining('a, d'),
    });
    expect(pathAfter({ style: 'offset', param: 'o' }, { body, options: { list: 'b.c' } })).toBe('/items?q=a+b&o=2');
    expect(refusal(() => next(page, { body, options: { list: 'b.x' } }))).toMatchObject({ reason: 'ambiguous_list' });
  });
});

test('by_caller: refused, with what the caller does itself', () => {
  const refused = refusal(() => next({ style: 'by_caller', note: 'before takes an id' }, { body: [] }));
  expect(refused).toMatchObject({
    code: 'pagination',
    reason: 'by_caller',
    detail: expect.stringContaining('before takes an id'),
  });
});

test('paths: dots of names, indexes, and what is not there', () => {
  const body = { '@odata.nextLink': 'x', items: [{ id: 1 }], a: { b: null } };
  expect(at(body, '@odata\\.nextLink')).toBe('x');
  expect(at(body, 'items[0].id')).toBe(1);
  expect(at([{ id: 2 }], '[0].id')).toBe(2);
  expect(at(body, 'a.b.c')).toBeUndefined();
  expect(at(body, 'toString')).toBeUndefined();
});
