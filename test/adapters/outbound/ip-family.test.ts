import { isIP } from 'node:net';
import { expect, test } from 'vitest';
import { ipFamily } from '../../../src/adapters/outbound/ip-family.ts';

test.each([
  '127.0.0.1',
  '1.2.3',
  '256.1.1.1',
  '::',
  '::1',
  'fe80::1%eth0',
  '::ffff:1.2.3.4',
  '[::1]',
  'a:b',
  ':',
  'example.com',
  '0x7f.1',
  '',
])('ipFamily: %s is what Node says', (text) => {
  expect(ipFamily(text)).toBe(isIP(text));
});
