// The log (pino): one JSON object a line, without secrets.
import { type LoggerOptions, pino } from 'pino';
import { visibleJson } from '../../domain/visible-text.ts';
import type { Logger } from '../../ports/index.ts';
import { openLogStream } from './log-stream.ts';

/** Members that could carry a secret when a library's object, or a careless caller, puts them into a field. */
const REDACTED = new Set([
  'access_token',
  'refresh_token',
  'id_token',
  'client_secret',
  'code',
  'code_verifier',
  'key',
  'password',
  'authorization',
  'cookie',
  'token',
]);

/** Levels of nesting that are written; deeper values are left out. */
const MAX_DEPTH = 4;

export interface FlushableLogger extends Logger {
  /** Writes its lines now, for a line that someone waits for: what else the turn of the event loop has to do may take long. */
  flush(): void;
}

/**
 * `level`: a pino level. `to`: stdout, or stderr (2) where stdout carries a command's answer. `worker`: which of several processes
 * that write to the same stream, for a member of each line.
 */
export function createLogger(level: string, to: 1 | 2 = 1, worker?: number): FlushableLogger {
  const options: LoggerOptions = {
    level,
    base: worker === undefined ? null : { worker },
    timestamp: timestamps(),
    formatters: { level: (label) => ({ level: label }), log: redacted },
    // `redacted` has serialized the error already; pino's own serializer would add members to it.
    serializers: { err: (error: unknown) => error },
  };
  return pino(options, batchedDestination(to, worker === undefined ? Number.POSITIVE_INFINITY : ATOMIC_BYTES));
}

/** The member for the time of a line, as pino wants it. Lines of one millisecond share the text: many are of one, in a storm of refreshes. */
function timestamps(): () => string {
  let at = Number.NaN;
  let member = '';
  return () => {
    const now = Date.now();
    if (now !== at) member = `,"time":"${new Date(now).toISOString()}"`;
    at = now;
    return member;
  };
}

/** What a pipe takes as a whole, while others write to it (`PIPE_BUF` of Linux; POSIX has 512). */
const ATOMIC_BYTES = 4_096;

/**
 * Writes the lines of one turn of the event loop with one system call, when that turn or the process ends. A busy broker
 * logs many lines a turn, and a write for each costs as much as a database statement. `most`: bytes of one write, unless one line
 * has more.
 */
function batchedDestination(to: 1 | 2, most: number): { write(line: string): void; flush(): void } {
  const file = openLogStream(to);
  let buffer = '';
  let exitHandled = false;
  const flush = () => {
    if (buffer !== '') for (const part of partsOf(buffer, most)) file.write(part);
    buffer = '';
  };
  const flushAtExit = () => {
    flush();
    file.flushSync();
  };
  return {
    flush,
    write(line) {
      if (!exitHandled) process.once('exit', flushAtExit);
      exitHandled = true;
      if (buffer === '') setImmediate(flush);
      buffer += visibleJson(line);
    },
  };
}

/** Whole lines together, as many as have `most` bytes; a longer line alone. */
export function partsOf(lines: string, most: number): string[] {
  if (Buffer.byteLength(lines) <= most) return [lines];
  const parts: string[] = [];
  let part = '';
  for (const line of lines.split(/(?<=\n)/)) {
    if (part !== '' && Buffer.byteLength(part) + Buffer.byteLength(line) > most) {
      parts.push(part);
      part = '';
    }
    part += line;
  }
  return [...parts, part];
}

/** Top-level names are chosen by our own calls, so `code` is allowed there. Most lines are flat and pass unchanged. */
function redacted(fields: Record<string, unknown>): Record<string, unknown> {
  for (const name in fields)
    if (typeof fields[name] === 'object') return mapped(fields, (value) => serialized(value, 1));
  return fields;
}

function serialized(value: unknown, depth: number): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (value instanceof Error) return serializedError(value);
  if (depth > MAX_DEPTH) return '[…]';
  if (Array.isArray(value)) return value.map((item) => serialized(item, depth + 1));
  return mapped(value, (inner, name) => (REDACTED.has(name) ? '[redacted]' : serialized(inner, depth + 1)));
}

const mapped = (record: object, map: (value: unknown, name: string) => unknown): Record<string, unknown> =>
  Object.fromEntries(Object.entries(record).map(([name, value]) => [name, map(value, name)]));

/** Name, message, code and stack of an error and its causes. Other members are dropped: libraries keep bodies there. */
function serializedError(error: unknown): unknown {
  if (!(error instanceof Error)) return { message: String(error) };
  const { name, message, stack, cause } = error;
  const code = 'code' in error ? error.code : undefined;
  return { name, message, code, stack, ...(cause !== undefined && { cause: serializedError(cause) }) };
}
