// What a change of an integration or a caller changes, field by field.
import { isDeepStrictEqual } from 'node:util';
import type { Caller, CallerKey } from '../../domain/caller.ts';
import type { Integration } from '../../domain/integration.ts';
import type { IntegrationSettings } from '../../ports/index.ts';
import { type Difference, diff } from './diff.ts';

/** Of a secret, only what happens to it. */
export type FieldChange = Difference | { path: string; secret: 'set' | 'changed' | 'removed' };

export const integrationChanges = (before: Integration | undefined, after: IntegrationSettings): FieldChange[] => [
  ...diff(before && describeIntegration(before), describeIntegration(after)),
  ...namedScopesChange(before, after),
  ...secretChange('client_secret', before?.clientSecret, after.clientSecret),
  ...secretChange('private_key', before?.privateKey, after.privateKey),
];

/** The names of the fields, for the audit log: what they were and are is not for all who may read it. */
export const changedNames = (changes: readonly FieldChange[]): string[] => changes.map(({ path }) => path);

/** `keys` undefined: they stay as they are. */
export const callerChanges = (
  before: { caller: Caller; keys: CallerKey[] } | undefined,
  after: Caller,
  keys: CallerKey[] | undefined,
): FieldChange[] => [
  ...diff(before && describeCaller(before.caller), describeCaller(after)),
  ...(keys ? keyChanges(before?.keys ?? [], keys) : []),
];

/** The same scopes, which are now named, or are no longer named but the provider's defaults. */
function namedScopesChange(before: Integration | undefined, after: IntegrationSettings): FieldChange[] {
  if (!before || !isDeepStrictEqual(before.scopes, after.scopes)) return [];
  return diff({ scopes_named: before.scopesNamed ?? false }, { scopes_named: after.scopesNamed ?? false });
}

/** By the names of the API, without secrets. */
const describeIntegration = (i: Integration | IntegrationSettings) => ({
  provider: i.provider,
  client_id: i.clientId,
  key_id: i.keyId,
  certificate: i.certificate,
  scopes: i.scopes,
  params: i.params,
  overrides: i.overrides,
  return_origins: i.returnOrigins,
  // False is as good as not set.
  require_finish: i.requireFinish || null,
  rate: i.rate,
  theme: i.theme,
});

const describeCaller = ({ name, permissions: grants, workloads, rateLimit, maxSessionTtl, audiences }: Caller) => ({
  name,
  grants,
  workloads: workloads.map(({ id: _, maxAge, ...workload }) => ({ ...workload, max_age: maxAge })),
  rate_limit: rateLimit,
  max_session_ttl: maxSessionTtl,
  audiences,
});

/** `after`: undefined keeps the stored secret, null removes it. */
function secretChange(
  path: string,
  before: string | null | undefined,
  after: string | null | undefined,
): FieldChange[] {
  const had = before !== undefined && before !== null;
  if (after === undefined || (after === null && !had)) return [];
  return [{ path, secret: after === null ? 'removed' : had ? 'changed' : 'set' }];
}

/** A key is named by its prefix, as in lists of keys. */
function keyChanges(before: CallerKey[], after: CallerKey[]): FieldChange[] {
  const has = (keys: CallerKey[], { digest }: CallerKey) => keys.some((key) => key.digest === digest);
  return [
    ...before
      .filter((key) => !has(after, key))
      .map(({ prefix }) => ({ path: `keys.${prefix}`, secret: 'removed' as const })),
    ...before
      .filter((key) => has(after, key) && key.expiresAt !== null)
      .map(({ prefix, expiresAt }) => ({
        path: `keys.${prefix}.expires_at`,
        before: new Date(expiresAt!).toISOString(),
        after: null,
      })),
    ...after
      .filter((key) => !has(before, key))
      .map(({ prefix }) => ({ path: `keys.${prefix}`, secret: 'set' as const })),
  ];
}
