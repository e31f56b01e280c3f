// A curl command for an operation, made of its examples.
import { type Description, type Media, type Operation, resolved } from '../document.ts';
import { asJson } from './markup.ts';

/** The reader sets `VALETKEY_URL` and `VALETKEY_KEY`. */
export function curlOf(document: Description, method: string, path: string, operation: Operation): string {
  const { parameters = [], requestBody, security } = operation;
  const example = (name: string) => parameters.find((one) => one.name === name)?.example;
  const filled = path.replace(/\{(\w+)\}/g, (hole, name) => String(example(name) ?? hole));
  const asked = parameters.filter((one) => one.in === 'query' && one.required);
  const query = new URLSearchParams(
    asked.map(({ name, example }): [string, string] => [name, String(example ?? '…')]),
  ).toString();
  const { 'application/json': json, [FORM]: form } = requestBody?.content ?? {};
  const body = firstExample(document, json);
  const fields = Object.entries((firstExample(document, form) ?? {}) as Record<string, string>);
  const lines = [
    `curl${method === 'get' ? '' : ` -X ${method.toUpperCase()}`} "$VALETKEY_URL${filled}${query && `?${query}`}"`,
    ...(security.length > 0 ? ['-H "Authorization: Bearer $VALETKEY_KEY"'] : []),
    ...(body === undefined ? [] : ["-H 'Content-Type: application/json'", `-d ${quoted(asJson(body))}`]),
    ...fields.map(([name, value]) => `--data-urlencode ${quoted(`${name}=${value}`)}`),
  ];
  return lines.join(' \\\n  ');
}

const FORM = 'application/x-www-form-urlencoded';

const quoted = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;

function firstExample(document: Description, media: Media | undefined): unknown {
  const [first] = Object.values(media?.examples ?? {});
  return first && resolved(document, first).value;
}
