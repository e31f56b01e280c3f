// Which bucket a call counts against: by the scope that the catalogue names, or an admin.
import { createHash } from 'node:crypto';
import type { LimitScope, ProviderRateLimits } from '../../../domain/api-dialect.ts';
import type { UpstreamLimitScope } from '../../../domain/errors.ts';
import type { Integration, UpstreamRateScope } from '../../../domain/integration.ts';

/** Whose call it is, and where it goes. */
export interface LimitPlace {
  integration: Pick<Integration, 'id' | 'rate'>;
  /** Of the provider; undefined: the catalogue says nothing of its limits. */
  limits: ProviderRateLimits | undefined;
  connectionId: string;
  /** What was captured, and the parameters of the connection. */
  captured: Readonly<Record<string, unknown>>;
  caller: string;
}

export interface BucketName {
  /** In memory and in the store: bounded, and without what was captured. */
  key: string;
  scope: UpstreamLimitScope;
  integration: string;
  /** The connection or caller that it counts; null: many, or what was captured. */
  of: string | null;
}

/** Of the entry's scope. A tenant that was not captured is not known: then each connection counts alone. */
export function bucketName({ integration, connectionId, captured }: LimitPlace, scope: LimitScope): BucketName {
  const { id } = integration;
  if (scope === 'integration') return { key: `api/${id}`, scope, integration: id, of: null };
  if (typeof scope === 'object') {
    const value = Object.hasOwn(captured, scope.captured) ? captured[scope.captured] : undefined;
    if ((typeof value === 'string' && value !== '') || typeof value === 'number')
      return {
        key: `api/${id}/of/${digestOf(`${scope.captured}\n${value}`)}`,
        scope: 'captured',
        integration: id,
        of: null,
      };
  }
  return { key: `api/${id}/con/${connectionId}`, scope: 'connection', integration: id, of: connectionId };
}

/** Of a rate that an admin has set. */
export function rateName({ integration, connectionId, caller }: LimitPlace, per: UpstreamRateScope): BucketName {
  const names = { integration: '', connection: `/con/${connectionId}`, caller: `/caller/${caller}` };
  const of = { integration: null, connection: connectionId, caller }[per];
  return { key: `rate/${integration.id}${names[per]}`, scope: per, integration: integration.id, of };
}

/** What is captured comes from the provider: it may be of any length, and mean something. */
const digestOf = (text: string): string => createHash('sha256').update(text).digest('base64url').slice(0, 22);
