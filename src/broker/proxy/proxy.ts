// Calls to APIs on behalf of callers, who never see a token: authorised by method and path, sent below the API's base URL, and
// ended with the grant.
import { MAX_RETRIES } from '../../domain/call-retry.ts';
import { allows } from '../../domain/caller.ts';
import { Refusal, refuse } from '../../domain/errors.ts';
import { headersWithoutSecrets, withoutSecrets } from '../../domain/proxied-credential.ts';
import { methodsOf, namesOtherResource, returnedHeaders } from '../../domain/proxied-headers.ts';
import { PathFault, readRequestPath } from '../../domain/request-path.ts';
import { UPSTREAM_MAX_WAIT_MS } from '../../domain/time-limits.ts';
import type { Clock, UpstreamBody, UpstreamRequest, UpstreamResponse } from '../../ports/index.ts';
import type { Call } from '../audit/index.ts';
import type { CallerCache, ServedToken, TokenCache } from '../cache/index.ts';
import type { Selector, TokenReader, TokenUse } from '../tokens/index.ts';
import type { Attempts, Outcome } from './attempts.ts';
import type { CallObserver, ObservedCall } from './call-observer.ts';
import type { Recorder, Recording } from './capture/index.ts';
import type { CallPreparation } from './prepared-calls.ts';
import { CALLER_ENDED, type RunningCalls } from './running-calls.ts';
import { type CallerBody, keepBody, NO_BODY } from './sending/kept-body.ts';

export interface ProxiedRequest {
  selector: Selector;
  /** In upper case, as methods are. */
  method: string;
  /** What follows `/proxy` in the request target, as it came: a path and a query. */
  target: string;
  /** Of another host of the API. */
  alias: string | undefined;
  /** Names and values in turn, as they came. */
  headers: readonly string[];
  body: CallerBody | null;
  /** How often it may be repeated, where that is safe; 0 to 5. */
  retries: number;
  /** How long the caller waits for limits of the API, in ms. */
  maxWaitMs: number;
  /** It can wait: it goes after others, and leaves a part of each limit to them. */
  isBackground: boolean;
  /** Aborted when the caller hangs up; the broker aborts it when the grant ends. */
  ending: AbortController;
  /** Interim responses, such as early hints. */
  onInterim?: UpstreamRequest['onInterim'];
  /** How often the API was called before the call was refused. */
  onRefused?: (attempts: number) => void;
}

export interface ProxiedResponse {
  integration: string;
  status: number;
  statusText: string;
  /** Those that are passed on, and ours. */
  headers: string[];
  /** One of its methods must be called: until then the call runs. */
  body: UpstreamBody;
}

export interface ProxyCalls {
  /**
   * Sends the call and returns the response of the API, whatever its status. Refuses what is not authorised (`forbidden`, or
   * `not_found` where no permission touches it), what leads elsewhere (`invalid_path`), and where there is no response
   * (`upstream_unavailable`, `upstream_timeout`, …). Rejects with `StoreError`, or when the caller breaks off its body.
   */
  call(call: Call, request: ProxiedRequest): Promise<ProxiedResponse | Refusal>;
}

interface Parts {
  reader: Pick<TokenReader, 'read'>;
  tokenCache: Pick<TokenCache, 'ticket'>;
  callerCache: Pick<CallerCache, 'callerOf'>;
  preparation: CallPreparation;
  attempts: Attempts;
  running: RunningCalls;
  observer: CallObserver;
  recorder: Pick<Recorder, 'begin'>;
  clock: Pick<Clock, 'now'>;
}

/** These make servers answer with the request itself, credential and all, or open a tunnel. */
const NOT_PROXIED: ReadonlySet<string> = new Set(['TRACE', 'TRACK', 'CONNECT']);

export function createProxyCalls({
  reader,
  tokenCache,
  callerCache,
  preparation,
  attempts,
  running,
  observer,
  recorder,
  clock,
}: Parts): ProxyCalls {
  /** A session ends with its time for calls that run, too: a stream would outlast it. Returns what stops waiting for that. */
  function endWithSession({ principal: { credential } }: Call, ending: AbortController): (() => void) | undefined {
    if (credential.kind !== 'session') return undefined;
    const timer = setTimeout(() => ending.abort(CALLER_ENDED), credential.expiresAt - clock.now()).unref();
    return () => clearTimeout(timer);
  }

  /** Among those that run: what ends the grant from here on ends the call. Returns what is to be called when it has ended. */
  function run(call: Call, ending: AbortController, use: TokenUse, { connection }: ServedToken): () => void {
    const { id, integration, owner, scopes } = connection;
    const stillMay = () => {
      const { permissions = [] } = callerCache.callerOf(call.principal) ?? {};
      return allows(permissions, 'proxy', integration, owner, { scopes, proxied: use.proxied });
    };
    const removed = running.add(id, { ending, stillMay });
    const stopWaiting = endWithSession(call, ending);
    return () => {
      removed();
      stopWaiting?.();
    };
  }

  return {
    async call(call, request) {
      const { method, alias, ending } = request;
      const path = readRequestPath(request.target);
      if (path instanceof PathFault) return refuse({ code: 'invalid_path', detail: path.detail });
      if (NOT_PROXIED.has(method))
        return refuse({ code: 'invalid_request', detail: `The method ${method} is not passed on.` });
      const proxied = {
        methods: methodsOf(method, request.headers, path.query),
        path: `${alias === undefined ? '' : `${alias}:`}${path.path || '/'}`,
        namesOther: namesOtherResource(request.headers),
      };
      const use: TokenUse = { action: 'proxy', audit: 'proxy.called', proxied };
      const ticket = tokenCache.ticket();
      const read = reader.read(call, request.selector, undefined, use);
      const served = read instanceof Promise ? await read : read;
      if (served instanceof Refusal) return served;
      const leave = run(call, ending, use, served);
      // What was read from the store may have ended before it was here.
      if (read instanceof Promise && tokenCache.ticket() !== ticket) running.connectionsChanged([served.connection.id]);
      let body = NO_BODY;
      const ended = () => {
        leave();
        body.release();
      };
      let observed: ObservedCall | undefined;
      let recording: Recording | undefined;
      try {
        const preparing = preparation.prepare(served, alias);
        const prepared = preparing instanceof Promise ? await preparing : preparing;
        if (prepared instanceof Refusal) {
          ended();
          return prepared;
        }
        const host = hostOf(prepared.destination.origin);
        observed = observer.start({ call, connection: served.connection, method, host, path: path.path });
        recording = recorder.begin(served.connection.id, { method, host, path: path.path });
        if (request.body !== null) body = await keepBody(recording?.requestBody(request.body) ?? request.body);
        const outcome = await attempts.run({
          ...{ call, use, served, prepared, alias, ending },
          outgoing: {
            ...{ method, path, headers: request.headers, body },
            ...{ caller: call.principal.caller.id, signal: ending.signal },
          },
          retries: Math.min(request.retries, MAX_RETRIES),
          maxWaitMs: Math.min(request.maxWaitMs, UPSTREAM_MAX_WAIT_MS),
          isBackground: request.isBackground,
          recording,
          onInterim: request.onInterim,
        });
        const { result } = outcome;
        if (result instanceof Refusal) {
          ended();
          request.onRefused?.(outcome.attempts);
          observed.refused(result.fault.code, outcome.attempts);
          recording?.ended(false, result.fault.code, outcome.attempts);
          return result;
        }
        recording?.answered(result, outcome.attempts);
        return presented(call, served, result, outcome, observed, recording, ended);
      } catch (error) {
        ended();
        observed?.refused('error', 0);
        recording?.ended(false, 'error');
        throw error;
      }
    },
  };
}

function presented(
  { requestId }: Call,
  { connection }: ServedToken,
  response: UpstreamResponse,
  { attempts, isTokenRenewed, isRateLimited, secrets }: Outcome,
  observed: ObservedCall,
  recording: Recording | undefined,
  ended: () => void,
): ProxiedResponse {
  const headers = headersWithoutSecrets(returnedHeaders(response.headers, response.status), secrets);
  headers.push('Valetkey-Request-Id', requestId, 'Valetkey-Attempts', String(attempts));
  if (isTokenRenewed) headers.push('Valetkey-Retry', 'token-renewed');
  if (isRateLimited) headers.push('Valetkey-Rate-Limited', 'true');
  observed.answered(response.status, attempts);
  const { body } = response;
  body.onEnd((bytes, isComplete) => {
    ended();
    observed.ended(bytes, isComplete);
    recording?.ended(isComplete);
  });
  return {
    integration: connection.integration,
    status: response.status,
    statusText: withoutSecrets(response.statusText, secrets),
    headers,
    body: recording?.responseBody(body) ?? body,
  };
}

const hostOf = (origin: string): string => origin.slice(origin.indexOf('://') + 3);
