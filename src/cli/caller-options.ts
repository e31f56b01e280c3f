// What options say of a caller: its grants, its workloads, its rate.
import type { Command } from 'commander';
import type { Json } from './broker.ts';
import { misused } from './failure.ts';
import { given, jsonObject, pairs, several, wholeNumber } from './options.ts';

export interface CallerOptions {
  action?: string[];
  integration?: string[];
  owner?: string[];
  scope?: string[];
  maxMinTtl?: number;
  grant?: string[];
  workloadIssuer?: string;
  workloadAudience?: string;
  workloadClaim?: Record<string, string>;
  rateLimit?: string;
}

export const callerOptions = (command: Command): Command =>
  command
    .option('--action <action>', 'token, connections:read, connections:write, jwt:verify, proxy, admin or *', several)
    .option('--integration <pattern>', 'an id, a prefix* or *, which it is unless given; several times', several)
    .option('--owner <pattern>', 'an owner, a prefix* or *, which it is unless given; several times', several)
    .option('--scope <pattern>', 'only tokens within these scopes; several times', several)
    .option('--max-min-ttl <seconds>', 'the most life that it may ask of a token', wholeNumber)
    .option('--grant <json>', 'a whole grant; several times', several)
    .option('--workload-issuer <url>', 'a workload of this issuer is this caller, without a key')
    .option('--workload-audience <audience>', 'that its tokens name')
    .option('--workload-claim <name=value>', 'that its tokens hold; several times', pairs)
    .option('--rate-limit <requests/seconds>', 'such as 100/60');

/** Those of the options; one of `--action` and its kin, and each `--grant`. */
export function grantsOf({ action, integration, owner, scope, maxMinTtl, grant = [] }: CallerOptions): Json[] {
  const parts = given({ integrations: integration, owners: owner, scopes: scope, max_min_ttl: maxMinTtl });
  if (action === undefined && Object.keys(parts).length > 0)
    throw misused('a grant needs at least one --action (--grant gives a whole one as JSON)');
  const composed = action ? [{ actions: action, integrations: ['*'], owners: ['*'], ...parts }] : [];
  return [...composed, ...grant.map((text) => jsonObject(text, '--grant'))];
}

/** Undefined: none is named. */
export function workloadsOf(options: CallerOptions): Json[] | undefined {
  const { workloadIssuer: issuer, workloadAudience: audience, workloadClaim: claims } = options;
  if ((issuer ?? audience ?? claims) === undefined) return undefined;
  if (issuer === undefined || audience === undefined || claims === undefined)
    throw misused('a workload needs --workload-issuer, --workload-audience and at least one --workload-claim');
  return [{ issuer, audience, claims }];
}

export function rateLimitOf({ rateLimit }: CallerOptions): Json | undefined {
  if (rateLimit === undefined) return undefined;
  const [, requests, window] = /^(\d{1,9})\/(\d{1,9})$/.exec(rateLimit) ?? [];
  if (window === undefined) throw misused('--rate-limit is REQUESTS/SECONDS, such as 100/60');
  return { requests: Number(requests), window: Number(window) };
}

/** `token,connections:read on acme of user_*`, for people. */
export const grantsInWords = (grants: unknown): string =>
  (grants as Record<string, string[]>[])
    .map(({ actions = [], integrations = [], owners = [] }) =>
      [actions.join(','), 'on', integrations.join(','), 'of', owners.join(',')].join(' '),
    )
    .join('; ');
