// What a request carries through the handlers.
import type { Call } from '../broker/access.ts';
import type { Logger } from '../ports.ts';

export interface Env {
  Variables: {
    requestId: string;
    /** The client's address. */
    address: string | null;
    log: Logger;
    /** Set behind the caller middleware. */
    call: Call;
  };
}
