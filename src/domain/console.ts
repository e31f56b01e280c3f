// Who uses the browser console, and what each role may do: a set of permissions like a caller's.
import type { Permission, Principal } from './caller.ts';

/** From the least to the most. */
export const CONSOLE_ROLES = ['viewer', 'operator', 'admin'] as const;
export type ConsoleRole = (typeof CONSOLE_ROLES)[number];

/** Someone who has a role if one of the values is in the claim of their ID token, or of the userinfo response. */
export interface RoleRule {
  /** The name of a claim; or the path to a member of one, its names separated by dots. */
  claim: string;
  values: string[];
}
export type RoleRules = Partial<Record<ConsoleRole, RoleRule | undefined>>;

/**
 * Someone who is signed in to the console, or a link that signs in the first who opens it. The role is what was found at the
 * sign-in: a change of the rules is for those who sign in after it.
 */
export interface ConsoleSession {
  /** `cse_…` */
  id: string;
  /** SHA-256 of the secret in the link, or in the cookie once it is open. */
  digest: string;
  /** With `subject`, who it is: of the ID token; for a link, the broker and the caller that made it. */
  issuer: string;
  subject: string;
  /** What people know them by. */
  name: string | null;
  role: ConsoleRole;
  /**
   * What the issuer calls its own session with them, with which this one ends: the `sid` of a provider (OpenID Connect Back-Channel
   * Logout 2.1). Of a link, what it was made with (`madeWith`).
   */
  providerSession: string | null;
  address: string | null;
  createdAt: number;
  /** Null: a link that no one has opened. */
  openedAt: number | null;
  lastSeenAt: number;
  expiresAt: number;
  /** As of a caller. */
  mac?: string | null | undefined;
}

/** As the audit log names them. */
export const consoleActor = ({ issuer, subject }: Pick<ConsoleSession, 'issuer' | 'subject'>): string =>
  `user:${subject}@${issuer}`;

const EVERYTHING = { integrations: ['*'], owners: ['*'] };
const READ: Permission['actions'] = ['connections:read', 'audit:read', 'admin:read'];

/** `operator` also revokes, ends agent sessions, makes connect links, checks, retries and replays, and reads what providers have sent. */
export const ROLE_PERMISSIONS: Readonly<Record<ConsoleRole, Permission[]>> = {
  viewer: [{ actions: READ, ...EVERYTHING }],
  operator: [{ actions: [...READ, 'connections:write', 'sessions', 'webhooks', 'events'], ...EVERYTHING }],
  admin: [{ actions: ['*'], ...EVERYTHING }],
};

/** All that people whom the rules give a role may do together. */
export const permissionsOfRules = (rules: RoleRules): Permission[] =>
  CONSOLE_ROLES.flatMap((role) => (rules[role] ? ROLE_PERMISSIONS[role] : []));

export const consolePrincipal = (session: ConsoleSession): Principal => ({
  caller: {
    id: consoleActor(session),
    name: session.name ?? session.subject,
    permissions: ROLE_PERMISSIONS[session.role],
  },
  credential: { kind: 'console', id: session.id, expiresAt: session.expiresAt },
  rateLimit: null,
});

/** The highest role that a rule gives; undefined: none. An address that the provider has not verified is no one's. */
export const roleOf = (rules: RoleRules, claims: Readonly<Record<string, unknown>>): ConsoleRole | undefined =>
  CONSOLE_ROLES.findLast((role) => {
    const rule = rules[role];
    if (!rule || (rule.claim === 'email' && claims.email_verified !== true)) return false;
    return [valueAt(claims, rule.claim)].flat().some((value) => rule.values.some((one) => one === value));
  });

/** A claim may have dots in its own name, as those with a namespace do. */
const valueAt = (claims: Readonly<Record<string, unknown>>, path: string): unknown =>
  Object.hasOwn(claims, path)
    ? claims[path]
    : path
        .split('.')
        .reduce<unknown>(
          (value, name) =>
            typeof value === 'object' && value !== null && Object.hasOwn(value, name)
              ? (value as Record<string, unknown>)[name]
              : undefined,
          claims,
        );
