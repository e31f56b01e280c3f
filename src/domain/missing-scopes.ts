// Which of the scopes that an integration asks for its connection was not granted: the owner has declined them, or the integration
// asks for them since.

/** Of the protocol itself (OpenID Connect Core 3.1.2.1, 5.4, 11): providers grant them without listing them, or under other names. */
const NOT_LISTED: ReadonlySet<string> = new Set(['openid', 'profile', 'email', 'offline_access']);

/** Nothing is known to be missing where it is not known what was granted. */
export const missingScopes = (requested: readonly string[], granted: readonly string[]): string[] =>
  granted.length === 0 ? [] : requested.filter((scope) => !NOT_LISTED.has(scope) && !granted.includes(scope));
