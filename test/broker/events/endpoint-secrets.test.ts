// The secrets of a webhook endpoint as they are stored: those that were replaced, each with its end.
import { createSecretKey, randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { createKeyRing } from '../../../src/adapters/keyring/keyring.ts';
import { decryptSecrets, encryptSecrets } from '../../../src/broker/events/endpoints/endpoint-secrets.ts';
import { anEndpoint, NOW } from '../../stores/builders.ts';

const vault = createKeyRing([{ kid: 'k1', key: createSecretKey(randomBytes(32)) }]);
const newSecret = () => randomBytes(32).toString('base64');
const endpoint = anEndpoint();

test('secrets of an endpoint: each that was replaced is read with the end that it was given', () => {
  const secrets = {
    secret: newSecret(),
    replaced: [
      { secret: newSecret(), until: NOW + 2 },
      { secret: newSecret(), until: NOW + 1 },
    ],
    headers: null,
  };
  const stored = { ...endpoint, ...encryptSecrets(vault, endpoint, secrets), previousUntil: NOW + 2 };
  expect(decryptSecrets(vault, stored)).toEqual(secrets);
});

test('secrets of an endpoint: between releases, both read the one that was replaced last', () => {
  const [older, newer] = [newSecret(), newSecret()];
  const context = {
    row: `webhook_endpoints/${endpoint.id}`,
    column: 'previous_secret',
    bound: [endpoint.callerId, endpoint.url],
  };
  const secret = newSecret();
  const one = { ...endpoint, ...encryptSecrets(vault, endpoint, { secret, replaced: [], headers: null }) };
  const earlier = { ...one, previousSecret: vault.encrypt(newer, context), previousUntil: NOW };
  expect(decryptSecrets(vault, earlier).replaced).toEqual([{ secret: newer, until: NOW }]);

  const replaced = [
    { secret: newer, until: NOW + 2 },
    { secret: older, until: NOW + 1 },
  ];
  const stored = encryptSecrets(vault, endpoint, { secret, replaced, headers: null });
  const asAnEarlierReleaseSigns = Buffer.from(vault.decrypt(stored.previousSecret!, context), 'base64');
  expect(asAnEarlierReleaseSigns).toEqual(Buffer.from(newer, 'base64'));
});
