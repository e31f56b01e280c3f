// Records calls of the connections whose capture is on. Which these are is in memory; a call of any other connection costs
// nothing. Recording never slows or fails a call: it copies, and redacts and stores afterwards.
import { type Known, knownSecrets, redactHeaders } from '../../../domain/captured-text.ts';
import { credentialHeaders } from '../../../domain/proxied-credential.ts';
import { headerOf } from '../../../domain/proxied-headers.ts';
import { pathTemplate } from '../../../domain/request-path.ts';
import { tapped } from '../../../domain/tapped-chunks.ts';
import type { Capture, Clock, Logger, Store, UpstreamBody, UpstreamResponse, Vault } from '../../../ports/index.ts';
import type { ServedToken } from '../../cache/index.ts';
import { newId } from '../../secrets/index.ts';
import type { PreparedCall } from '../prepared-calls.ts';
import type { CallerBody } from '../sending/kept-body.ts';
import { type BodyCopy, createBodyCopy } from './captured-body.ts';
import { type CapturedContent, encryptCapturedCall } from './captured-calls.ts';

/** Of one call. */
export interface Recording {
  /** The same body, copied while it is read. */
  requestBody(body: CallerBody): CallerBody;
  /** An attempt is about to be sent. */
  sent(headers: readonly string[], served: ServedToken, prepared: PreparedCall): void;
  answered(response: UpstreamResponse, attempts: number): void;
  /** The same body, copied while it is read. */
  responseBody(body: UpstreamBody): UpstreamBody;
  /** Once; others are left out. `code`: of the problem, where there is no response. */
  ended(isComplete: boolean, code?: string, attempts?: number): void;
}

export interface Recorder {
  /** Undefined: its capture is off. */
  begin(connectionId: string, call: { method: string; host: string; path: string }): Recording | undefined;
  /** Reads which captures run. Rejects with `StoreError`. */
  reload(): Promise<void>;
  /** Waits for what is being stored. */
  stop(): Promise<void>;
}

export interface RecorderParts {
  store: Pick<Store, 'runningCaptures' | 'addCapturedCall'>;
  vault: Pick<Vault, 'encrypt'>;
  clock: Clock;
  log: Logger;
}

/** Of a connection. */
const MAX_CALLS = 200;
/** Calls that are being stored at a time: those beyond are not kept. */
const MAX_STORING = 32;

export function createRecorder({ store, vault, clock, log }: RecorderParts): Recorder {
  let running = new Map<string, Capture>();
  let reads = 0;
  const storing = new Set<Promise<void>>();

  function keep(connectionId: string, at: number, content: () => Promise<CapturedContent>): void {
    if (storing.size >= MAX_STORING) {
      log.warn({ connection_id: connectionId }, 'proxy: call not captured, too many at a time');
      return;
    }
    const work = (async () => {
      try {
        const row = encryptCapturedCall(vault, { id: newId('cap', clock.now()), connectionId, at }, await content());
        await store.addCapturedCall(row, MAX_CALLS);
      } catch (error) {
        log.error({ err: error, connection_id: connectionId }, 'proxy: captured call could not be stored');
      }
    })();
    storing.add(work);
    void work.finally(() => storing.delete(work));
  }

  return {
    begin(connectionId, { method, host, path }) {
      if (running.size === 0) return undefined;
      const at = clock.now();
      const capture = running.get(connectionId);
      if (!capture || at < capture.startedAt || at >= capture.until) return undefined;
      const startedAt = clock.monotonic();
      const [secrets, names] = [new Set<string>(), new Set<string>()];
      const bodies = { request: createBodyCopy(), response: createBodyCopy() };
      let requestHeaders: readonly string[] = [];
      let response: UpstreamResponse | undefined;
      let attempts = 0;
      let isEnded = false;

      const content = async (durationMs: number, isComplete: boolean, code: string | null) => {
        const known = knownSecrets(secrets, names);
        return {
          ...{ method, host, path: pathTemplate(path), attempts, durationMs, error: code, isComplete },
          status: response?.status ?? null,
          request: await half(requestHeaders, bodies.request, known),
          response: response ? await half(response.headers, bodies.response, known) : null,
        };
      };

      return {
        requestBody: (body) => ({
          ...body,
          chunks: tapped(body.chunks, { chunk: (chunk) => bodies.request.add(chunk) }),
        }),
        sent(headers, served, prepared) {
          requestHeaders = headers;
          for (const secret of [served.accessToken, ...prepared.attachment.secrets]) secrets.add(secret);
          for (const name of credentialHeaders(prepared.attachment)) names.add(name);
        },
        answered(answer, made) {
          response = answer;
          attempts = made;
        },
        responseBody: (body) => copied(body, (chunk) => bodies.response.add(chunk)),
        ended(isComplete, code, made) {
          if (isEnded) return;
          isEnded = true;
          attempts = made ?? attempts;
          const duration = Math.round(clock.monotonic() - startedAt);
          // After the caller has its answer, and what it was handed over is copied.
          setImmediate(() => keep(connectionId, at, () => content(duration, isComplete, code ?? null)));
        },
      };
    },

    async reload() {
      const read = ++reads;
      const found = await store.runningCaptures(clock.now());
      if (read === reads) running = new Map(found.map((capture) => [capture.connectionId, capture]));
    },

    async stop() {
      await new Promise((resolve) => setImmediate(resolve));
      await Promise.all(storing);
    },
  };
}

async function half(headers: readonly string[], body: BodyCopy, known: Known) {
  const [type = '', coding = ''] = ['content-type', 'content-encoding'].map((name) => headerOf(headers, name));
  return { headers: redactHeaders(headers, known), body: await body.shown(type, coding, known) };
}

function copied(body: UpstreamBody, add: (chunk: Uint8Array) => void): UpstreamBody {
  return {
    pipe: (sink) =>
      body.pipe({
        write(chunk) {
          add(chunk);
          return sink.write(chunk);
        },
        end: () => sink.end(),
        fail: (error) => sink.fail(error),
      }),
    async read(maxBytes) {
      const bytes = await body.read(maxBytes);
      add(bytes);
      return bytes;
    },
    whole(maxBytes) {
      const bytes = body.whole(maxBytes);
      if (bytes !== undefined) add(bytes);
      return bytes;
    },
    resume: () => body.resume(),
    discard: () => body.discard(),
    onEnd: (listener) => body.onEnd(listener),
  };
}
