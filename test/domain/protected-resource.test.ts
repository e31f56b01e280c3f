// What a protected resource says of itself, and which servers connections may name.
import { describe, expect, it } from 'vitest';
import { urlsAt } from '../../src/domain/host-patterns.ts';
import {
  isResourceOf,
  parseBearerChallenge,
  resourceMetadataUrls,
  serverMetadataUrls,
} from '../../src/domain/protected-resource.ts';

describe('a published resource identifier', () => {
  const url = 'https://mcp.example.com/tenant/mcp';
  it.each([
    'https://mcp.example.com/tenant/mcp',
    'https://mcp.example.com/tenant/mcp/',
    'https://mcp.example.com/tenant',
    'https://mcp.example.com/',
    'https://mcp.example.com',
    'https://MCP.example.com:443/tenant',
  ])('is one for the URL: %s', (resource) => {
    expect(isResourceOf(resource, url)).toBe(true);
  });
  it.each([
    'https://mcp.example.com/ten',
    'https://mcp.example.com/tenant/mc',
    'https://mcp.example.com/tenant/mcp/more',
    'https://mcp.example.com/other/../tenantx',
    'https://mcp.example.com:8443/tenant/mcp',
    'http://mcp.example.com/tenant/mcp',
    'https://evil.example/tenant/mcp',
    'https://mcp.example.com@evil.example/tenant/mcp',
    'https://user@mcp.example.com/tenant/mcp',
    'https://mcp.example.com/tenant/mcp#x',
    'https://mcp.example.com/tenant/mcp?x=1',
    'https://mcp.example.com\\.evil.example/',
    'urn:example:mcp',
    'mcp.example.com',
    '',
  ])('is none: %j', (resource) => {
    expect(isResourceOf(resource, url)).toBe(false);
  });
  it('has a query only where the URL has the same', () => {
    expect(isResourceOf('https://a.example/mcp?x=1', 'https://a.example/mcp?x=1')).toBe(true);
    expect(isResourceOf('https://a.example/mcp', 'https://a.example/mcp?x=1')).toBe(true);
  });
});

it('well-known URLs: between host and path, then what the specifications name besides', () => {
  const [prm, oauth, openid] = [
    '/.well-known/oauth-protected-resource',
    '/.well-known/oauth-authorization-server',
    '/.well-known/openid-configuration',
  ].map((path) => `https://a.example${path}`);
  expect(resourceMetadataUrls('https://a.example/t/mcp')).toEqual([`${prm}/t/mcp`, prm]);
  expect(resourceMetadataUrls('https://a.example/')).toEqual([prm]);
  expect(resourceMetadataUrls('https://a.example/mcp?x=1')).toEqual([`${prm}/mcp?x=1`, prm]);
  expect(serverMetadataUrls('https://a.example')).toEqual([oauth, openid]);
  expect(serverMetadataUrls('https://a.example/p')).toEqual([
    `${oauth}/p`,
    `${openid}/p`,
    'https://a.example/p/.well-known/openid-configuration',
  ]);
});

describe('a Bearer challenge', () => {
  it.each<[field: string, read: ReturnType<typeof parseBearerChallenge>]>([
    ['Bearer', { resourceMetadata: undefined, scopes: undefined }],
    ['bearer resource_metadata="https://a"', { resourceMetadata: 'https://a', scopes: undefined }],
    ['Basic realm="x", Bearer scope="a  b a", error=x', { resourceMetadata: undefined, scopes: ['a', 'b'] }],
    ['Bearer scope="", resource_metadata = "a\\"b"', { resourceMetadata: 'a"b', scopes: undefined }],
    // Of one that is there twice the first counts; what follows another scheme is not its.
    ['Bearer scope=a, scope=b, DPoP resource_metadata="x"', { resourceMetadata: undefined, scopes: ['a'] }],
    ['Basic realm="x"', undefined],
    ['BearerX scope="a"', undefined],
    ['', undefined],
  ])('%s', (field, read) => {
    expect(parseBearerChallenge(field)).toEqual(read);
  });
  it('is read in linear time', () => {
    const started = performance.now();
    parseBearerChallenge(`Bearer ${'a="\\'.repeat(50_000)}`);
    parseBearerChallenge(`${', bearer'.repeat(50_000)}`);
    expect(performance.now() - started).toBeLessThan(500);
  });
});

describe('host patterns', () => {
  const allows = (patterns: string, url: string) => new RegExp(`^(?:${urlsAt(patterns)})$`, 'u').test(url);
  it.each([
    ['mcp.example.com', 'https://mcp.example.com'],
    ['mcp.example.com', 'https://mcp.example.com:443/a/b?c=d'],
    ['*.example.com', 'https://a.b.example.com/'],
    ['a.example, *.example.com:8443', 'https://x.example.com:8443/mcp'],
    ['*', 'https://anything.example/mcp'],
    ['localhost:3000', 'http://localhost:3000/mcp'],
    ['[::1]:3000', 'http://[::1]:3000/mcp'],
  ])('%s allows %s', (patterns, url) => {
    expect(allows(patterns, url)).toBe(true);
  });
  it.each([
    ['mcp.example.com', 'https://mcp.example.com:8443/'],
    ['mcp.example.com', 'https://mcpxexample.com/'],
    ['mcp.example.com', 'https://x.mcp.example.com/'],
    ['mcp.example.com', 'https://mcp.example.com.evil.example/'],
    ['mcp.example.com', 'https://mcp.example.com@evil.example/'],
    ['mcp.example.com', 'https://mcp.example.com/#x'],
    ['mcp.example.com', 'ftp://mcp.example.com/'],
    ['*.example.com', 'https://example.com/'],
    ['*.example.com', 'https://evil.example/.example.com'],
    ['*.example.com', 'https://evil.example\\.example.com/'],
    ['*', 'https://user@a.example/'],
    ['*', 'https://a.example:8443/'],
    ['', 'https://a.example/'],
  ])('%s does not allow %s', (patterns, url) => {
    expect(allows(patterns, url)).toBe(false);
  });
});
