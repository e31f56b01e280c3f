// Why an outbound request failed.
import type { WholeResponse } from './whole-response.ts';

export class OutboundError extends Error {
  override name = 'OutboundError';
  readonly code: 'blocked' | 'timeout' | 'too_large' | 'redirect' | 'network' | 'withheld';
  /** False only when nothing of the request can have reached the server. */
  readonly sent: boolean;
  /** The egress proxy could not reach the server. */
  isUnreachable = false;
  /** The status of the response, where one had begun. */
  status: number | undefined;
  /** What had been received of a response with a status 2xx: the beginning of its body. */
  received: WholeResponse | undefined;
  constructor(code: OutboundError['code'], message: string, sent: boolean, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.sent = sent;
  }
}

/** A failure of DNS, TCP, TLS or the HTTP connection. */
export function connectionError(host: string, cause: Error, sent: boolean): OutboundError {
  const { code } = cause as NodeJS.ErrnoException;
  if (code === 'UND_ERR_CONNECT_TIMEOUT' || code === 'ETIMEDOUT')
    return new OutboundError('timeout', `${host} took too long to connect`, sent);
  return new OutboundError('network', `${host} could not be reached (${code ?? cause.name})`, sent);
}

/** The egress proxy refused, or did not answer as a proxy. Nothing was sent to the server. */
export function proxyError(host: string, answer: number | string): OutboundError {
  const reason =
    answer === 407 ? 'the egress proxy does not take its credentials, or none (407)' : `the egress proxy: ${answer}`;
  const isTimeout = answer === 'UND_ERR_CONNECT_TIMEOUT' || answer === 'ETIMEDOUT';
  const error = new OutboundError(isTimeout ? 'timeout' : 'network', `${host} could not be reached (${reason})`, false);
  error.isUnreachable = typeof answer === 'number' && answer >= 500;
  return error;
}
