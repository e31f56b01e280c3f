// Presents what calls of a provider's API need to know, and its limits.
import type { ProviderApi, ProviderRateLimits } from '../domain/api-dialect.ts';

export const presentApi = ({ other_hosts, whoami, pagination, idempotency }: ProviderApi) => ({
  other_hosts,
  checks: whoami.map(({ method, host, path, endpoint, only, billed }) => ({
    method,
    host: host ?? null,
    path: endpoint === undefined ? path : null,
    modes: only ?? null,
    billed,
  })),
  pagination: pagination ?? null,
  idempotency: idempotency ?? null,
});

export const presentRateLimits = ({ scope, concurrency, rate, documented }: ProviderRateLimits) => ({
  scope,
  concurrency: concurrency ?? null,
  rate: rate ?? null,
  documented,
});
