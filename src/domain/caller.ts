// Internal services, their keys, and what they may do.

export const ACTIONS = ['token', 'connections:read', 'connections:write', 'jwt:verify', 'proxy', 'admin'] as const;
export type Action = (typeof ACTIONS)[number];

/** Actions × integrations × owners. `*` matches all, a trailing `*` is a prefix, everything else is exact. */
export interface CallerGrant {
  actions: (Action | '*')[];
  integrations: string[];
  owners: string[];
}

export interface Caller {
  id: string;
  name: string;
  grants: CallerGrant[];
  createdAt: number;
}

export interface CallerKey {
  id: string;
  callerId: string;
  /** SHA-256, hex. The key is 256 random bits, so a fast digest is enough, and a lookup compares nothing secret. */
  digest: string;
  /** The first characters of the key, to recognise it by. */
  prefix: string;
  createdAt: number;
  expiresAt: number | null;
  lastUsedAt: number | null;
}

/** A caller as one request presents it. */
export interface Principal {
  caller: Pick<Caller, 'id' | 'name' | 'grants'>;
  keyId: string;
}

export const matches = (pattern: string, value: string): boolean =>
  pattern.endsWith('*') ? value.startsWith(pattern.slice(0, -1)) : pattern === value;

const within = (patterns: readonly string[], value: string) => patterns.some((pattern) => matches(pattern, value));

/** Whether one grant alone covers the action on this integration and owner. `admin` is a right like the others. */
export const allows = (grants: readonly CallerGrant[], action: Action, integration: string, owner: string): boolean =>
  grants.some(
    (g) =>
      (g.actions.includes('*') || g.actions.includes(action)) &&
      within(g.integrations, integration) &&
      within(g.owners, owner),
  );

/** The integrations × owners that the grants open for an action: what a list may show. */
export interface Scope {
  integrations: string[];
  owners: string[];
}

export const scopesOf = (grants: readonly CallerGrant[], action: Action): Scope[] =>
  grants
    .filter((g) => g.actions.includes('*') || g.actions.includes(action))
    .map(({ integrations, owners }) => ({ integrations, owners }));
