// Whether an answer is a limit: by its status, or by what it says besides.
import type { LimitSignal, ProviderRateLimits } from './api-dialect.ts';
import { parseJson } from './json.ts';
import { at, firstAt } from './json-path.ts';
import type { HeaderFields } from './limit-values.ts';

/** What of an answer signals are looked for in. */
export interface SignalledAnswer {
  status: number;
  headers: HeaderFields;
  body: AnswerBody;
  /** It says when to try again. */
  hasRetryAfter: boolean;
  /** It says that nothing remains. */
  isExhausted: boolean;
}

/** A body, as far as it was read. */
export interface AnswerBody {
  /** Empty: none, or not read. */
  text: string;
  /** Parsed when it is first asked for; undefined: it is no JSON. */
  json(): unknown;
}

/** 429 is a limit everywhere. */
export const TOO_MANY_REQUESTS = 429;

export function answerBody(text: string): AnswerBody {
  let parsed: { value: unknown } | undefined;
  return {
    text,
    json() {
      parsed ??= { value: parseJson(text) };
      return parsed.value;
    },
  };
}

const isLimitStatus = (dialect: ProviderRateLimits | undefined, status: number): boolean =>
  status === TOO_MANY_REQUESTS || (dialect?.status.includes(status) ?? false);

export const isLimit = (dialect: ProviderRateLimits | undefined, answer: SignalledAnswer): boolean =>
  isLimitStatus(dialect, answer.status) || (dialect?.signals.some((signal) => holds(signal, answer)) ?? false);

/** Whether the body of such an answer may say that it is a limit, or how long to wait. */
export const bodyTells = (dialect: ProviderRateLimits | undefined, status: number): boolean =>
  dialect !== undefined &&
  ((dialect.body_wait !== undefined && isLimitStatus(dialect, status)) ||
    dialect.signals.some((signal) => signal.status.includes(status) && readsBody(signal)));

const readsBody = ({ code, contains }: LimitSignal): boolean =>
  contains !== undefined || code?.body !== undefined || code?.xml !== undefined;

function holds(signal: LimitSignal, { status, headers, body, hasRetryAfter, isExhausted }: SignalledAnswer): boolean {
  if (!signal.status.includes(status)) return false;
  if (signal.retry_after && !hasRetryAfter) return false;
  if (signal.exhausted && !isExhausted) return false;
  if (signal.code && !codesOf(signal.code, headers, body).some((code) => isOneOf(signal.code!.in, code))) return false;
  if (!signal.contains) return true;
  const text = body.text.toLowerCase();
  return signal.contains.some((part) => text.includes(part));
}

function codesOf(
  { header, body: paths, xml }: NonNullable<LimitSignal['code']>,
  headers: HeaderFields,
  body: AnswerBody,
): unknown[] {
  const inHeader = header === undefined ? [] : headers.lines(header);
  const found = paths === undefined ? undefined : firstAt(body.json(), paths);
  // A path with `[]` has the value of each.
  const inBody = Array.isArray(found) ? found : [found];
  return [...inHeader, ...inBody, ...(xml === undefined ? [] : [elementOf(body.text, xml)])];
}

function isOneOf(codes: readonly (string | number)[], code: unknown): boolean {
  if (typeof code !== 'string' && typeof code !== 'number') return false;
  const text = String(code);
  const name = text
    .replace(/^[^#]*#/, '')
    .replace(/:.*$/s, '')
    .trim();
  return codes.some((one) => String(one) === text || String(one) === name);
}

/** The text of the first element of this name. */
function elementOf(text: string, name: string): string | undefined {
  const opened = text.indexOf(`<${name}>`);
  if (opened < 0) return undefined;
  const begin = opened + name.length + 2;
  const end = text.indexOf('<', begin);
  return end < 0 ? undefined : text.slice(begin, end);
}

/** How long the body says to wait, in ms. */
export function bodyWaitMs(wait: ProviderRateLimits['body_wait'], body: AnswerBody): number | undefined {
  if (!wait || body.text === '') return undefined;
  const number = (path: string) => {
    const value = at(body.json(), path);
    const parsed = typeof value === 'string' && value.trim() !== '' ? Number(value) : value;
    return typeof parsed === 'number' && Number.isFinite(parsed) && parsed >= 0 ? parsed : undefined;
  };
  if ('path' in wait) {
    if (wait.unit === 'duration') return durationMs(at(body.json(), wait.path));
    const value = number(wait.path);
    return value === undefined ? undefined : value * (wait.unit === 'ms' ? 1 : 1_000);
  }
  const [needed, available, perSecond] = [number(wait.needed), number(wait.available), number(wait.per_second)];
  if (needed === undefined || available === undefined || !perSecond) return undefined;
  return (Math.max(0, needed - available) / perSecond) * 1_000;
}

/** `3.5s`, as Protocol Buffers write durations in JSON. A path with `[]` has several: the longest. */
function durationMs(value: unknown): number | undefined {
  const waits = (Array.isArray(value) ? value : [value]).flatMap((one) => {
    const [, seconds] = typeof one === 'string' ? (/^(\d{1,12}(?:\.\d{1,9})?)s$/.exec(one) ?? []) : [];
    return seconds === undefined ? [] : [Number(seconds) * 1_000];
  });
  return waits.length === 0 ? undefined : Math.max(...waits);
}
