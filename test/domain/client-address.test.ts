// Whose request it is, behind proxies: what is believed, of whom, and what a client cannot forge.
import { describe, expect, test } from 'vitest';
import { clientAddressOf } from '../../src/domain/client-address.ts';
import { clientNetwork, parseTrustedProxies } from '../../src/domain/ip-ranges.ts';

function rangesOf(text: string) {
  const parsed = parseTrustedProxies(text);
  if (!parsed.ok) throw new Error(parsed.issues.join());
  return parsed.ranges;
}
const TRUSTED = rangesOf('10.0.0.0/8, 2001:db8:aaaa::/48');
const PROXY = '10.0.0.1';

describe('X-Forwarded-For', () => {
  test.each<[string, string, string]>([
    ['one address', '203.0.113.7', '203.0.113.7'],
    ['the right-most that is no proxy', '198.51.100.1, 203.0.113.7, 10.2.2.2', '203.0.113.7'],
    ['a forged one to the left', '127.0.0.1, 203.0.113.7', '203.0.113.7'],
    ['all proxies: the left-most', '10.3.3.3, 10.2.2.2', '10.3.3.3'],
    ['a port', '203.0.113.7:4711', '203.0.113.7'],
    ['IPv6', '2001:db8::7', '2001:db8::7'],
    ['IPv6 with brackets and port', '[2001:db8::7]:4711', '2001:db8::7'],
    ['IPv6 in another spelling', '2001:0DB8:0:0::0007', '2001:db8::7'],
    ['an IPv6 proxy', '203.0.113.7, 2001:db8:aaaa::5', '203.0.113.7'],
    ['IPv4-mapped IPv6', '::ffff:203.0.113.7', '203.0.113.7'],
    ['an IPv4-mapped proxy', '203.0.113.7, ::ffff:10.2.2.2', '203.0.113.7'],
    ['a zone', 'fe80::1%eth0', 'fe80::1'],
    ['empty members', ' , 203.0.113.7 ,, ', '203.0.113.7'],
    ['quotes', '"203.0.113.7"', '203.0.113.7'],
    ['unknown: the proxy', '198.51.100.1, unknown', PROXY],
    ['unknown behind a proxy: that proxy', '198.51.100.1, unknown, 10.2.2.2', '10.2.2.2'],
    ['no address', '203.0.113.7, <script>', PROXY],
    ['an octal address', '0203.0.0113.7', PROXY],
    ['a short address', '127.1', PROXY],
    ['a number', '2130706433', PROXY],
    ['nothing', '', PROXY],
    ['an open quote of the client', '", 203.0.113.7', '203.0.113.7'],
  ])('%s', (_, forwardedFor, address) => {
    expect(clientAddressOf(PROXY, { forwarded: undefined, forwardedFor }, TRUSTED)).toBe(address);
  });
});

describe('Forwarded', () => {
  test.each<[string, string, string]>([
    ['one address', 'for=203.0.113.7', '203.0.113.7'],
    ['upper case and other parameters', 'Proto=https; FOR=203.0.113.7 ;by=10.0.0.1', '203.0.113.7'],
    ['IPv6 in quotes', 'for="[2001:db8::7]"', '2001:db8::7'],
    ['IPv6 with a port', 'for="[2001:db8::7]:4711"', '2001:db8::7'],
    ['an obfuscated port', 'for="203.0.113.7:_x"', '203.0.113.7'],
    ['the right-most that is no proxy', 'for=198.51.100.1, for=203.0.113.7;host=a, for=10.2.2.2', '203.0.113.7'],
    ['a comma in quotes', 'for=203.0.113.7;host="a, for=198.51.100.1"', '203.0.113.7'],
    ['an escaped quote', 'for=203.0.113.7;host="a\\", for=198.51.100.1"', '203.0.113.7'],
    ['escaped characters', 'for="203.0.113\\.7"', '203.0.113.7'],
    ['an open quote of the client', 'for="198.51.100.1, for=203.0.113.7', '203.0.113.7'],
    ['unknown: the proxy', 'for=198.51.100.1, for=unknown', PROXY],
    ['obfuscated: the proxy', 'for=198.51.100.1, for=_hidden', PROXY],
    ['an obfuscated id that looks like an address', 'for=_203.0.113.7', PROXY],
    ['no for', 'proto=https', PROXY],
    ['two for in one element', 'for=203.0.113.7;for=198.51.100.1', PROXY],
    ['all proxies: the left-most', 'for=10.3.3.3, for="10.2.2.2:80"', '10.3.3.3'],
  ])('%s', (_, forwarded, address) => {
    expect(clientAddressOf(PROXY, { forwarded, forwardedFor: undefined }, TRUSTED)).toBe(address);
  });
});

test('of a peer that is no trusted proxy, no header is believed', () => {
  const forged = { forwarded: 'for=198.51.100.1', forwardedFor: '198.51.100.1' };
  for (const peer of ['203.0.113.7', '11.0.0.1', '2001:db8:bbbb::1', '::1'])
    expect(clientAddressOf(peer, forged, TRUSTED)).toBe(peer);
  expect(clientAddressOf('::ffff:203.0.113.7', forged, TRUSTED)).toBe('203.0.113.7');
  expect(clientAddressOf('::ffff:10.0.0.1', forged, TRUSTED)).toBe('198.51.100.1');
});

test('headers that disagree: one of them is as the client sent it, so neither is believed', () => {
  const both = (forwarded: string, forwardedFor: string) =>
    clientAddressOf(PROXY, { forwarded, forwardedFor }, TRUSTED);
  expect(both('for=198.51.100.1', '203.0.113.7')).toBe(PROXY);
  expect(both('for="[2001:db8::7]"', '2001:DB8::7')).toBe('2001:db8::7');
});

test('a chain of proxies has an end, and the work is bounded by it', () => {
  const forwardedFor = ['203.0.113.7', ...Array.from({ length: 40 }, () => '10.0.0.9')].join(',');
  expect(clientAddressOf(PROXY, { forwarded: undefined, forwardedFor }, TRUSTED)).toBe('10.0.0.9');
});

test.each<[string, string]>([
  ['203.0.113.7', '203.0.113.7'],
  ['::ffff:203.0.113.7', '203.0.113.7'],
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
  ['2001:db8:1:2::1', '2001:db8:1:2::/64'],
  ['2001:db8:1:3::1', '2001:db8:1:3::/64'],
  ['unknown', 'unknown'],
])('network of a client: %s is %s', (address, network) => {
  expect(clientNetwork(address)).toBe(network);
});

test.each(['0.0.0.0/0', '::/0', '0.0.0.0/1', '128.0.0.0/1', '2000::/3', '8.0.0.0/7', '::ffff:0:0/96', '::/1'])(
  'trusted proxies: %s would believe everyone',
  (text) => {
    expect(parseTrustedProxies(text)).toEqual({ ok: false, issues: [expect.stringContaining(`"${text}"`)] });
  },
);

test.each([
  'proxy.internal',
  '10.0.0.0/33',
  '10.0.0/8',
  '*',
  '10.0.0.0/8/8',
  '10.0.0.0/-1',
  'fd00::/129',
  '1.2.3.4:80',
])('trusted proxies: %s is none', (text) => {
  expect(parseTrustedProxies(`10.0.0.1,${text}`)).toEqual({ ok: false, issues: [expect.stringContaining(text)] });
});

test('trusted proxies: addresses and CIDRs', () => {
  expect(rangesOf(' 10.0.0.1 ,fc00::/7,::ffff:10.0.0.0/104,').map(({ bits }) => bits)).toEqual([32, 7, 8]);
});
