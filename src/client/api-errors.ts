// Errors of calls through the proxy: those of the broker by kind, and the refusals of the API itself.
import { type ErrorDetails, ValetkeyError } from './errors.ts';
import type { CreateConnectSessionRequest, CreatedConnectSession } from './types.ts';

/**
 * The API allows no further call now, and the call was not willing to wait any longer (`maxWait`). `scope`: whose calls the
 * limit counts; undefined where the API has told of it in an answer with status 2xx.
 *
 * @example
 * if (error instanceof RateLimited) await queue.later(job, error.retryAfter);
 */
export class RateLimited extends ValetkeyError {
  /** Seconds to wait before the next attempt. */
  declare readonly retryAfter: number;
}

/** What a link may ask for besides renewing the connection. */
export type RenewalRequest = Omit<CreateConnectSessionRequest, 'integration' | 'owner' | 'label' | 'connection_id'>;

/**
 * The grant is not valid any more: the owner must connect again. The connection keeps its id.
 *
 * @example
 * if (error instanceof ReauthorizationRequired) return redirect((await error.connectUrl({ return_url })).url);
 */
export class ReauthorizationRequired extends ValetkeyError {
  declare readonly connectionId: string;
  declare readonly reason: string;
  /** Creates a link for the owner's browser, as `valetkey.connectUrl` does. It takes `connections:write`. */
  declare readonly connectUrl: (request?: RenewalRequest) => Promise<CreatedConnectSession>;
}

/**
 * The API cannot be reached, or has failed so often that the broker leaves it alone for a while (`retryAfter`, in seconds).
 *
 * @example
 * if (error instanceof UpstreamUnavailable) return cached ?? retryIn(error.retryAfter ?? 30);
 */
export class UpstreamUnavailable extends ValetkeyError {}

/**
 * The API took too long. It may have done what it was asked for.
 *
 * @example
 * if (error instanceof UpstreamTimeout) await askWhetherItWasDone(id);
 */
export class UpstreamTimeout extends ValetkeyError {}

/**
 * The path or the URL leads elsewhere than the API, or could be read as another one. Nothing was sent to the API.
 *
 * @example
 * if (error instanceof InvalidPath) return badRequest(error.detail);
 */
export class InvalidPath extends ValetkeyError {}

/**
 * The API has refused: its own answer, with a status that is not 2xx. Its headers and its body are not printed with it, since
 * they may hold anything.
 *
 * @example
 * if (error instanceof ApiError && error.status === 404) return undefined;
 */
export class ApiError extends Error {
  /** The HTTP status of the API's response. */
  declare readonly status: number;
  declare readonly headers: Headers;
  /** Parsed by its content type, as with success. */
  declare readonly body: unknown;
  /** Of the call, in the broker's log. */
  declare readonly requestId: string | undefined;

  constructor({ status, headers }: Pick<Response, 'status' | 'headers'>, body: unknown, message?: string) {
    super(message ?? `The API answered with status ${status}`);
    const hidden = { name: 'ApiError', headers, body };
    for (const [name, value] of Object.entries(hidden))
      Object.defineProperty(this, name, { value, configurable: true });
    Object.assign(this, { status, requestId: headers.get('valetkey-request-id') ?? undefined });
  }
}

const KINDS: Partial<Record<string, new (details: ErrorDetails) => ValetkeyError>> = {
  upstream_rate_limited: RateLimited,
  upstream_unavailable: UpstreamUnavailable,
  upstream_timeout: UpstreamTimeout,
  invalid_path: InvalidPath,
};

/** The error of a problem of the broker. `connect` makes a link that renews a connection. */
export function errorOf(
  details: ErrorDetails,
  connect: (connectionId: string, request: RenewalRequest) => Promise<CreatedConnectSession>,
): ValetkeyError {
  const { code, connectionId } = details;
  if (code === 'reauthorization_required' && connectionId !== undefined) {
    const error = new ReauthorizationRequired(details);
    const value = (request: RenewalRequest = {}) => connect(connectionId, request);
    return Object.defineProperty(error, 'connectUrl', { value });
  }
  return new (KINDS[code] ?? ValetkeyError)(details);
}
