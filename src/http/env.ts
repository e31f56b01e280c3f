// What a request carries through the handlers.
import type { Call } from '../broker/audit/index.ts';
import type { Failed } from './middleware/error-logging.ts';

export interface Env {
  Variables: {
    requestId: string;
    /** The client's address. */
    address: string | null;
    failed: Failed;
    /** Set behind the caller middleware. */
    call: Call;
  };
}
