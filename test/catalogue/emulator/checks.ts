// Finds the check that a request is.
import { fillTemplate, type Request, type Values } from './request.ts';
import type { Row, VendorCheck } from './vendor.ts';

/** Undefined: it is none. */
export const findCheck = (
  checks: readonly VendorCheck[],
  { mode }: Row,
  request: Request,
  values: Values,
): VendorCheck | undefined =>
  checks.find(
    ({ modes, url, method = 'GET', params = {} }) =>
      (modes === undefined || modes.includes(mode)) &&
      request.method === method &&
      [url].flat().some((one) => matches(request, fillTemplate(one, values))) &&
      Object.entries(params).every(([name, value]) => (request.fields[name] ?? request.query[name]) === value),
  );

/** `*` stands for anything but a slash, `**` for anything. */
function matches({ url, query }: Request, pattern: string): boolean {
  const [path = '', wanted = ''] = pattern.split('?');
  const source = path
    .replace(/[.+^${}()|[\]\\]/g, '\\$&')
    .replace(/\*+/g, (stars) => (stars.length > 1 ? '.+' : '[^/]+'));
  return (
    new RegExp(`^${source}$`).test(url) &&
    [...new URLSearchParams(wanted)].every(([name, value]) => query[name] === value)
  );
}
