// A browser that lost its way to the `return_url`, of a session that awaits its finish: it is given the same finish code.
import type { ConnectSession } from '../../../domain/integration.ts';
import { VaultError } from '../../../ports/index.ts';
import { decryptCandidate } from '../received-grant/candidate.ts';
import { type ConnectStep, type FlowParts, returnTo } from './steps.ts';

/** Only for the browser that the session is bound to. Undefined: the session does not await its finish (any more). */
export async function confirmAgain(
  {
    store,
    vault,
    clock,
    log,
  }: Pick<FlowParts, 'vault' | 'clock' | 'log'> & { store: Pick<FlowParts['store'], 'candidate'> },
  session: ConnectSession,
  provider: string,
): Promise<ConnectStep | undefined> {
  if (session.status !== 'awaiting_finish' || session.expiresAt <= clock.now()) return undefined;
  const candidate = await store.candidate(session.id);
  if (!candidate) return undefined;
  try {
    const { finishCode } = decryptCandidate(vault, session, candidate);
    return returnTo(session, provider, { status: 'confirm', finish_code: finishCode });
  } catch (error) {
    if (!(error instanceof VaultError)) throw error;
    log.error({ err: error, session: session.id }, 'connect: the candidate cannot be decrypted');
    return undefined;
  }
}
