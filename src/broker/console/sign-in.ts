// Signing in to the console: an authorization code flow of an integration (RFC 6749 4.1, RFC 7636, OpenID Connect Core 3.1),
// bound to the browser by a cookie that has all of it, encrypted.
import { whyDenied } from '../../domain/authorization-errors.ts';
import { type RoleRules, roleOf } from '../../domain/console.ts';
import { Refusal } from '../../domain/errors.ts';
import { claimsOf } from '../../domain/jwt-claims.ts';
import type { Target } from '../../domain/target.ts';
import { SESSION_TTL_MS } from '../../domain/time-limits.ts';
import type { Clock, Logger, ProviderClient, Vault } from '../../ports/index.ts';
import type { Targets } from '../integrations/index.ts';
import { digest, isSameSecret, newSecret } from '../secrets/index.ts';
import type { ConsoleUser, ConsoleVisit } from './console-sessions.ts';

/** How people sign in to the console, as the declarative file has it. */
export interface ConsoleSettings {
  /** The OpenID integration. */
  integration: string;
  roles: RoleRules;
}

/** Why someone is not signed in. */
export type SignInFailure =
  /** No integration signs in, or it cannot. */
  | 'sign_in_not_configured'
  /** The response belongs to no flow of this browser, or that has expired. */
  | 'sign_in_expired'
  | 'sign_in_denied'
  | 'sign_in_unavailable'
  | 'sign_in_failed'
  /** Someone else than was asked to sign in again. */
  | 'other_user'
  /** It is known who it is, and no rule gives them a role. */
  | 'no_role';

/** `cookie`: of this flow alone, to be sent back with the response. */
export type SignInStep =
  | { kind: 'redirect'; url: string; tag: string; cookie: string }
  | { kind: 'failed'; why: SignInFailure };

export interface SignIn {
  /** The name of its provider; undefined: no one can sign in with it. */
  provider(): Promise<string | undefined>;
  /** Whether people sign in with this issuer now. Rejects with `StoreError`. */
  isIssuer(issuer: string): Promise<boolean>;
  /**
   * Begins. `to`: the path that was asked for. `again`: the user is asked to sign in even if the provider knows them, and only
   * who is the same may come back.
   */
  begin(to: string, again: { issuer: string; subject: string } | undefined): Promise<SignInStep>;
  /** Ends with the user, or why not, and the path that was asked for. `cookie`: of the flow whose tag the response names. */
  complete(
    response: URLSearchParams,
    cookie: string | undefined,
    visit: ConsoleVisit,
  ): Promise<{ kind: 'signed_in'; user: ConsoleUser; to: string } | { kind: 'failed'; why: SignInFailure; to: string }>;
}

interface Parts {
  settings: ConsoleSettings | undefined;
  targets: Targets;
  provider: Pick<ProviderClient, 'authorizationUrl' | 'exchange' | 'userinfo'>;
  vault: Pick<Vault, 'encrypt' | 'decrypt'>;
  noteStranger: (visit: ConsoleVisit, reason: string) => void;
  clock: Clock;
  log: Logger;
  /** What browsers call the console by, without `/console`. */
  url: string;
}

/** What the cookie has. */
interface Flow {
  state: string;
  nonce: string;
  verifier: string;
  issuer: string | null;
  scopes: string[];
  to: string;
  again: { issuer: string; subject: string } | null;
  startedAt: number;
  expiresAt: number;
}

const TAG_LENGTH = 10;
const FLOW = { row: 'console/sign-in', column: 'flow' };
const SIGN_IN_SCOPES = ['openid', 'profile', 'email'];

/** The cookie of a flow is named after its state. */
export const signInTag = (state: string): string => digest(`sign-in ${state}`).slice(0, TAG_LENGTH);

const NOT_SIGNED_IN = {
  cancelled: 'sign_in_denied',
  unavailable: 'sign_in_unavailable',
  refused: 'sign_in_failed',
} as const satisfies Record<ReturnType<typeof whyDenied>, SignInFailure>;

export function createSignIn(parts: Parts): SignIn {
  const { settings, targets, provider, vault, noteStranger, clock, log, url } = parts;
  const redirectUri = `${url}/console/callback`;
  const failed = (why: SignInFailure) => ({ kind: 'failed', why }) as const;

  /** Undefined: the integration is not there, or no OpenID Provider. */
  async function client() {
    if (!settings) return undefined;
    const found = await targets.find(settings.integration);
    if (found instanceof Refusal || found.auth.mode !== 'oidc') {
      const fault = found instanceof Refusal ? found.fault : { code: 'no OpenID Provider' };
      log.error({ integration: settings.integration, fault }, 'console: no one can sign in with this integration');
      return undefined;
    }
    // A grant that lasts is not wanted.
    const asked = [...SIGN_IN_SCOPES, ...found.integration.scopes].filter((scope) => scope !== 'offline_access');
    const { name } = found.provider;
    return { name, target: targets.targetOf(found, { params: {}, captured: {} }), scopes: [...new Set(asked)] };
  }

  return {
    provider: async () => (await client())?.name,
    isIssuer: async (issuer) => (await client())?.target.issuer === issuer,

    async begin(to, again) {
      const known = await client();
      if (!known) return failed('sign_in_not_configured');
      const [state, nonce, verifier] = [newSecret(), newSecret(), newSecret()];
      const { target, scopes } = known;
      const choose = again ? 'login' : undefined;
      const optionalScopes = SIGN_IN_SCOPES.slice(1);
      const request = { state, nonce, verifier, redirectUri, scopes, optionalScopes, choose } as const;
      const answer = await provider.authorizationUrl(target, request);
      if (!answer.ok) {
        log.error({ integration: settings!.integration, fault: answer.fault.code }, 'console: sign-in cannot begin');
        return failed(answer.fault.kind === 'transient' ? 'sign_in_unavailable' : 'sign_in_failed');
      }
      const now = clock.now();
      const flow: Flow = {
        ...{ state, nonce, verifier, to },
        issuer: answer.value.issuer,
        scopes: answer.value.scopes,
        again: again ?? null,
        startedAt: now,
        expiresAt: now + SESSION_TTL_MS,
      };
      const cookie = vault.encrypt(JSON.stringify(flow), FLOW);
      return { kind: 'redirect', url: answer.value.url, tag: signInTag(state), cookie };
    },

    async complete(response, cookie, visit) {
      const flow = cookie === undefined ? undefined : readFlow(cookie);
      const state = response.get('state') ?? '';
      if (!flow || flow.expiresAt <= clock.now() || !isSameSecret(state, flow.state))
        return { ...failed('sign_in_expired'), to: '' };
      const { nonce, verifier, scopes, issuer, again, to, startedAt } = flow;
      const ended = (why: SignInFailure) => ({ ...failed(why), to });
      const known = await client();
      if (!known) return ended('sign_in_not_configured');
      const answer = await provider.exchange(known.target, response, {
        ...{ state, nonce, verifier, redirectUri, scopes, issuer },
      });
      if (!answer.ok) {
        const { kind, code } = answer.fault;
        log.warn({ integration: settings!.integration, fault: code }, 'console: sign-in failed');
        const why = kind === 'denied' ? whyDenied(code) : kind === 'transient' ? 'unavailable' : 'refused';
        return ended(NOT_SIGNED_IN[why]);
      }
      const { identity, idToken } = answer.value;
      const claims = idToken === undefined ? undefined : claimsOf(idToken);
      if (!identity || !claims) return ended('sign_in_failed');
      if (again && (again.issuer !== identity.issuer || again.subject !== identity.subject)) return ended('other_user');
      // A provider that says when the user signed in may not answer from an old session (OpenID Connect Core 3.1.2.1).
      const isStale = again && typeof claims.auth_time === 'number' && (claims.auth_time + 60) * 1_000 < startedAt;
      if (isStale) return ended('sign_in_failed');
      const fromToken = roleOf(settings!.roles, claims);
      const told =
        fromToken === 'admin' ? {} : await userinfo(known.target, answer.value.accessToken, identity.subject);
      const role = roleOf(settings!.roles, { ...told, ...claims });
      if (role === undefined) {
        noteStranger(visit, `user:${identity.subject}@${identity.issuer}`);
        return ended('no_role');
      }
      const name = [claims.name, claims.preferred_username, claims.email].find(isText) ?? null;
      const providerSession = isText(claims.sid) ? claims.sid : null;
      return { kind: 'signed_in', to, user: { ...identity, name, role, providerSession } };
    },
  };

  /** Some providers keep what does not name the user, such as groups, out of the ID token (OpenID Connect Core 5.4). */
  async function userinfo(target: Target, accessToken: string, subject: string) {
    const told = await provider.userinfo(target, accessToken, subject);
    if (told.ok) return told.value;
    log.warn({ integration: settings!.integration, fault: told.fault.code }, 'console: userinfo request failed');
    return {};
  }

  function readFlow(cookie: string): Flow | undefined {
    try {
      return JSON.parse(vault.decrypt(cookie as Parameters<Vault['decrypt']>[0], FLOW)) as Flow;
    } catch {
      return undefined;
    }
  }
}

const isText = (value: unknown): value is string => typeof value === 'string' && value !== '';
