// A candidate: what a provider granted in a two-phase connect session, encrypted as one record until the session is finished.
import type { Candidate, ConnectSession } from '../../../domain/integration.ts';
import { type Vault, VaultError } from '../../../ports/index.ts';
import type { ReceivedCredentials } from './new-connection.ts';

export interface CandidateGrant {
  received: ReceivedCredentials;
  /** Connection parameters that it was granted with. */
  params: Record<string, string>;
  /** ms since the epoch. */
  receivedAt: number;
  /** For the browser, should it come back. */
  finishCode: string;
}

type Place = Pick<ConnectSession, 'id' | 'integration' | 'owner' | 'label'>;

const contextOf = (sessionId: string) => ({ row: `candidates/${sessionId}`, column: 'received_grant' });

/** Whose connection it may become: it is in the record too, since rows of a database can be changed. */
const placeOf = ({ integration, owner, label }: Place): string => JSON.stringify([integration, owner, label]);

export function encryptCandidate(vault: Pick<Vault, 'encrypt'>, session: Place, grant: CandidateGrant): Candidate {
  const record = JSON.stringify({ ...grant, place: placeOf(session) });
  const receivedGrant = vault.encrypt(record, contextOf(session.id));
  return { sessionId: session.id, receivedGrant, createdAt: grant.receivedAt };
}

/** Throws `VaultError`, also when it was received for another owner, integration or label. */
export function decryptCandidate(
  vault: Pick<Vault, 'decrypt'>,
  session: Place,
  { receivedGrant }: Candidate,
): CandidateGrant {
  // Authenticated: it is what was encrypted.
  const record = JSON.parse(vault.decrypt(receivedGrant, contextOf(session.id))) as CandidateGrant & { place: string };
  const { place, ...grant } = record;
  if (place !== placeOf(session)) throw new VaultError('not_openable', 'the candidate is of another connect session');
  return grant;
}
