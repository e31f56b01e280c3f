// Client assertions (RFC 7523): the broker authenticates with its own keys where its client id is the URL of a metadata document.
import { randomUUID } from 'node:crypto';
import { CLIENT_ASSERTION_TTL_S } from '../../domain/time-limits.ts';
import type { ClientAssertions, Clock } from '../../ports/index.ts';
import type { SignJwt } from './jwt-signer.ts';
import type { CachedKeys } from './keys/cached-keys.ts';

interface Parts {
  cache: Pick<CachedKeys, 'current'>;
  signJwt: SignJwt;
  clock: Pick<Clock, 'now'>;
}

export function createClientAssertions({ cache, signJwt, clock }: Parts): ClientAssertions {
  return {
    algorithm: async () => (await cache.current()).jwk.alg,

    async sign({ id, issuer }) {
      const { privateKey, jwk } = await cache.current();
      const iat = Math.floor(clock.now() / 1_000);
      const lifetime = { iat, exp: iat + CLIENT_ASSERTION_TTL_S };
      // The audience is the issuer and nothing else (draft-ietf-oauth-rfc7523bis 4): no other server takes it.
      const claims = { iss: id, sub: id, aud: issuer, jti: randomUUID(), ...lifetime };
      return signJwt(privateKey, { alg: jwk.alg, kid: jwk.kid, typ: 'client-authentication+jwt' }, claims);
    },
  };
}
