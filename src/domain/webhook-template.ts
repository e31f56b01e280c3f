// Templates of a webhook dialect: text with values of a request in it, such as `{header:X-Timestamp}.{body}`. Their grammar;
// src/adapters/webhooks/values.ts fills them.

/** What a value is taken from. Those of `true` have an argument: `{header:Name}`. */
const SOURCES = {
  /** The bytes as they came. In a condition and with a filter: their text. */
  body: 'optional',
  /** The public URL as called, with its query. */
  url: false,
  method: false,
  header: true,
  /** Without a name: for the filter `joined`. */
  query: 'optional',
  /** A field of a form; without a name, the form: for the filters `sorted` and `joined`. */
  form: 'optional',
  /** The JSON of one event of a batch; the whole body where there is no batch. */
  item: 'optional',
  /** The JSON of the outer list's member that has the item; where there is no outer list, of the whole body. */
  parent: true,
  /** The JSON of the whole body. */
  root: 'optional',
  /** The text of the first element of that local name, in the item, else in the body. */
  xml: true,
  /** A claim of the token that was verified. */
  claim: true,
  /** A member of a signature header that is a list of `name=value`. */
  field: true,
  /** A param of the integration. */
  params: true,
  client_id: false,
  /** In `signed`: the key. In a condition, alone: any of the configured secrets. */
  secret: false,
  /** The type of the event. */
  type: false,
} as const;

/** What is done with a value, from left to right. */
const FILTERS = {
  /** The JSON in a text; with a path, what is there. */
  json: 'optional',
  /** The text in base64 or base64url. */
  base64: false,
  /** In lower-case hex. */
  sha256: false,
  /** HMAC with the key: `hmac:sha256:hex`. */
  hmac: true,
  /** CRC-32 as a decimal number. */
  crc32: false,
  lower: false,
  /** `https://host` of a URL. */
  origin: false,
  /** The text without this end; no value, where it does not end so. */
  without: true,
  /** The text behind the last of this character, or the whole. */
  after: true,
  /** The part between slashes, from 0. */
  part: true,
  /** The name of its first member that ends so. */
  key: true,
  /** Of a form: name and value of each, by name, the distinct values of each sorted. */
  sorted: false,
  /** Of the parameters (form, or query) by name: `&name=value`, with `&` and `=` in values as `_`, without those named here. */
  joined: true,
  /** Of a URL: with the default port if it has none, without it if it has. */
  other_port: false,
  /** Of a URL: `%3A %2F %3F %40 %21 %24 %27 %28 %29 %2A %2C %3B` undone. */
  unescaped: false,
  /** Of JSON: other characters than ASCII as `\uXXXX`, and `/` as `\/`. */
  escaped: false,
} as const;

type Arity = Readonly<Record<string, boolean | 'optional'>>;
export type SourceName = keyof typeof SOURCES;
export type FilterName = keyof typeof FILTERS;

export interface Expression {
  source: SourceName;
  /** Of a header in lower case. */
  argument: string | undefined;
  filters: readonly { name: FilterName; argument: string | undefined }[];
}
/** Text as it is, and expressions. */
export type TemplatePart = string | Expression;

const EXPRESSION = /\{([a-z_0-9]+(?:[:|][^{}]*)?)\}/g;

/** The parts of a template, or what is wrong with it, in words. */
export function parseTemplate(template: string): TemplatePart[] | { issue: string } {
  const parts: TemplatePart[] = [];
  let end = 0;
  for (const found of template.matchAll(EXPRESSION)) {
    if (found.index > end) parts.push(template.slice(end, found.index));
    const expression = parseExpression(found[1]!);
    if ('issue' in expression) return expression;
    parts.push(expression);
    end = found.index + found[0].length;
  }
  if (end < template.length) parts.push(template.slice(end));
  return parts;
}

/** `header:X-Name|lower`, without braces. */
export function parseExpression(text: string): Expression | { issue: string } {
  const [head = named(''), ...rest] = text.split('|').map(named);
  const issue = [arityIssue('source', SOURCES, head), ...rest.map((one) => arityIssue('filter', FILTERS, one))].find(
    (one) => one !== undefined,
  );
  if (issue !== undefined) return { issue };
  const { name: source, argument } = head as { name: SourceName; argument: string | undefined };
  return {
    source,
    argument: source === 'header' ? argument?.toLowerCase() : argument,
    filters: rest as { name: FilterName; argument: string | undefined }[],
  };
}

function named(text: string): { name: string; argument: string | undefined } {
  const colon = text.indexOf(':');
  return colon < 0
    ? { name: text, argument: undefined }
    : { name: text.slice(0, colon), argument: text.slice(colon + 1) };
}

function arityIssue(what: string, known: Arity, { name, argument }: ReturnType<typeof named>): string | undefined {
  const arity = Object.hasOwn(known, name) ? known[name] : undefined;
  if (arity === undefined) return `there is no ${what} "${name}"; there are: ${Object.keys(known).join(', ')}`;
  if (argument === '' || (arity === true && argument === undefined)) return `"${name}" needs a name, as in ${name}:…`;
  return arity === false && argument !== undefined ? `"${name}" has no name behind a colon` : undefined;
}
