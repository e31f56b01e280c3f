// Every column that holds a secret, for the schema of any dialect, and the queries that find what a key encrypts.
import { and, type Column, isNotNull, isNull, not, or, type SQL, sql, type Table } from 'drizzle-orm';
import type { Ciphertext } from '../../domain/connection.ts';
import type { ReauthenticatedTable, SecretRowKey } from '../../ports/index.ts';
import { startsWith } from './filters.ts';
import { macPrefixOf, prefixOf } from './reencryption.ts';

export interface SecretTable<T = Table, C = Column> {
  name: SecretRowKey['table'];
  table: T;
  id: C;
  /** The row in the encryption context of its secrets: its own, or another. */
  boundTo: C;
  /** The other values of the encryption context, in its order. */
  bound: (C | SQL)[];
  columns: Record<string, C>;
}

type With<T, C, Names extends string> = T & Record<Names, C>;

interface TablesWithSecrets<T, C> {
  integrations: With<T, C, 'id' | 'clientSecret' | 'privateKey'>;
  grants: With<T, C, 'connectionId' | 'accessToken' | 'refreshToken' | 'idToken' | 'credentials'>;
  flows: With<T, C, 'stateDigest' | 'sessionId' | 'integration' | 'verifier' | 'nonce' | 'source'>;
  candidates: With<T, C, 'sessionId' | 'receivedGrant'>;
  portalSessions: With<T, C, 'id' | 'content'>;
  pendingRevocations: With<
    T,
    C,
    'id' | 'connectionId' | 'integration' | 'owner' | 'label' | 'accessToken' | 'refreshToken' | 'credentials'
  >;
  clientRegistrations: With<T, C, 'id' | 'client'>;
  unreadableResponses: With<T, C, 'id' | 'body'>;
  capturedCalls: With<T, C, 'id' | 'connectionId' | 'content'>;
  auditSeals: With<T, C, 'id' | 'ciphertext'>;
  events: With<T, C, 'id' | 'body'>;
  webhookEndpoints: With<T, C, 'id' | 'callerId' | 'url' | 'headers' | 'secret' | 'previousSecret'>;
  deliveries: With<T, C, 'id' | 'lastResponse'>;
  receivedWebhooks: With<T, C, 'id' | 'body'>;
  receiverSettings: With<T, C, 'integration' | 'webhook' | 'signals'>;
  signingKeys: With<T, C, 'id' | 'privateKey'>;
}

type Row<T> = T extends Table ? T['$inferSelect'] : Record<never, never>;
type SecretsIn<T> = { [C in keyof Row<T>]: NonNullable<Row<T>[C]> extends Ciphertext ? C : never }[keyof Row<T>];
/** The checks of the keys are encrypted too, but each by the key that it proves. */
type TablesIn<Schema> = Exclude<
  { [T in keyof Schema]: SecretsIn<Schema[T]> extends never ? never : T }[keyof Schema],
  'keyChecks'
>;

/** What `secretTables` must return for a schema: a secret column that is missing is a type error. */
export type AllSecretsOf<Schema> = {
  [T in TablesIn<Schema>]: SecretTable & { columns: Record<SecretsIn<Schema[T]>, Column> };
};

/** `T`, `C`: table and column of the dialect. */
export function secretTables<T, C>({
  integrations,
  grants,
  flows,
  candidates,
  portalSessions,
  pendingRevocations,
  clientRegistrations,
  unreadableResponses,
  capturedCalls,
  auditSeals,
  events,
  webhookEndpoints,
  deliveries,
  receivedWebhooks,
  receiverSettings,
  signingKeys,
}: TablesWithSecrets<T, C>) {
  const { clientSecret, privateKey } = integrations;
  const { accessToken, refreshToken, idToken, credentials } = grants;
  const { verifier, nonce, source } = flows;
  const pending = pendingRevocations;
  return {
    integrations: own('integrations', integrations, integrations.id, { clientSecret, privateKey }),
    grants: {
      ...own('grants', grants, grants.connectionId, { accessToken, refreshToken, idToken, credentials }),
      bound: ['integration', 'owner', 'label'].map(ofConnection),
    },
    flows: {
      ...own('flows', flows, flows.stateDigest, { verifier, nonce, source }),
      bound: [flows.sessionId, flows.integration],
    },
    candidates: own('candidates', candidates, candidates.sessionId, { receivedGrant: candidates.receivedGrant }),
    portalSessions: own('portal_sessions', portalSessions, portalSessions.id, { content: portalSessions.content }),
    pendingRevocations: {
      ...own('outbox_revocations', pending, pending.id, {
        accessToken: pending.accessToken,
        refreshToken: pending.refreshToken,
        credentials: pending.credentials,
      }),
      boundTo: pending.connectionId,
      bound: [pending.integration, pending.owner, pending.label],
    },
    clientRegistrations: own('client_registrations', clientRegistrations, clientRegistrations.id, {
      client: clientRegistrations.client,
    }),
    unreadableResponses: own('unreadable_responses', unreadableResponses, unreadableResponses.id, {
      body: unreadableResponses.body,
    }),
    capturedCalls: {
      ...own('captured_calls', capturedCalls, capturedCalls.id, { content: capturedCalls.content }),
      bound: [capturedCalls.connectionId],
    },
    auditSeals: own('audit_seals', auditSeals, auditSeals.id, { ciphertext: auditSeals.ciphertext }),
    events: own('events', events, events.id, { body: events.body }),
    webhookEndpoints: {
      ...own('webhook_endpoints', webhookEndpoints, webhookEndpoints.id, {
        headers: webhookEndpoints.headers,
        secret: webhookEndpoints.secret,
        previousSecret: webhookEndpoints.previousSecret,
      }),
      bound: [webhookEndpoints.callerId, webhookEndpoints.url],
    },
    deliveries: own('deliveries', deliveries, deliveries.id, { lastResponse: deliveries.lastResponse }),
    receivedWebhooks: own('received_webhooks', receivedWebhooks, receivedWebhooks.id, { body: receivedWebhooks.body }),
    receiverSettings: own('receiver_settings', receiverSettings, receiverSettings.integration, {
      webhook: receiverSettings.webhook,
      signals: receiverSettings.signals,
    }),
    signingKeys: own('signing_keys', signingKeys, signingKeys.id, { privateKey: signingKeys.privateKey }),
  };

  function own<Columns>(name: SecretRowKey['table'], table: T, id: C, columns: Columns) {
    return { name, table, id, boundTo: id, bound: [] as (C | SQL)[], columns };
  }
}

/** A column of the connection that a row of `grants` belongs to. */
const ofConnection = (column: string): SQL =>
  sql`(select ${sql.raw(column)} from connections where connections.id = grants.connection_id)`;

/** The values of a `bound`, by the names that `boundIn` reads. */
export const boundColumns = <C>({ bound }: { bound: (C | SQL)[] }): Record<string, C | SQL> =>
  Object.fromEntries(bound.map((column, i) => [`bound${i}`, column]));

/** The ids of the rows that are authenticated, and their codes, by their tables. */
export const macTables = <
  T extends Record<'integrations' | 'callers' | 'callerKeys' | 'connectSessions' | 'jobs', unknown>,
>(
  schema: T,
) =>
  ({
    integrations: schema.integrations as T['integrations'],
    callers: schema.callers as T['callers'],
    caller_keys: schema.callerKeys as T['callerKeys'],
    connect_sessions: schema.connectSessions as T['connectSessions'],
    jobs: schema.jobs as T['jobs'],
  }) satisfies Record<ReauthenticatedTable, unknown>;

/** `table.column` of every secret, the checks of the keys apart. */
export const namesOf = (tables: SecretTable[]): string[] =>
  tables.flatMap(({ name, columns }) => Object.values(columns).map((column) => `${name}.${column.name}`));

/** Rows with a secret that this key does not encrypt, or not in the present form. */
export const needsReencryption = ({ columns }: SecretTable, kid: string): SQL | undefined =>
  or(...Object.values(columns).map((column) => not(startsWith(column, prefixOf(kid)))));

/** Rows without a code of this key. */
export const needsMac = (mac: Column, kid: string): SQL | undefined =>
  or(isNull(mac), not(startsWith(mac, macPrefixOf(kid))));

/**
 * Counts the secrets by key: `kid`, `secrets`, `outdated`. In one statement, a secret that moves from table to table meanwhile is
 * counted once. `position`: the dialect's function for the position of a text in another; `range`: the rows of a table, undefined: all.
 */
export function keysInUse(
  tables: SecretTable[],
  position: 'instr' | 'strpos',
  range: (table: SecretTable) => SQL | undefined = () => undefined,
): SQL {
  const kids = tables.flatMap((one) =>
    Object.values(one.columns).map(
      (column) => sql`select ${kidIn(column, position)} as kid, substr(${column}, 1, 3) as envelope
        from ${one.table} where ${and(isNotNull(column), range(one))}`,
    ),
  );
  const all = sql.join(kids, sql` union all `);
  return sql`select kid, count(*) as secrets, sum(case when envelope in ('v1.', 'v2.') then 1 else 0 end) as outdated
    from (${all}) as secrets_by_key group by kid order by kid`;
}

/** The kid in `v3.<kid>.…`, also of an earlier form, or null. Not LIKE: a kid may hold `_`, which LIKE takes for any character. */
const kidIn = (column: Column, position: 'instr' | 'strpos'): SQL => {
  const rest = sql`substr(${column}, 4, 33)`;
  const dot = sql`${sql.raw(position)}(${rest}, '.')`;
  return sql`case when substr(${column}, 1, 3) in ('v1.', 'v2.', 'v3.') and ${dot} > 1 then substr(${rest}, 1, ${dot} - 1) end`;
};
