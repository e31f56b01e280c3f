// `may_act` of a subject token (RFC 8693 4.4): who may act for the user.

/** Who acts: an actor token, or the client. */
export interface Party {
  /** Of its token. Undefined: a caller of ours, whose id no issuer gives to anyone else. */
  issuer: string | undefined;
  claims: Readonly<Record<string, unknown>>;
}

/**
 * Whether every member of `may_act` is a claim of the party. A `sub` alone is one of the subject token's issuer, since
 * subjects are unique at their issuer only. What identifies no one allows no one.
 */
export function identifies(mayAct: unknown, { issuer, claims }: Party, issuerOfSubject: string): boolean {
  if (typeof mayAct !== 'object' || mayAct === null || Array.isArray(mayAct)) return false;
  const members = Object.entries(mayAct);
  if (!members.some(([name]) => name === 'sub' || name === 'client_id')) return false;
  if (!Object.hasOwn(mayAct, 'iss') && issuer !== undefined && issuer !== issuerOfSubject) return false;
  return members.every(
    ([name, value]) => typeof value === 'string' && Object.hasOwn(claims, name) && claims[name] === value,
  );
}
