// Whether a workload binding identifies a workload: one that every token of an issuer fits would let every service of a
// platform, and often every customer of it, act as the caller.
import type { InputIssue } from './errors.ts';

/**
 * Claims that say nothing of who the workload is: of the token itself, or of a run that anyone can start. They may narrow a
 * binding, with any prefix.
 */
const NOT_IDENTIFYING = new Set([
  // RFC 7519 4.1, OpenID Connect Core 2, RFC 9068 2.2, and what providers add to each token.
  ...[
    'iss',
    'aud',
    'exp',
    'nbf',
    'iat',
    'jti',
    'typ',
    'ver',
    'auth_time',
    'acr',
    'amr',
    'nonce',
    'sid',
    'at_hash',
    'c_hash',
  ],
  ...['token_use', 'tid', 'rh', 'uti', 'aio', 'idp', 'idtyp', 'azpacr', 'appidacr', 'gty', 'email_verified'],
  // CI systems (GitHub, GitLab, and others): every repository has them.
  ...['environment', 'environment_protected', 'environment_action', 'deployment_tier', 'event_name', 'pipeline_source'],
  ...[
    'ref',
    'ref_type',
    'ref_path',
    'ref_protected',
    'base_ref',
    'head_ref',
    'sha',
    'workflow',
    'workflow_sha',
    'branch',
  ],
  ...['run_id', 'run_number', 'run_attempt', 'runner_environment', 'repository_visibility', 'project_visibility'],
  // A workflow or configuration that others may run too, and who has started a run: in any repository, which need not be theirs.
  ...['job_workflow_ref', 'job_workflow_sha', 'ci_config_ref_uri', 'ci_config_sha', 'actor', 'actor_id'],
  ...['user_login', 'user_email', 'user_access_level', 'user_identities', 'groups_direct'],
  // What was asked for, and what people say of themselves (RFC 9068 2.2.3, OpenID Connect Core 5.1).
  ...['scope', 'scp', 'allowed-origins', 'hd', 'locale', 'zoneinfo', 'updated_at', 'gender', 'birthdate'],
  ...['name', 'given_name', 'family_name', 'middle_name', 'nickname', 'profile', 'picture', 'website'],
]);

/** Where a name ends: what follows cannot lengthen it. */
const DELIMITER = /[:/|#,;=]$/;

/** What stands before a name, and says only of what kind it is. */
const KIND =
  '(?:system|serviceaccount|repo|repository|repository_owner|repository_id|project_path|project|organization|org|owner|team|' +
  'workspace|account|arn|client|service|user|ns|namespace|group|tenant|urn|node|principal|principalset)';

/** What the subjects of a whole platform begin with, before the first name. */
const OF_WHOLE_PLATFORMS = [
  /^[:/|#,;=]*$/,
  // The kind of an account, before its id.
  /^[\w-]+\|$/,
  new RegExp(`^${KIND}[:|#,;=][:/|#,;=]*$`, 'i'),
  /^org\/+$/i,
  /^system:[\w-]+:+$/i,
  // Partition, service and region, before the account.
  /^arn:(?:[\w-]*:){0,3}$/i,
  // A host, or what `spiffe://example.org/ns/` fits: every workload of the trust domain.
  new RegExp(`^[a-z][a-z0-9+.-]*:\\/\\/[^/]*\\/*(?:${KIND}s?[:/]+)?$`, 'i'),
];
/** In other claims, what is before the first slash is a name. */
const OF_ALL_SUBJECTS = new RegExp(`^${KIND}s?\\/+$`, 'i');

/** Whether it names nothing but the platform, or a host. */
const tooWide = (claim: string, prefix: string, issuer: string): boolean =>
  OF_WHOLE_PLATFORMS.some((wide) => wide.test(prefix)) ||
  (claim === 'sub' && OF_ALL_SUBJECTS.test(prefix)) ||
  prefix === `${issuer}/`;

/** Of one binding, with paths below it. Empty: it identifies a workload. */
export function bindingIssues({ issuer, claims }: { issuer: string; claims: Record<string, string> }): InputIssue[] {
  const issues: InputIssue[] = [];
  let identifies = false;
  for (const [name, pattern] of Object.entries(claims)) {
    if (NOT_IDENTIFYING.has(name) || ['*', 'true', 'false'].includes(pattern)) continue;
    const prefix = pattern.endsWith('*') ? pattern.slice(0, -1) : undefined;
    if (prefix === undefined) identifies = true;
    else if (!DELIMITER.test(prefix)) {
      const message = `"${pattern}" ends in the middle of a name, and fits every longer name too: give the whole value, or end the prefix at a delimiter (: / | # , ; =)`;
      issues.push({ path: `claims.${name}`, message });
    } else if (!tooWide(name, prefix, issuer)) identifies = true;
  }
  if (identifies || issues.length > 0) return issues;
  const named = Object.keys(claims).join(', ');
  const message = `fits the tokens of many workloads of the issuer: ${named} alone ${Object.keys(claims).length === 1 ? 'does' : 'do'} not say which one it is. Name the claim that identifies it, such as "sub", in full or by a prefix that names the repository, namespace or account`;
  return [{ path: 'claims', message }];
}
