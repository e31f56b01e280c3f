// The parameters of a PostgreSQL URL. Apart from what opens it, so that they are known before a driver is loaded.

/** Our own: how many connections there are, and whether statements are prepared. */
export const OWN_PARAMETERS: readonly string[] = ['pool', 'prepare'];

export const TLS_PARAMETERS: readonly string[] = [
  'ssl',
  'sslmode',
  'sslrootcert',
  'sslcert',
  'sslkey',
  'sslnegotiation',
];

/** Those that `pg` reads, besides those of TLS. */
const PG_PARAMETERS: readonly string[] = [
  'host',
  'port',
  'user',
  'password',
  'options',
  'application_name',
  'fallback_application_name',
  'client_encoding',
  'statement_timeout',
  'lock_timeout',
  'idle_in_transaction_session_timeout',
  'query_timeout',
  'replication',
  'uselibpqcompat',
];

export const PARAMETERS: readonly string[] = [...OWN_PARAMETERS, ...TLS_PARAMETERS, ...PG_PARAMETERS];

/** Whether a PostgreSQL URL has a parameter that nothing reads. It may be meant for another tool that has the URL too. */
export const hasUnknownParameter = (url: string): boolean =>
  /^postgres(ql)?:/.test(url) &&
  [...(URL.parse(url)?.searchParams.keys() ?? [])].some((name) => !PARAMETERS.includes(name));
