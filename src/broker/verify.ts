// JWT verification for internal services.
import type { Refusal } from '../domain/errors.ts';
import { refuse } from '../domain/errors.ts';
import type { JwtVerdict, JwtVerifier } from '../ports.ts';
import type { Access, Call } from './access.ts';
import type { Trust } from './trust.ts';

export type Verify = ReturnType<typeof createVerify>;

export function createVerify({ verifier, trust, access }: { verifier: JwtVerifier; trust: Trust; access: Access }) {
  return async function verify(
    call: Call,
    wanted: { token: string; issuer?: string | undefined; audience?: string | undefined },
  ): Promise<JwtVerdict | Refusal> {
    const grants = call.principal.caller.grants;
    if (!grants.some((g) => g.actions.includes('*') || g.actions.includes('jwt:verify'))) {
      return access.denied(call, 'jwt:verify', '*', '*') ?? refuse({ code: 'unauthenticated', detail: 'no grants' });
    }
    const claimed = verifier.claimedIssuer(wanted.token);
    const issuer = wanted.issuer ?? claimed;
    if (claimed === undefined || issuer === undefined) return { active: false, reason: 'malformed' };
    const trusted = await trust.find(issuer);
    if (!trusted || claimed !== issuer) return { active: false, reason: 'untrusted_issuer' };
    return verifier.verify(wanted.token, trusted, wanted.audience);
  };
}
