// What is told of proxied calls: metrics, and a log line for each. Never the query, a body, or what a path may name.
import type { Connection } from '../../domain/connection.ts';
import { pathTemplate } from '../../domain/request-path.ts';
import type { Clock, Logger, Telemetry } from '../../ports/index.ts';
import type { Call } from '../audit/index.ts';

export interface StartedCall {
  call: Call;
  connection: Pick<Connection, 'id' | 'integration'>;
  method: string;
  host: string;
  path: string;
}

export interface ObservedCall {
  /** The API has answered: its body follows. */
  answered(status: number, attempts: number): void;
  /** There is no response. `code`: of the problem. */
  refused(code: string, attempts: number): void;
  /** The body has ended. Counts once. */
  ended(bytes: number, isComplete: boolean): void;
}

export interface CallObserver {
  start(started: StartedCall): ObservedCall;
}

interface Parts {
  telemetry: Pick<Telemetry, 'proxied'>;
  clock: Pick<Clock, 'monotonic'>;
  log: Logger;
}

/** Any other counts as one, so that callers cannot make up time series. */
const METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'QUERY']);

export function createCallObserver({ telemetry, clock, log }: Parts): CallObserver {
  return {
    start({ call, connection, method, host, path }) {
      const startedAt = clock.monotonic();
      let outcome = '';
      let attempts = 0;
      const elapsed = () => clock.monotonic() - startedAt;

      const line = (bytes: number, isComplete: boolean) => {
        if (log.isLevelEnabled?.('debug') === false) return;
        log.debug(
          {
            method,
            host,
            path: pathTemplate(path),
            status: outcome,
            bytes,
            ms: Math.round(elapsed() * 10) / 10,
            attempts,
            complete: isComplete,
            integration: connection.integration,
            connection_id: connection.id,
            caller: call.principal.caller.id,
            request_id: call.requestId,
            client_request_id: call.client?.requestId,
            trace_id: call.client?.traceId,
          },
          'proxy: call',
        );
      };

      const count = () =>
        telemetry.proxied(
          connection.integration,
          METHODS.has(method) ? method : 'other',
          outcome,
          elapsed() / 1_000,
          attempts,
        );

      return {
        answered(status, made) {
          outcome = String(status);
          attempts = made;
          count();
        },
        refused(code, made) {
          outcome = code;
          attempts = made;
          count();
          line(0, false);
        },
        ended: line,
      };
    },
  };
}
