// Redaction: what could be a secret is not in a text, and names of members are.
import { randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { redactSecrets } from '../../src/domain/redaction.ts';

test.each([
  'code_challenge_methods_supported',
  'authorization_response_iss_parameter_supported',
  'token_endpoint_auth_methods_supported has no private_key_jwt',
])('redaction leaves the names of members: %s', (text) => {
  expect(redactSecrets(text)).toBe(text);
});

test.each([
  ['hexadecimal', () => randomBytes(16).toString('hex')],
  ['base64url', () => randomBytes(32).toString('base64url')],
  ['with a prefix', () => `gho_${randomBytes(24).toString('hex')}`],
  ['lower-case letters alone', () => 'qwertzuiopasdfghjklyxcvbnmqwertzuiop'],
  ['lower-case letters after a prefix', () => 'sk_qwertzuiopasdfghjklyxcvbnmqwertzuiop'],
  ['words and digits', () => 'sk_live_abcdefghijkl_mnopqrstuv_wxyz1'],
])('redaction removes a secret: %s', (_, secret) => {
  expect(redactSecrets(`The id ${secret()} is not known`)).toBe('The id … is not known');
});
