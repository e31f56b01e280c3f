// The options that describe a caller: grants, workload identity, rate limit.
import type { Command } from 'commander';
import type { Json } from './broker.ts';
import { misused } from './failure.ts';
import { given, jsonObject, pairs, secondsOf, several, wholeNumber } from './options.ts';

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
  workloadMaxAge?: number;
  rateLimit?: string;
  maxSessionTtl?: number;
  audience?: string[];
}

export const callerOptions = (command: Command): Command =>
  command
    .option(
      '--action <action>',
      'grant this action: token, connections:read, connections:write, jwt:verify, proxy, events, sessions, webhooks, audit:read, admin:read, admin or *; repeatable',
      several,
    )
    .option('--integration <pattern>', 'at this integration: an id, a prefix* or *; default *; repeatable', several)
    .option('--owner <pattern>', 'for this owner: an id, a prefix* or *; default *; repeatable', several)
    .option('--scope <pattern>', 'only tokens within these scopes; repeatable', several)
    .option('--max-min-ttl <seconds>', 'the largest min_ttl that it may request', wholeNumber)
    .option('--grant <json>', 'a whole grant as JSON; repeatable', several)
    .option('--workload-issuer <url>', 'authenticate the caller by tokens of this issuer, without a key')
    .option('--workload-audience <audience>', 'the audience of these tokens')
    .option('--workload-claim <name=value>', 'a claim of these tokens; repeatable', pairs)
    .option('--workload-max-age <seconds>', 'how old these tokens may be at most', wholeNumber)
    .option('--rate-limit <requests/seconds>', 'limit of requests per seconds, such as 100/60')
    .option('--max-session-ttl <duration>', 'the longest that its sessions may last, such as 15m', secondsOf)
    .option('--audience <audience>', 'its sessions may have JWTs for this audience; repeatable', several);

/** One grant from `--action` and the options that go with it, and one from each `--grant`. */
export function grantsOf({ action, integration, owner, scope, maxMinTtl, grant = [] }: CallerOptions): Json[] {
  const parts = given({ integrations: integration, owners: owner, scopes: scope, max_min_ttl: maxMinTtl });
  if (action === undefined && Object.keys(parts).length > 0)
    throw misused('a grant needs at least one --action (or give a whole grant as JSON with --grant)');
  const composed = action ? [{ actions: action, integrations: ['*'], owners: ['*'], ...parts }] : [];
  return [...composed, ...grant.map((text) => jsonObject(text, '--grant'))];
}

/** Undefined: no workload option is given. */
export function workloadsOf(options: CallerOptions): Json[] | undefined {
  const { workloadIssuer: issuer, workloadAudience: audience, workloadClaim: claims, workloadMaxAge } = options;
  if ((issuer ?? audience ?? claims ?? workloadMaxAge) === undefined) return undefined;
  if (issuer === undefined || audience === undefined || claims === undefined)
    throw misused('a workload identity needs --workload-issuer, --workload-audience and at least one --workload-claim');
  return [{ issuer, audience, claims, ...given({ max_age: workloadMaxAge }) }];
}

export function rateLimitOf({ rateLimit }: CallerOptions): Json | undefined {
  if (rateLimit === undefined) return undefined;
  const [, requests, window] = /^(\d{1,9})\/(\d{1,9})$/.exec(rateLimit) ?? [];
  if (window === undefined) throw misused('--rate-limit must be REQUESTS/SECONDS, such as 100/60');
  return { requests: Number(requests), window: Number(window) };
}

/** A summary for people: `token,connections:read on acme of user_*`. */
export const grantsInWords = (grants: unknown): string =>
  (grants as Record<string, string[]>[])
    .map(({ actions = [], integrations = [], owners = [] }) =>
      [actions.join(','), 'on', integrations.join(','), 'of', owners.join(',')].join(' '),
    )
    .join('; ');
