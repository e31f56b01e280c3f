// Operations of the store that take access away, remembered in case a standby takes over that lacks them.
import type { Store } from './store.ts';

/** Those that a broker repeats when the store has lost them. */
export type WithdrawingOperation =
  | 'revoke'
  | 'hold'
  | 'deauthorize'
  | 'deleteCaller'
  | 'deleteCallerKey'
  | 'deleteIntegration'
  | 'deleteWebhookEndpoint'
  | 'endAgentSessions'
  | 'endConsoleSessions'
  | 'endPortalSessions'
  | 'endSession'
  | 'stopCapture'
  | 'updateCaller'
  | 'putIntegration'
  | 'putDeclared'
  | 'swapSigningKeys';

/** As it was called. Stored as JSON: a name that changes loses those of an hour. */
export type Withdrawal = {
  [Operation in WithdrawingOperation]: { operation: Operation; args: Parameters<Store[Operation]> };
}[WithdrawingOperation];

export interface RememberedWithdrawal {
  /** Of an audit entry that it has committed: where that is not stored, it is lost. */
  id: string;
  /** ms since the epoch. */
  at: number;
  withdrawal: Withdrawal;
  /** What it replaced, as far as its repetition has to know. */
  before?: unknown;
}

/** On this machine, for the next process that starts on it. */
export interface WithdrawalLog {
  /** Durable once fulfilled. Rejects when it cannot be written. Now and then it deletes those that are no longer remembered. */
  add(some: readonly RememberedWithdrawal[]): Promise<void>;
  /** Those of this time and later, the oldest first, of all processes. Damaged ones are left out. Deletes older ones. */
  since(at: number): Promise<RememberedWithdrawal[]>;
}
