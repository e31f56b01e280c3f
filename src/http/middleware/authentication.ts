// Authentication: from a key or a workload token to a call, with a limit on failures for each network and the rate limit of
// the caller. A right credential gets in, however often others have failed from the same address.

import type { Context } from 'hono';
import { createMiddleware } from 'hono/factory';
import type { AuditBuffer, Call, StrangerLog } from '../../broker/audit/index.ts';
import type { CallerCache } from '../../broker/cache/index.ts';
import { isJwt, type RefusedToken, type WorkloadIdentity } from '../../broker/callers/index.ts';
import type { JwtSigner } from '../../broker/signing/index.ts';
import type { Principal } from '../../domain/caller.ts';
import { Refusal, refuse } from '../../domain/errors.ts';
import { createLane } from '../../domain/lane.ts';
import { AUTHENTICATION_BUSY_RETRY_S } from '../../domain/time-limits.ts';
import type { Clock } from '../../ports/index.ts';
import type { Env } from '../env.ts';
import { problem } from '../errors/respond.ts';
import type { CredentialKind, FailureLimits } from './failure-limits.ts';
import { presentedAs } from './presented.ts';
import type { Limits } from './rate-limits.ts';

export interface AuthenticationParts {
  callerCache: CallerCache;
  workloads: WorkloadIdentity;
  signer: Pick<JwtSigner, 'isOwn' | 'verify'>;
  limits: Limits;
  failures: FailureLimits;
  auditBuffer: Pick<AuditBuffer, 'used'>;
  strangers: Pick<StrangerLog, 'note'>;
  clock: Clock;
}

/** The key or token of `Authorization: Bearer …` (RFC 6750 2.1). Undefined: none was sent. */
export const bearer = (authorization: string | undefined): string | undefined =>
  authorization?.match(/^Bearer +(\S+) *$/i)?.[1];

/** What a request presents. `value`: a key or a token; undefined: there is none to check. */
export interface Credential {
  kind: CredentialKind;
  value: string | undefined;
}

/** The credential of an `Authorization` header at the API: `Bearer …` (RFC 6750 2.1). */
export function credentialOf(authorization: string | undefined): Credential {
  if (authorization === undefined) return { kind: 'none', value: undefined };
  const value = bearer(authorization);
  if (value === undefined) return { kind: 'other', value };
  return { kind: isJwt(value) ? 'jwt' : 'key', value };
}

/** Of networks that have failed too often, tokens that are verified at once, and that wait for it. */
const LIMITED_VERIFICATIONS = { atOnce: 8, waiting: 200 };

/** `why`: for operators, and not for who asks. */
interface NotIdentified {
  refusal: Refusal;
  why?: string | undefined;
}

interface RefusedCredential {
  refused: string;
  why?: string | undefined;
}

const isSigned = ({ session }: Principal): boolean => session !== undefined && session.audience !== null;

function createAuthentication({ callerCache, workloads, signer, failures, clock }: AuthenticationParts) {
  const lane = createLane(LIMITED_VERIFICATIONS);
  const tooMany = (retryAfter: number) => refuse({ code: 'too_many_requests', retryAfter });

  /** A JWT of this broker is the token of a session. Its signature is verified first: forgeries ask no store. */
  async function signedSession(token: string): Promise<Principal | { refused: string } | Refusal> {
    const known = callerCache.whyNotSigned(token);
    if (known !== 'unknown') return { refused: known };
    const verdict = await signer.verify(token);
    if (!verdict.active) return { refused: verdict.reason };
    const found = await callerCache.lookUpSigned(token, clock.now());
    if (found === 'busy') return tooMany(AUTHENTICATION_BUSY_RETRY_S);
    return found ?? { refused: callerCache.whyNotSigned(token) };
  }

  /** The token of a session is a bearer token, and neither a client assertion nor a secret (RFC 8725 3.12). */
  async function own(token: string, kind: CredentialKind, isLimited: boolean) {
    if (kind !== 'jwt') return { refused: 'type_mismatch' };
    if (!isLimited) return signedSession(token);
    const found = await lane.run(() => signedSession(token));
    return found === 'full' ? tooMany(AUTHENTICATION_BUSY_RETRY_S) : found;
  }

  /** A network that has failed too often may still be a proxy, with callers behind it. Undefined: nothing is to be verified. */
  async function verified(token: string, isLimited: boolean): Promise<Principal | RefusedToken | Refusal> {
    if (!isLimited) return workloads.identify(token);
    const found = await lane.run(async () =>
      (await workloads.isPlausible(token)) ? workloads.identify(token) : { refused: 'unknown_key' as const },
    );
    return found === 'full' ? tooMany(AUTHENTICATION_BUSY_RETRY_S) : found;
  }

  async function stored(key: string): Promise<Principal | { refused: string; why?: undefined } | Refusal> {
    const refused = callerCache.whyNot(key);
    if (refused !== 'unknown') return { refused };
    const found = await callerCache.lookUp(key, clock.now());
    return found === 'busy' ? tooMany(AUTHENTICATION_BUSY_RETRY_S) : (found ?? { refused: callerCache.whyNot(key) });
  }

  function identified(kind: CredentialKind, value: string, address: string | null) {
    if (!isJwt(value)) return stored(value);
    const isLimited = failures.waitOf(kind, address) > 0;
    return signer.isOwn(value) ? own(value, kind, isLimited) : verified(value, isLimited);
  }

  return async function identify(
    { kind, value }: Credential,
    address: string | null,
    callerId?: string,
  ): Promise<Principal | NotIdentified> {
    const isExpected = ({ caller }: Principal) => callerId === undefined || caller.id === callerId;
    const failed = (reason: string, why?: string): NotIdentified => {
      // An outage of the issuer is no fault of who presents its token.
      if (reason === 'issuer_unavailable') return { refusal: refuse({ code: 'unauthenticated', reason }), why };
      const wait = failures.count(kind, address);
      return { refusal: wait > 0 ? tooMany(wait / 1_000) : refuse({ code: 'unauthenticated', reason }) };
    };
    if (value === undefined) return failed('missing');
    const known = callerCache.find(value, clock.now());
    if (known && isSigned(known) && kind !== 'jwt') return failed('type_mismatch');
    if (known) return isExpected(known) ? known : failed('unknown');
    const found: Principal | RefusedCredential | Refusal = await identified(kind, value, address);
    if (found instanceof Refusal) return { refusal: found };
    if ('refused' in found) return failed(found.refused, found.why);
    return isExpected(found) ? found : failed(isJwt(value) ? 'no_matching_workload' : 'unknown');
  };
}

/** Where a request comes from. */
export type Origin = Omit<Call, 'principal'>;

/**
 * Admits a request: identifies the caller by what it presented, counts the request against the caller's rate limit, and notes
 * that the key was used. `callerId`: the caller that the key must belong to (RFC 6749 2.3.1). `setHeader` is called with the
 * rate-limit headers.
 */
export type Admission = (
  from: Origin,
  credential: Credential,
  setHeader: (name: string, value: string) => void,
  callerId?: string,
) => Promise<Call | Refusal>;

export function createAdmission(parts: AuthenticationParts): Admission {
  const { callerCache, limits, auditBuffer, strangers, clock } = parts;
  const identify = createAuthentication(parts);

  function refused(
    { address, requestId }: Origin,
    value: string | undefined,
    { refusal, why }: NotIdentified,
  ): Refusal {
    const { fault } = refusal;
    const reason = fault.code === 'unauthenticated' ? fault.reason : fault.code;
    const presented = presentedAs(value);
    const request = { action: 'authentication.failed' as const, reason, why, presented, integration: null, address };
    strangers.note(request, requestId);
    return refusal;
  }

  return async (from, credential, setHeader, callerId) => {
    const principal = await identify(credential, from.address, callerId);
    if ('refusal' in principal) return refused(from, credential.value, principal);
    const status = await limits.count(principal);
    for (const [name, value] of Object.entries(status?.headers ?? {})) setHeader(name, value);
    if (status?.exceeded) return refuse({ code: 'rate_limited', limit: status.limit, retryAfter: status.resetIn });
    const over = await callerCache.countUse(principal, clock.now());
    if (over !== undefined)
      return refused(from, credential.value, { refusal: refuse({ code: 'unauthenticated', reason: over }) });
    auditBuffer.used(principal.credential.id, clock.now());
    return { ...from, principal };
  };
}

/** The same for a request of the framework. */
export type ContextAdmission = (c: Context<Env>, credential: Credential, callerId?: string) => Promise<Call | Refusal>;

export const admitContext =
  (admit: Admission): ContextAdmission =>
  (c, credential, callerId) => {
    const from = { address: c.get('address'), requestId: c.get('requestId'), client: c.get('client') };
    return admit(from, credential, (name, value) => c.header(name, value), callerId);
  };

/** Middleware of `/v1/`: sets the `call`, or responds with the refusal. */
export const authenticate = (admit: ContextAdmission) =>
  createMiddleware<Env>(async (c, next) => {
    const call = await admit(c, credentialOf(c.req.header('authorization')));
    if (call instanceof Refusal) return problem(c, call.fault);
    c.set('call', call);
    return next();
  });
