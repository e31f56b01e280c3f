// Portal sessions, as callers create them for owners: a link to the page of the owner's own connections.
import { madeWith, matches, scopesOf } from '../../domain/caller.ts';
import { type InputIssue, Refusal, refuse } from '../../domain/errors.ts';
import type { PortalSession } from '../../domain/portal-session.ts';
import { PORTAL_LINK_TTL_MS } from '../../domain/time-limits.ts';
import type { Clock, Store, Vault } from '../../ports/index.ts';
import type { Access, Call } from '../audit/index.ts';
import { creatorOf, returnUrlIssues } from '../connections/index.ts';
import type { Targets } from '../integrations/index.ts';
import { digest, newId, newSecret } from '../secrets/index.ts';

export interface PortalSessionRequest {
  owner: string;
  returnUrl: string;
  /** Undefined: all that the caller's permissions cover. */
  integrations?: string[] | undefined;
  /** On whose behalf, as its pages say it. */
  displayOwner?: string | undefined;
  uiLocales?: string | undefined;
}

/** `url` contains a secret that is not stored: it is returned once. */
export interface CreatedPortalSession {
  id: string;
  url: string;
  expiresAt: number;
}

export interface PortalSessions {
  /** For callers with `connections:write`, which is what the page lets the owner do. */
  create(call: Call, wanted: PortalSessionRequest): Promise<CreatedPortalSession | Refusal>;
}

export interface PortalSessionParts {
  store: Pick<Store, 'addPortalSession'>;
  vault: Pick<Vault, 'encrypt'>;
  targets: Pick<Targets, 'find'>;
  access: Pick<Access, 'denied' | 'record'>;
  clock: Clock;
  publicUrl: string;
  /** Origins that a `return_url` may have at every integration. */
  returnOrigins: readonly string[];
}

/** The row and column that the session is encrypted for. */
export const portalContext = (id: string) => ({ row: `portal_sessions/${id}`, column: 'content' });

export function createPortalSessions(parts: PortalSessionParts): PortalSessions {
  const { store, vault, targets, access, clock, publicUrl, returnOrigins } = parts;

  /** Where its owner may be sent back to; a refusal where the caller has not the permission. */
  async function permitted(
    call: Call,
    { owner, integrations }: PortalSessionRequest,
  ): Promise<readonly string[] | Refusal> {
    if (integrations === undefined) {
      const { permissions } = call.principal.caller;
      const scopes = scopesOf(permissions, 'connections:write');
      const isCovered = scopes.some(({ owners }) => owners.some((pattern) => matches(pattern, owner)));
      const denied = isCovered ? undefined : access.denied(call, 'connections:write', '*', owner);
      return denied ?? returnOrigins;
    }
    const origins = [...returnOrigins];
    for (const integration of integrations) {
      const denied = access.denied(call, 'connections:write', integration, owner);
      if (denied) return denied;
      const found = await targets.find(integration);
      if (found instanceof Refusal) return found;
      origins.push(...found.integration.returnOrigins);
    }
    return origins;
  }

  return {
    async create(call, wanted) {
      const { owner, returnUrl, integrations, displayOwner, uiLocales } = wanted;
      const origins = await permitted(call, wanted);
      if (origins instanceof Refusal) return origins;
      const issues: InputIssue[] = returnUrlIssues(returnUrl, origins, publicUrl);
      if (issues.length > 0)
        return refuse({ code: 'invalid_request', detail: 'the portal session has invalid settings', issues });
      const secret = newSecret();
      const now = clock.now();
      const id = newId('ps', now);
      const session: PortalSession = {
        id,
        owner,
        returnUrl,
        integrations: integrations ?? null,
        displayOwner: displayOwner ?? null,
        uiLocales: uiLocales ?? null,
        createdBy: call.principal.caller.id,
        createdWith: madeWith(call.principal),
        browserDigest: null,
        seed: newSecret(),
      };
      const expiresAt = now + PORTAL_LINK_TTL_MS;
      const content = vault.encrypt(JSON.stringify(session), portalContext(id));
      const row = { id, secretDigest: digest(secret), owner, browserDigest: null, content, createdAt: now, expiresAt };
      const by = access.record(call, 'portal_session.created', { integration: '*', owner, detail: id });
      if ((await store.addPortalSession(row, by, creatorOf(call))) === 'creator_gone')
        return refuse({ code: 'unauthenticated', reason: 'unknown' });
      return { id, url: `${publicUrl}/connect/portal/${secret}`, expiresAt };
    },
  };
}
