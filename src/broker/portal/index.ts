// The portal room: owners see, renew and end their own connections, within what a caller may do.
import { createOwnerCalls } from './owner-calls.ts';
import { createPortalPages, type PortalPageParts, type PortalPages } from './portal-pages.ts';
import { createPortalSessions, type PortalSessionParts, type PortalSessions } from './portal-sessions.ts';

export type { PortalConnection, PortalNotice, PortalPages, PortalRequest, PortalStep } from './portal-pages.ts';
export type { PortalSessions } from './portal-sessions.ts';

export interface Portal {
  sessions: PortalSessions;
  pages: PortalPages;
}

type Parts = PortalSessionParts &
  Omit<PortalPageParts, 'sessions'> &
  Parameters<typeof createOwnerCalls>[0] & { connectSessions: PortalPageParts['sessions'] };

export function createPortal(parts: Parts): Portal {
  const owners = createOwnerCalls(parts);
  return {
    sessions: createPortalSessions(parts),
    pages: createPortalPages({ ...parts, sessions: parts.connectSessions, owners }),
  };
}
