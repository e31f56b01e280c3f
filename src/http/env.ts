// The variables of a request in the framework's context.
import type { Call } from '../broker/audit/index.ts';
import type { LogFailure } from './middleware/error-logging.ts';

export interface Env {
  Variables: {
    requestId: string;
    /** The peer's address; null where there is no socket. */
    address: string | null;
    logFailure: LogFailure;
    /** Set by the authentication middleware. */
    call: Call;
  };
}
