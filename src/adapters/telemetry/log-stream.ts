// Writes the log to stdout or stderr, whatever becomes of it: a full disk below it, or a reader that has gone, ends no process
// and holds none up.
import { write, writeSync } from 'node:fs';
import { LOG_EXIT_WAIT_MS, LOG_PIPE_RETRY_MS, LOG_REFUSED_RETRY_MS } from '../../domain/time-limits.ts';

/** Kept while they cannot be written; what comes beyond that is dropped. */
const MAX_WAITING_BYTES = 8 * 1_024 * 1_024;

export interface LogStream {
  /** One system call, if the stream takes it whole. Never throws. */
  write(text: string): void;
  /** At the end of the process: writes what waits, as far as the stream takes it. */
  flushSync(): void;
}

export function openLogStream(fd: number): LogStream {
  let waiting: Buffer[] = [];
  let bytes = 0;
  let isWriting = false;
  /** The operating system has the first part already, and writes it also while the process ends. */
  let isUnderWay = false;
  /** No one reads it any more (EPIPE). */
  let isClosed = false;

  function written(count: number): void {
    const [head] = waiting;
    bytes -= count;
    if (head && count < head.length) waiting[0] = head.subarray(count);
    else waiting.shift();
  }

  function close(): void {
    isClosed = true;
    waiting = [];
    bytes = 0;
  }

  function writeNext(): void {
    const [head] = waiting;
    isWriting = head !== undefined;
    if (!head) return;
    isUnderWay = true;
    write(fd, head, (error, count) => {
      isUnderWay = false;
      if (!error) {
        written(count);
        writeNext();
      } else if (error.code === 'EPIPE') close();
      else if (isFull(error)) setTimeout(writeNext, LOG_PIPE_RETRY_MS);
      // Does not keep the process alive: the disk may stay full.
      else setTimeout(writeNext, LOG_REFUSED_RETRY_MS).unref();
    });
  }

  return {
    write(text) {
      const part = Buffer.from(text);
      if (isClosed || bytes + part.length > MAX_WAITING_BYTES) return;
      waiting.push(part);
      bytes += part.length;
      if (!isWriting) writeNext();
    },
    flushSync() {
      const until = performance.now() + LOG_EXIT_WAIT_MS;
      if (isUnderWay) waiting.shift();
      while (waiting.length > 0) {
        try {
          written(writeSync(fd, waiting[0]!));
        } catch (error) {
          if (!isFull(error as NodeJS.ErrnoException) || performance.now() > until) return;
          Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, LOG_PIPE_RETRY_MS);
        }
      }
    },
  };
}

/** A pipe whose reader is slow. */
const isFull = ({ code }: NodeJS.ErrnoException): boolean => code === 'EAGAIN' || code === 'EBUSY';
