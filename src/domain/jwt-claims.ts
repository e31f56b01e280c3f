// What a JWT says, without asking whether it is true.
import { isObject, type Json, parseJson } from './json.ts';

/** The claims of a JWT, unverified; undefined: it is none. */
export function claimsOf(jwt: string): Json | undefined {
  const claims = parseJson(Buffer.from(jwt.split('.')[1] ?? '', 'base64url').toString());
  return isObject(claims) ? claims : undefined;
}
