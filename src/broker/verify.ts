// JWT verification for internal services.
import type { Refusal } from '../domain/errors.ts';
import { refuse } from '../domain/errors.ts';
import type { JwtVerdict, JwtVerifier, TrustedIssuer } from '../ports.ts';
import type { Access, Call } from './access.ts';
import type { Trust } from './trust.ts';

export type Verify = ReturnType<typeof createVerify>;

const NOBODY: TrustedIssuer = { issuer: '', audiences: [] };

export function createVerify({ verifier, trust, access }: { verifier: JwtVerifier; trust: Trust; access: Access }) {
  return async function verify(
    call: Call,
    wanted: { token: string; issuer?: string | undefined; audience?: string | undefined },
  ): Promise<JwtVerdict | Refusal> {
    const grants = call.principal.caller.grants;
    if (!grants.some((g) => g.actions.includes('*') || g.actions.includes('jwt:verify'))) {
      return access.denied(call, 'jwt:verify', '*', '*') ?? refuse({ code: 'unauthenticated', detail: 'no grants' });
    }
    access.noteRead(call, 'jwt.verify', { integration: '*', owner: '*' });
    const claimed = verifier.claimedIssuer(wanted.token);
    // The verifier tells what is no JWT from one that names no issuer; it trusts neither.
    if (claimed === undefined) return verifier.verify(wanted.token, NOBODY, wanted.audience);
    const trusted = await trust.find(claimed);
    if (!trusted || claimed !== (wanted.issuer ?? claimed)) return { active: false, reason: 'untrusted_issuer' };
    return verifier.verify(wanted.token, trusted, wanted.audience);
  };
}
