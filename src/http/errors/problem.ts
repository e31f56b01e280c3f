// Problems (RFC 9457): from a refusal or an unexpected error to the answer.
import { EXAMPLE } from '../../api/examples.ts';
import type { Fault } from '../../domain/errors.ts';
import { redactSecrets } from '../../domain/redaction.ts';
import { StoreBusyError, StoreError, VaultError } from '../../ports/index.ts';
import type { Answer } from '../answer.ts';
import { type FaultDetails, faultDetails, retryAfter, STORE_BUSY } from './fault-details.ts';
import { type Code, type OwnCode, PROBLEMS, rowOf } from './problem-table.ts';

export const problemOf = (fault: Fault, requestId: string): Answer =>
  answer(fault.code, faultDetails(fault), requestId);

/** Codes of problems that may have no more than a detail. */
export type PlainCode = OwnCode | 'invalid_request' | 'not_found';

export const problemWith = (code: PlainCode, detail: string, requestId: string): Answer =>
  answer(code, { detail }, requestId);

/** For what a use case or a handler threw: a broken store, a secret that does not open, or a defect. Says nothing of the error itself. */
export function problemOfError(error: unknown, requestId: string): Answer {
  // Not the message of the error: the caller may not be allowed to see the row that it names.
  if (error instanceof VaultError) return answer('not_authentic', PROBLEMS.not_authentic.example, requestId);
  if (!(error instanceof StoreError)) return answer('internal', PROBLEMS.internal.example, requestId);
  const details = error instanceof StoreBusyError ? { detail: STORE_BUSY } : PROBLEMS.store_unavailable.example;
  return answer('store_unavailable', { ...details, headers: retryAfter(1) }, requestId);
}

function answer(code: Code, details: FaultDetails, requestId: string): Answer {
  return {
    status: PROBLEMS[code].status,
    headers: { 'content-type': 'application/problem+json', 'cache-control': 'no-store', ...details.headers },
    body: JSON.stringify(bodyOf(code, details, requestId)),
  };
}

function bodyOf(code: Code, { detail, members }: FaultDetails, requestId: string) {
  const { status, title } = PROBLEMS[code];
  const type = `urn:valetkey:problem:${code}`;
  return { type, title, status, detail: redactSecrets(detail), code, request_id: requestId, ...members };
}

/** The body of the table's example. */
export function exampleOf(code: Code) {
  const { example } = rowOf(code);
  return bodyOf(code, 'code' in example ? faultDetails(example) : example, EXAMPLE.request);
}
