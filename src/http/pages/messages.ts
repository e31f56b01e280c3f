// The error pages, by error code: the status of each, and its texts for owners, who did nothing wrong and cannot fix much.
import type { BrowserError } from '../../broker/connections/index.ts';
import { en, type Texts, worded } from './texts/index.ts';

/** 400 and above: an error never looks like success. */
type RefusalStatus = 400 | 403 | 404 | 409 | 410 | 500 | 502 | 503;

export interface BrowserMessage {
  status: RefusalStatus;
  title: string;
  message: string;
  advice: string;
}

export type BrowserCode = keyof Texts['refusals'];

const STATUS = {
  invalid_state: 400,
  other_browser: 403,
  invitation_used: 410,
  invitation_expired: 410,
  invitation_cancelled: 410,
  access_denied: 403,
  provider_error: 502,
  provider_unavailable: 503,
  invalid_answer: 502,
  identity_mismatch: 409,
  account_unknown: 409,
  integration_misconfigured: 502,
  connection_gone: 410,
  not_found: 404,
  not_a_navigation: 403,
  invalid_form: 400,
  portal_ended: 410,
  unavailable: 503,
  internal: 500,
  other: 400,
} as const satisfies Record<BrowserCode, RefusalStatus> & Record<BrowserError, RefusalStatus>;

/** The texts for a code; for an unknown one, texts that fit any. */
export function browserMessage(code: string, texts: Texts = en, providerName?: string): BrowserMessage {
  const known = Object.hasOwn(STATUS, code) ? (code as BrowserCode) : 'other';
  const { title, message, advice } = texts.refusals[known];
  const named = (text: string) => worded(text, { provider: providerName ?? texts.theOtherService });
  return { status: STATUS[known], title: named(title), message: named(message), advice: named(advice) };
}
