// What an error response says that has no `error` member: its message in one of the usual members, or a line of plain text.
import { parseJson } from '../../domain/json.ts';
import { firstAt } from '../../domain/json-path.ts';
import { text } from './json-paths.ts';

const MESSAGES = [
  'error_description',
  'message',
  'error_message',
  'errorMessage',
  'detail',
  'title',
  'reason',
  'errors[0].message',
  'errors[0].detail',
  'errors[0]',
  '[0].message',
];
const MAX_LENGTH = 300;
/** Of JSON. Longer ones have been parsed once already, for their error. */
const MAX_BODY = 64 * 1_024;

/** Undefined: nothing that can be shown in one line, such as a page. `body` is the text of the response. */
export function unstructuredError(body: string): string | undefined {
  const said = messageOf(body)?.trim();
  return said === undefined || said === '' || /^[<{[]/.test(said) ? undefined : said.slice(0, MAX_LENGTH);
}

function messageOf(body: string): string | undefined {
  const value = body.length > MAX_BODY ? undefined : parseJson(body);
  if (value === undefined) return body.length <= MAX_LENGTH ? body : undefined;
  return typeof value === 'string' ? value : text(firstAt(value, MESSAGES));
}
