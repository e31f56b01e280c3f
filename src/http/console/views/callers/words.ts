// What callers may do, in words.
import { type Action, hasAction, type Permission } from '../../../../domain/caller.ts';
import { listed } from '../../parts/words.ts';

export const ACTION_WORDS: Record<Action, string> = {
  token: 'read tokens',
  'connections:read': 'see connections',
  'connections:write': 'make connect links, import and revoke connections',
  'jwt:verify': 'verify JWTs',
  proxy: 'call APIs through the proxy',
  events: 'hear of events',
  sessions: 'make agent sessions, see and end them',
  webhooks: 'read received webhooks',
  'audit:read': 'read the audit log',
  'admin:read': 'see integrations and callers',
  admin: 'manage integrations and callers',
};

const isAll = (patterns: readonly string[]): boolean => patterns.includes('*');

/** `user_*`: the beginning is given. */
const patternsIn = (noun: string, patterns: readonly string[]): string => {
  const exact = patterns.filter((pattern) => !pattern.endsWith('*')).map((pattern) => `"${pattern}"`);
  const prefixes = patterns.filter((pattern) => pattern.endsWith('*')).map((pattern) => `"${pattern.slice(0, -1)}"`);
  const beginning = prefixes.length > 0 ? [`${noun} that begin with ${listed(prefixes, 'or')}`] : [];
  return [...(exact.length > 0 ? [listed(exact, 'or')] : []), ...beginning].join(' or ');
};

/** One permission as a sentence: `May read tokens at all integrations, for all owners.` */
export function permissionWords(permission: Permission): string {
  const {
    actions,
    integrations,
    owners,
    scopes,
    max_min_ttl: ttl,
    max_refreshes: refreshes,
    methods,
    paths,
  } = permission;
  const does = actions.includes('*')
    ? 'do everything'
    : listed(actions.map((action) => ACTION_WORDS[action as Action] ?? action));
  const limits = [
    ...(scopes === undefined || isAll(scopes) ? [] : [`with no other scopes than ${patternsIn('scopes', scopes)}`]),
    ...(methods === undefined || isAll(methods) ? [] : [`calling with ${listed(methods, 'or')} only`]),
    ...(paths === undefined || isAll(paths) ? [] : [`at ${patternsIn('paths', paths)}`]),
    ...(ttl === undefined ? [] : [`asking for at most ${ttl} seconds of lifetime`]),
    ...(refreshes === undefined
      ? []
      : [`forcing at most ${refreshes.requests} refreshes in ${refreshes.window} seconds`]),
  ];
  const where = isAll(integrations) ? 'at all integrations' : `at ${patternsIn('integrations', integrations)}`;
  const whom = isAll(owners) ? 'for all owners' : `for ${patternsIn('owners', owners)}`;
  return `May ${does}, ${where}, ${whom}${limits.length > 0 ? `; ${limits.join('; ')}` : ''}.`;
}

/** Whether it may have every token there is, or change who may. */
export const isPowerful = (permission: Permission): boolean =>
  isAll(permission.integrations) &&
  isAll(permission.owners) &&
  (hasAction(permission, 'admin') || (hasAction(permission, 'token') && permission.scopes === undefined));
