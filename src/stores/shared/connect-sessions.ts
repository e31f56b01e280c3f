// Whether a flow of a connect session may begin.
import type { ConnectSession, Flow } from '../../domain/integration.ts';

/** Undefined: it may. */
export function whyNotBegin(
  session: ConnectSession | undefined,
  flow: Flow,
  now: number,
): 'gone' | 'other_browser' | undefined {
  if (session?.status !== 'pending' || session.expiresAt <= now) return 'gone';
  const isOther = session.browserDigest !== null && session.browserDigest !== flow.browserDigest;
  return isOther ? 'other_browser' : undefined;
}
