// Captures of calls through the proxy, as a store keeps them.
import type { AuditEntry } from '../domain/audit.ts';
import type { Ciphertext } from '../domain/connection.ts';
import type { Page, PageRequest } from './rows.ts';

/** Calls of a connection are captured from `startedAt` until `until`. */
export interface Capture {
  connectionId: string;
  startedAt: number;
  until: number;
}

export interface CapturedCallRow {
  id: string;
  connectionId: string;
  /** When the call began. */
  at: number;
  /** Redacted. */
  content: Ciphertext;
}

export interface CaptureStore {
  /**
   * Starts a capture, or gives one that runs its new end. Every process learns of it (`captures`). False, and without effect:
   * the connection is revoked or absent.
   */
  startCapture(capture: Capture, audit: AuditEntry): Promise<boolean>;
  /** Ends a capture that runs. Every process learns of it. False: none does. */
  stopCapture(connectionId: string, now: number, audit: AuditEntry): Promise<boolean>;
  /** Those that have not ended at `now`. */
  runningCaptures(now: number): Promise<Capture[]>;
  /** Keeps the newest `keep` of each connection. Without effect for a call that no capture covers. */
  addCapturedCall(call: CapturedCallRow, keep: number): Promise<void>;
  /** The newest first. */
  capturedCalls(connectionId: string, page: PageRequest): Promise<Page<CapturedCallRow>>;
  /** Deletes those that began before this, and captures that ended before it, up to `limit` of each. True: there may be more. */
  deleteCapturedCalls(before: number, limit: number): Promise<boolean>;
}
