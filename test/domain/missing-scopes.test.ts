// Scopes that an integration asks for and a connection does not have.
import { expect, test } from 'vitest';
import { missingScopes } from '../../src/domain/missing-scopes.ts';

test('missing scopes: those that were asked for and not granted, where it is known what was granted', () => {
  expect(missingScopes(['read', 'write'], ['read', 'more'])).toEqual(['write']);
  expect(missingScopes(['read'], ['read'])).toEqual([]);
  expect(missingScopes(['read'], [])).toEqual([]);
  expect(missingScopes(['openid', 'profile', 'email', 'offline_access', 'write'], ['read'])).toEqual(['write']);
});
