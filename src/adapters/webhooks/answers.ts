// What a sender is answered, by the data of its endpoint.
import type { WebhookAnswerData } from '../../domain/webhook-dialect.ts';
import type { WebhookAnswer } from '../../ports/webhook-verifier.ts';
import { fillAll, type Scope } from './values.ts';

/** What is echoed. */
const MAX_TEXT = 4_096;
const HEADER_VALUE = /^[\x20-\x7e]{1,1024}$/;

/** Undefined: what it should hold is missing. Never HTML: what is echoed comes from anybody. */
export function answerOf({ status, headers, text, json }: WebhookAnswerData, scope: Scope): WebhookAnswer | undefined {
  const own = Object.fromEntries(
    Object.entries(headers).flatMap(([name, template]) => {
      const value = one(template, scope);
      return value !== undefined && HEADER_VALUE.test(value) ? [[name.toLowerCase(), value]] : [];
    }),
  );
  if (json !== undefined) {
    const members = Object.entries(json).map(([name, template]) => [name, one(template, scope)] as const);
    if (members.some(([, value]) => value === undefined)) return undefined;
    return {
      status,
      headers: { ...typed('application/json'), ...own },
      body: JSON.stringify(Object.fromEntries(members)),
    };
  }
  if (text === undefined) return { status, headers: own, body: null };
  const body = one(text, scope);
  return body === undefined ? undefined : { status, headers: { ...typed('text/plain; charset=utf-8'), ...own }, body };
}

const typed = (type: string) => ({ 'content-type': type, 'x-content-type-options': 'nosniff' });

function one(template: string, scope: Scope): string | undefined {
  const [text, ...others] = fillAll(template, scope);
  return text !== undefined && others.length === 0 && text.length <= MAX_TEXT ? text : undefined;
}
