// Headers of proxied calls: what is passed on, in both directions.
import { describe, expect, test } from 'vitest';
import { forwardedHeaders, headerOf, methodsOf, returnedHeaders } from '../../src/domain/proxied-headers.ts';

const none = { api: {}, credential: [], length: undefined };
const pairs = (headers: readonly string[]) =>
  Array.from({ length: headers.length / 2 }, (_, i) => `${headers[2 * i]}: ${headers[2 * i + 1]}`);

describe('the API is sent', () => {
  test('what the caller sends, in its order and spelling, repeated headers too', () => {
    const sent = [
      'X-Custom',
      'a',
      'x-custom',
      'b',
      'Range',
      'bytes=0-9',
      'Accept-Encoding',
      'br',
      'User-Agent',
      'mine',
    ];
    expect(forwardedHeaders(sent, none)).toEqual(sent);
  });

  test.each([
    'Host',
    'Authorization',
    'Cookie',
    'Forwarded',
    'X-Forwarded-For',
    'X-Forwarded-Anything',
    'x-real-ip',
    'Proxy-Authorization',
    'Proxy-Anything',
    'Valetkey-Owner',
    'VALETKEY-HOST',
    'Connection',
    'Keep-Alive',
    'TE',
    'Trailer',
    'Transfer-Encoding',
    'Upgrade',
    'HTTP2-Settings',
    'Expect',
    'Content-Length',
    'X-Original-URL',
    'X-Rewrite-URL',
    'X-Host',
    'X_Original_Host',
    'X-Envoy-Original-Path',
    'proxy-connection',
  ])('no %s of the caller', (name) => {
    expect(pairs(forwardedHeaders([name, 'x', 'User-Agent', 'u'], none))).toEqual(['User-Agent: u']);
  });

  test('no header of the entry in another spelling, which servers read as the same one', () => {
    const api = { 'Acme-Account': 'acct_1', 'Acme-Version': '1' };
    const sent = ['Acme_Account', 'acct_2', 'ACME_VERSION', '2', 'acme-account', 'acct_3', 'User-Agent', 'u'];
    expect(pairs(forwardedHeaders(sent, { ...none, api }))).toEqual([
      'User-Agent: u',
      'Acme-Account: acct_1',
      'Acme-Version: 1',
    ]);
  });

  test('nothing that Connection names, in any spelling and in each of several', () => {
    const sent = [
      'Connection',
      'close, X-Secret',
      'x-secret',
      '1',
      'connection',
      'x-other',
      'X-OTHER',
      '2',
      'X-Kept',
      '3',
      'User-Agent',
      'u',
    ];
    expect(pairs(forwardedHeaders(sent, none))).toEqual(['X-Kept: 3', 'User-Agent: u']);
  });

  test('the headers of the entry: a version of the caller wins, nothing else of it does', () => {
    const api = { 'Api-Version': '2022', 'Client-Id': 'ours', 'User-Agent': 'App' };
    const sent = ['api-version', '2024', 'client-id', 'theirs', 'user-agent', 'curl'];
    expect(pairs(forwardedHeaders(sent, { ...none, api }))).toEqual([
      'api-version: 2024',
      'Client-Id: ours',
      'User-Agent: App',
    ]);
  });

  test('no header that carries the credential, and a user agent where the caller has none', () => {
    const sent = ['X-Api-Key', 'theirs'];
    expect(
      pairs(forwardedHeaders(sent, { api: { 'X-API-Key': 'entry' }, credential: ['x-api-key'], length: 3 })),
    ).toEqual(['User-Agent: valetkey', 'Content-Length: 3']);
  });
});

describe('the caller gets', () => {
  const SELECTING = 'Authorization, Valetkey-Owner, Valetkey-Label, Valetkey-Host';
  const OURS = ['Cache-Control', 'private', 'Vary', SELECTING];

  test('what the API sends, repeated headers too', () => {
    const sent = [
      'ETag',
      '"a"',
      'Link',
      '<a>',
      'link',
      '<b>',
      'Content-Encoding',
      'gzip',
      'Content-Length',
      '5',
      'Location',
      '/x',
      'X-Accel-Buffering',
      'no',
    ];
    expect(returnedHeaders(sent, 200)).toEqual([...sent, ...OURS]);
  });

  test.each([
    'Set-Cookie',
    'Strict-Transport-Security',
    'Access-Control-Allow-Origin',
    'Alt-Svc',
    'Clear-Site-Data',
    'Connection',
    'Keep-Alive',
    'Transfer-Encoding',
    'Trailer',
    'Upgrade',
    'Valetkey-Error',
    'Proxy-Authenticate',
  ])('no %s of the API', (name) =>
    expect(returnedHeaders([name, 'x', 'ETag', 'y'], 200)).toEqual(['ETag', 'y', ...OURS]),
  );

  test('nothing that Connection names, and no length of a response without content', () => {
    expect(returnedHeaders(['Connection', 'x-hop', 'X-Hop', '1', 'Content-Length', '0'], 204)).toEqual(OURS);
  });

  test.each([
    [[], 'private'],
    [[''], 'private'],
    [['private, max-age=60, s-maxage=60'], 'private, max-age=60'],
    [['PUBLIC,max-age=5', 'S-MaxAge = 9,must-revalidate'], 'private, max-age=5, must-revalidate'],
    [['no-store'], 'private, no-store'],
    [['no-store, must-understand'], 'private, no-store, must-understand'],
    [['private="set-cookie, x", no-cache="a, public", max-age=1'], 'private, no-cache="a, public", max-age=1'],
    [['publicly, x-private, "public'], 'private, publicly, x-private'],
  ])('nothing that a shared cache keeps: %j', (sent, told) => {
    const headers = sent.flatMap((value) => ['Cache-Control', value]);
    expect(pairs(returnedHeaders(headers, 200))).toEqual([`Cache-Control: ${told}`, `Vary: ${SELECTING}`]);
  });

  test.each([
    [['Accept, Accept-Encoding'], `Accept, Accept-Encoding, ${SELECTING}`],
    [['Accept', 'Origin'], `Accept, Origin, ${SELECTING}`],
    [['Accept', '*'], '*'],
  ])('what an answer depends on: %j', (sent, told) => {
    const headers = sent.flatMap((value) => ['vary', value]);
    expect(pairs(returnedHeaders(headers, 200))).toEqual(['Cache-Control: private', `Vary: ${told}`]);
  });

  test.each([
    'Surrogate-Control',
    'CDN-Cache-Control',
    'Cloudflare-CDN-Cache-Control',
    'Vercel-CDN-Cache-Control',
    'Akamai-Cache-Control',
    'Edge-Control',
    'X-Accel-Expires',
    'X-Accel-Redirect',
    'X-Accel-Limit-Rate',
    'X-Accel-Buffering-Of',
    'X-Sendfile',
    'X-Sendfile2',
    'X-Sendfile-Temporary',
    'X-LiteSpeed-Location',
    'X-LiteSpeed-Cache-Control',
    'X-LIGHTTPD-send-file',
    'X-LIGHTTPD-KBytes-per-second',
    'X-Reproxy-URL',
    'X-Reproxy-File',
  ])('no %s, which is for servers before the API', (name) =>
    expect(returnedHeaders([name, 'max-age=60'], 200)).toEqual(OURS),
  );
});

test('a method that a header or the query puts in place counts beside the one that was sent', () => {
  expect(methodsOf('GET', ['X-HTTP-Method-Override', 'delete'], '')).toEqual(['GET', 'DELETE']);
  expect(methodsOf('POST', ['x-method-override', 'PUT', 'X-Http-Method', 'PATCH'], '?a=1&_method=delete')).toEqual([
    'POST',
    'PUT',
    'PATCH',
    'DELETE',
  ]);
  expect(methodsOf('GET', ['Accept', '*/*'], '?x=_method')).toEqual(['GET']);
});

test.each(['%5fmethod', '_m%65thod', '.method', '%20_method', '[method', '_method%00x', 'a;_method'])(
  'a method in the query counts by any name that servers take for _method: %s',
  (name) => expect(methodsOf('POST', [], `?a=1&${name}=delete`)).toEqual(['POST', 'DELETE']),
);

test.each([
  ['method=delete', 'DELETE'],
  ['Method=%20Post%20', 'POST'],
  ['fields=id&method=delete', 'DELETE'],
  ['method[]=delete', 'DELETE'],
  ['_HttpMethod=DELETE', 'DELETE'],
  ['%5Fhttpmethod=patch', 'PATCH'],
  ['$httpMethod=DELETE', 'DELETE'],
  ['%24httpMethod=DELETE', 'DELETE'],
  ['http_method=DELETE', 'DELETE'],
  ['x-http-method-override=PUT', 'PUT'],
  ['X-HTTP-Method=PUT', 'PUT'],
  ['_method=frobnicate', 'FROBNICATE'],
])('a method in the query counts by the names that providers give it: %s', (query, method) =>
  expect(methodsOf('GET', [], `?${query}`)).toEqual(['GET', method]),
);

test.each([
  'method=flickr.photos.search',
  'method=user.getRecentTracks&format=json',
  'method[]=card',
  'payment_method=delete',
  'methods=delete',
  'q=method%3Ddelete',
  'methodology=post',
])('a parameter that only looks like a method is none: %s', (query) =>
  expect(methodsOf('GET', [], `?${query}`)).toEqual(['GET']),
);

test('a header with underscores is what servers take it for', () => {
  expect(methodsOf('GET', ['X_HTTP_Method-Override', 'delete'], '')).toEqual(['GET', 'DELETE']);
  const sent = ['X_Original_URL', '/admin', 'X_Forwarded_Host', 'x', 'X_Mine', '1', 'User-Agent', 'u'];
  expect(pairs(forwardedHeaders(sent, none))).toEqual(['X_Mine: 1', 'User-Agent: u']);
});

test('a header is found in any spelling', () => {
  expect(headerOf(['ETag', 'a', 'RETRY-AFTER', '5'], 'retry-after')).toBe('5');
  expect(headerOf(['ETag', 'a'], 'retry-after')).toBeUndefined();
});
