// Explains an entry's API in words: what it may be called at, how a token is checked, and its limits.

import type { LimitScope, ProviderApi, ProviderRateLimits } from '../domain/api-dialect.ts';
import type { Provider } from '../domain/provider.ts';

/** One line per fact; none when the entry says nothing. */
export function explainApi({ api, rate_limits: limits }: Provider): string[] {
  const lines = [...describeApi(api), ...(limits ? describeLimits(limits) : [])];
  return lines.length === 0 ? [] : ['', 'Calls of the API', ...lines.map((line) => `  ${line}`)];
}

function describeApi({ other_hosts: hosts, whoami, pagination, idempotency }: ProviderApi): string[] {
  return [
    ...Object.entries(hosts).map(([alias, url]) => `Host ${alias}: ${url}`),
    ...whoami.map(({ method, path, host, endpoint, only, billed }, at) => {
      const call = endpoint ?? `${path || 'the base URL'}${host === undefined ? '' : ` at ${host}`}`;
      // The first one that fits the mode, the scopes and what was captured is called.
      const others = at > 0 ? ' where none before it fits' : '';
      const modes = only === undefined ? others : ` (${only.join(', ')})`;
      return `A check calls ${method} ${call}${modes}${billed ? ', which is charged for' : ''}.`;
    }),
    ...(pagination ? [`Lists go on by ${PAGES[pagination.style]}.`] : []),
    ...(idempotency ? [`Repeated requests are safe with ${idempotencyOf(idempotency)}.`] : []),
  ];
}

const PAGES: Record<NonNullable<ProviderApi['pagination']>['style'], string> = {
  next_url: 'the URL of the next page',
  link_header: 'the Link header',
  cursor: 'a cursor',
  page: 'the number of the page',
  offset: 'how many items to pass over',
  continue_call: 'a call of their own',
  relay: 'GraphQL cursors',
  by_caller: 'what the caller puts into the request',
};

const idempotencyOf = ({ header, body, query }: NonNullable<ProviderApi['idempotency']>): string =>
  header !== undefined
    ? `the header ${header}`
    : body !== undefined
      ? `the member ${body} of the body`
      : `the query parameter ${query}`;

function describeLimits({ scope, concurrency, rate, documented }: ProviderRateLimits): string[] {
  return [
    `Its limits are counted for ${scopeOf(scope)}.`,
    ...(rate ? [`Limit: ${rate.requests} requests in ${rate.window} seconds.`] : []),
    ...(concurrency === undefined ? [] : [`Limit: ${concurrency} requests at once.`]),
    ...documented.map((one) => `- ${one}`),
  ];
}

/** Also a column of docs/catalogue.md. */
export const scopeOf = (scope: LimitScope): string =>
  typeof scope === 'object'
    ? `all connections with the same ${scope.captured}`
    : { integration: 'the whole integration', connection: 'each connection' }[scope];
