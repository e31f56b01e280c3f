// A vendor's state: codes, grants and their tokens, with the rotation policies.
import { randomBytes } from 'node:crypto';
import type { CodeRow } from './vendor.ts';

export interface Grant {
  scopes: string[];
  alive: boolean;
  /** It can be refreshed. */
  renews: boolean;
  /** The current refresh token; undefined: none was issued. */
  refresh: string | undefined;
  /** Valid access tokens, and when each was issued, in ms. */
  access: Map<string, number>;
  refreshes: number;
}

export interface Code {
  scopes: string[];
  challenge: string | undefined;
  nonce: string | undefined;
}

export interface TokenRecord {
  grant: Grant;
  kind: 'access' | 'refresh';
  /** It is still valid. */
  alive: boolean;
}

export const random = (bytes = 18): string => randomBytes(bytes).toString('base64url');

export function createGrantStore() {
  const codes = new Map<string, Code>();
  const grants: Grant[] = [];
  /** Every token that was ever issued. */
  const tokens = new Map<string, { grant: Grant; kind: 'access' | 'refresh' }>();

  function keepAccess(grant: Grant, token: string): void {
    grant.access.set(token, Date.now());
    tokens.set(token, { grant, kind: 'access' });
  }
  function keepRefresh(grant: Grant, token: string): void {
    grant.refresh = token;
    tokens.set(token, { grant, kind: 'refresh' });
  }

  return {
    addCode(code: Code): string {
      const secret = random();
      codes.set(secret, code);
      return secret;
    },
    /** A code can be taken once. */
    takeCode(secret: string): Code | undefined {
      const code = codes.get(secret);
      codes.delete(secret);
      return code;
    },
    open(scopes: string[]): Grant {
      const grant: Grant = { scopes, alive: true, renews: true, refresh: undefined, access: new Map(), refreshes: 0 };
      grants.push(grant);
      return grant;
    },
    keepAccess,
    keepRefresh,
    find(text: string): TokenRecord | undefined {
      const known = tokens.get(text);
      return known && { ...known, alive: isAlive(known, text) };
    },
    /**
     * Spends a refresh token by the vendor's policy: returns the one for the response, or `dead`. Reuse of a single-use
     * token ends the grant (RFC 9700 4.14).
     */
    spend(grant: Grant, token: string, rotation: NonNullable<CodeRow['refresh']>['rotation'], newToken: () => string) {
      if (!grant.alive || !grant.renews) return 'dead';
      if (token !== grant.refresh && (rotation === 'single_use' || rotation === 'same' || rotation === 'omitted')) {
        grant.alive = false;
        return 'dead';
      }
      grant.refreshes += 1;
      const renewed = rotation === 'single_use' || rotation === 'grace' || grant.refreshes % 2 === 0;
      if (rotation === 'omitted') return { refresh: undefined };
      if (rotation === 'same' || !renewed) return { refresh: grant.refresh };
      keepRefresh(grant, newToken());
      return { refresh: grant.refresh };
    },
    end: (grant: Grant): void => {
      grant.alive = false;
    },
    /** Issued access tokens stay valid. */
    endRenewing: (grant: Grant): void => {
      grant.renews = false;
    },
    endAccess: (grant: Grant): void => grant.access.clear(),
    /** RFC 7009 2.1. */
    endToken(grant: Grant, token: string): void {
      if (!grant.access.delete(token)) grant.alive = false;
    },
    age(seconds: number): void {
      for (const { access } of grants) for (const [token, at] of access) access.set(token, at - seconds * 1_000);
    },
    withdrawAll: (): void => {
      for (const grant of grants) grant.alive = false;
    },
  };
}

const isAlive = ({ grant, kind }: { grant: Grant; kind: string }, token: string): boolean =>
  grant.alive && (kind === 'access' ? grant.access.has(token) : grant.renews && grant.refresh === token);
