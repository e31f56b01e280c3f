// The variables of a request in the framework's context.
import type { HttpBindings } from '@hono/node-server';
import type { Call, ClientContext } from '../broker/audit/index.ts';
import type { Cursors } from './cursors.ts';
import type { LogFailure } from './middleware/error-logging.ts';
import type { Appearance } from './pages/sites.ts';

export interface Env {
  /** `incoming` is missing where there is no socket. */
  Bindings: Partial<HttpBindings> & {
    /** Whether it came to a port that serves only what is published. */
    isPublic?: true;
  };
  Variables: {
    /** Of our own making. */
    requestId: string;
    client: ClientContext | undefined;
    /** The peer's address; null where there is no socket. */
    address: string | null;
    logFailure: LogFailure;
    /** Of the pages of lists. */
    cursors: Cursors;
    /** Set by the authentication middleware. */
    call: Call;
    /** Of a browser's request: how its page looks, once that is known. */
    appearance: Appearance | undefined;
  };
}
