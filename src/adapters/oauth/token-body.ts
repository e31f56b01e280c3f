// Parses the text of a token response, whatever the content type says.
import type { TokenMode } from '../../domain/auth-modes.ts';
import { isObject, type Json, parseJson } from '../../domain/json.ts';
import { firstAt } from '../../domain/json-path.ts';
import type { WholeResponse } from '../outbound/outbound.ts';

/** Of a form, which has a few. Each takes a microsecond. */
const MAX_FIELDS = 10_000;

/** JSON, or a form. What follows the JSON of a success counts for nothing. Undefined: it is neither. */
export function parseTokenBody(
  { ok, content, isPartial }: Pick<WholeResponse, 'ok' | 'content' | 'isPartial'>,
  dialect: Pick<TokenMode['token_answer'], 'access_token'>,
): Json | unknown[] | undefined {
  const json = jsonOf(content);
  if (json !== undefined) return isObject(json) || Array.isArray(json) ? json : undefined;
  const first = ok ? jsonOf(firstValue(content)) : undefined;
  if (isObject(first) || Array.isArray(first)) return first;
  // The last value may have been cut.
  if (isPartial || content.split('&', MAX_FIELDS).length === MAX_FIELDS) return undefined;
  const pairs = Object.fromEntries(new URLSearchParams(content));
  return firstAt(pairs, dialect.access_token) !== undefined || pairs.error !== undefined ? pairs : undefined;
}

/** Undefined: it is not JSON. */
function jsonOf(content: string): unknown {
  const value = parseJson(content);
  // Some gateways encode the JSON of the server behind them once more.
  return typeof value === 'string' ? parseJson(value) : value;
}

/** The object or list that a text begins with, up to its end: a gateway may append a page, or the same once more. */
function firstValue(content: string): string {
  let depth = 0;
  let isText = false;
  for (let i = 0; i < content.length; i++) {
    const character = content[i]!;
    if (isText) {
      if (character === '\\') i++;
      isText = character !== '"';
    } else if (character === '"') isText = true;
    else if (character === '{' || character === '[') depth++;
    else if ((character === '}' || character === ']') && --depth <= 0) return content.slice(0, i + 1);
  }
  return '';
}
