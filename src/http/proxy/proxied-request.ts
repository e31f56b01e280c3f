// A call through the proxy as it comes: which connection it is for, and what its `Valetkey-*` headers ask for.
import type { IncomingMessage } from 'node:http';
import { Label, Owner } from '../../api/common.ts';
import type { ProxiedRequest } from '../../broker/proxy/index.ts';
import { MAX_RETRIES } from '../../domain/call-retry.ts';
import { type InputIssue, type Refusal, refuse } from '../../domain/errors.ts';
import { UPSTREAM_MAX_WAIT_MS } from '../../domain/time-limits.ts';
import { percentDecoded } from '../../domain/urls.ts';

const BY_ID = /^\/v1\/connections\/([^/?#]{1,64})\/proxy(?=[/?]|$)/;
const BY_OWNER = /^\/v1\/proxy\/([^/?#]{1,64})(?=[/?]|$)/;
const CONNECTIONS = '/v1/connections/';
const PROXY = '/v1/proxy/';
const ID = /^[\w-]{1,64}$/;

/** How requests are counted. */
const ROUTES = { byId: '/v1/connections/:id/proxy/*', byOwner: '/v1/proxy/:integration/*' } as const;

/** Whether a request target is that of a proxied call. */
export function isProxied(url: string): boolean {
  if (!url.startsWith(CONNECTIONS)) return url.startsWith(PROXY);
  const at = url.indexOf('/', CONNECTIONS.length);
  return at > 0 && url.startsWith('/proxy', at) && /[/?]|^$/.test(url.charAt(at + '/proxy'.length));
}

/** The pattern of the route, for metrics. */
export const routeOf = (url: string): string => (url.startsWith(PROXY) ? ROUTES.byOwner : ROUTES.byId);

type Parsed = Pick<ProxiedRequest, 'selector' | 'target' | 'alias' | 'retries' | 'maxWaitMs' | 'isBackground'>;

/** What a call asks for, or everything that is wrong with it. */
export function parseProxied({ url = '', headers }: Pick<IncomingMessage, 'url' | 'headers'>): Parsed | Refusal {
  const issues: InputIssue[] = [];
  const read = (name: string) => {
    const value = headers[name];
    return Array.isArray(value) ? value.join(', ') : value;
  };
  const number = (name: string, max: number): number => {
    const text = read(name);
    if (text === undefined) return 0;
    if (/^\d{1,9}$/.test(text) && Number(text) <= max) return Number(text);
    issues.push({ path: name, message: `a whole number from 0 to ${max}` });
    return 0;
  };
  const decoded = (name: string): string | undefined => {
    const text = read(name);
    if (text === undefined) return undefined;
    // Of two headers of one name, the values are joined with a blank.
    const value = text.includes(' ') ? undefined : percentDecoded(text);
    if (value === undefined) issues.push({ path: name, message: 'one value, in percent-encoded UTF-8' });
    return value;
  };

  const alias = read('valetkey-host');
  if (alias !== undefined && !/^[a-z][a-z0-9_-]{0,40}$/.test(alias))
    issues.push({ path: 'valetkey-host', message: 'the alias of a host of the API, and no host' });
  const priority = read('valetkey-priority');
  if (priority !== undefined && priority !== 'background')
    issues.push({ path: 'valetkey-priority', message: 'background, or leave it out' });
  const common = {
    alias,
    retries: number('valetkey-retry', MAX_RETRIES),
    maxWaitMs: number('valetkey-max-wait', UPSTREAM_MAX_WAIT_MS / 1_000) * 1_000,
    isBackground: priority === 'background',
  };

  const byId = BY_ID.exec(url);
  if (byId) {
    const [before, id = ''] = byId;
    if (!ID.test(id)) return refuse({ code: 'not_found', what: 'connection', id: id.slice(0, 64) });
    return issues.length > 0 ? invalid(issues) : { ...common, selector: id, target: url.slice(before.length) };
  }
  const [before = '', integration = ''] = BY_OWNER.exec(url) ?? [];
  if (!/^[a-z0-9][a-z0-9_-]{0,62}$/.test(integration))
    return refuse({ code: 'not_found', what: 'integration', id: integration });
  const owner = decoded('valetkey-owner');
  const label = decoded('valetkey-label');
  if (owner === undefined && headers['valetkey-owner'] === undefined)
    issues.push({ path: 'valetkey-owner', message: 'required: the owner of the connection, percent-encoded' });
  for (const [path, schema, value] of [
    ['valetkey-owner', Owner, owner],
    ['valetkey-label', Label, label],
  ] as const) {
    const checked = value === undefined ? undefined : schema.safeParse(value);
    if (checked?.success === false) issues.push(...checked.error.issues.map(({ message }) => ({ path, message })));
  }
  if (issues.length > 0) return invalid(issues);
  return { ...common, selector: { integration, owner: owner!, label }, target: url.slice(before.length) };
}

const invalid = (issues: InputIssue[]): Refusal =>
  refuse({ code: 'invalid_request', detail: 'The headers of the request are not valid.', issues });

/** Whether a protocol is asked for that the proxy does not speak. HTTP/2 is only offered, by clients that take HTTP/1.1 as well. */
export function asksForUpgrade({ headers }: Pick<IncomingMessage, 'headers'>): boolean {
  const { upgrade } = headers;
  return (upgrade ?? 'h2c').split(',').some((one) => one.trim().toLowerCase() !== 'h2c');
}
