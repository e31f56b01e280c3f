// Captures of the calls of a connection: an admin starts them, ends them, and reads what they captured.
import { Refusal, refuse } from '../../../domain/errors.ts';
import { CAPTURE_MAX_MS } from '../../../domain/time-limits.ts';
import type { Capture, Clock, Logger, Page, PageRequest, Store, Vault } from '../../../ports/index.ts';
import type { Access, Call } from '../../audit/index.ts';
import { type CapturedCall, decryptCapturedCall } from './captured-calls.ts';
import type { Recorder } from './recorder.ts';

/** Each takes `admin` for the connection. Rejects with `StoreError`. */
export interface CallCaptures {
  /** On every replica when it resolves, of those that can be reached. One that runs gets the new end. */
  start(call: Call, id: string, ms: number): Promise<Capture | Refusal>;
  /** Nothing if none runs. */
  stop(call: Call, id: string): Promise<Refusal | undefined>;
  /** The one that runs; null: none does. */
  running(call: Call, id: string): Promise<Capture | null | Refusal>;
  /** The newest first. */
  list(call: Call, id: string, page: PageRequest): Promise<Page<CapturedCall> | Refusal>;
}

export interface CallCapturesParts {
  store: Pick<Store, 'connection' | 'startCapture' | 'stopCapture' | 'runningCaptures' | 'capturedCalls'>;
  vault: Pick<Vault, 'decrypt'>;
  /** Waits for the other replicas. */
  untilApplied: () => Promise<unknown>;
  access: Pick<Access, 'denied' | 'record' | 'noteRead'>;
  clock: Pick<Clock, 'now'>;
  log: Logger;
}

interface Parts extends CallCapturesParts {
  recorder: Pick<Recorder, 'reload'>;
}

export function createCallCaptures({ store, vault, recorder, untilApplied, access, clock, log }: Parts): CallCaptures {
  async function subjectOf(call: Call, id: string) {
    const connection = await store.connection(id);
    if (!connection) return refuse({ code: 'not_found', what: 'connection', id });
    const { integration, owner } = connection;
    return access.denied(call, 'admin', integration, owner, id) ?? { integration, owner, connectionId: id };
  }

  async function applied(): Promise<void> {
    await recorder.reload();
    await untilApplied();
  }

  return {
    async start(call, id, ms) {
      const subject = await subjectOf(call, id);
      if (subject instanceof Refusal) return subject;
      const now = clock.now();
      const capture = { connectionId: id, startedAt: now, until: now + Math.min(ms, CAPTURE_MAX_MS) };
      const detail = new Date(capture.until).toISOString();
      const by = access.record(call, 'connection.capture_started', { ...subject, detail });
      if (!(await store.startCapture(capture, by))) return refuse({ code: 'connection_revoked', connection_id: id });
      await applied();
      return capture;
    },

    async stop(call, id) {
      const subject = await subjectOf(call, id);
      if (subject instanceof Refusal) return subject;
      const by = access.record(call, 'connection.capture_stopped', subject);
      if (await store.stopCapture(id, clock.now(), by)) await applied();
      return undefined;
    },

    async running(call, id) {
      const subject = await subjectOf(call, id);
      if (subject instanceof Refusal) return subject;
      return (await store.runningCaptures(clock.now())).find(({ connectionId }) => connectionId === id) ?? null;
    },

    async list(call, id, page) {
      const subject = await subjectOf(call, id);
      if (subject instanceof Refusal) return subject;
      access.noteRead(call, 'connection.captures_read', subject);
      const { data, next } = await store.capturedCalls(id, page);
      const calls = data.flatMap((row) => {
        try {
          return [decryptCapturedCall(vault, row)];
        } catch (error) {
          log.error({ err: error, connection_id: id, call: row.id }, 'captured call cannot be decrypted');
          return [];
        }
      });
      return { data: calls, next };
    },
  };
}
