// Providers and their modes, in words.
import { type AuthMode, credentialFieldsOf, isCode, modeName } from '../../../../domain/auth-modes.ts';
import { clientNeeds, type Need } from '../../../../domain/client-needs.ts';
import type { Provider } from '../../../../domain/provider.ts';
import { listed } from '../../parts/words.ts';

const MODES: Record<AuthMode['mode'], string> = {
  oauth2_code: 'OAuth 2.0, with the consent of each owner',
  oidc: 'OpenID Connect, with the consent of each owner',
  oauth2_client_credentials: 'OAuth 2.0 client credentials, without a person',
  jwt_bearer: 'a signed assertion (JWT bearer grant)',
  self_signed_jwt: 'a JWT that the broker signs',
  api_key: 'an API key',
  basic: 'a user name and a password, or what stands for them',
  aws_sigv4: 'access keys that sign each request',
  aws_sts_assume_role: 'a role that is assumed with access keys',
};

/** What connects: `OAuth app: OAuth 2.0, with the consent of each owner`. */
export const modeWords = ({ mode, title }: AuthMode): string =>
  title === undefined ? MODES[mode] : `${title}: ${MODES[mode]}`;

export const modeOptions = ({ auth }: Provider): [value: string, word: string][] =>
  auth.map((one) => [modeName(one), modeWords(one)]);

const CLIENT = [
  ['clientId', 'client id'],
  ['clientSecret', 'client secret'],
  ['privateKey', 'private key'],
] as const;

/** What an admin has to have at hand for the first mode. */
export function needsWords(provider: Provider): string {
  const auth = provider.auth[0]!;
  const needs = clientNeeds(auth);
  const of = (need: Need) => CLIENT.filter(([name]) => needs[name] === need).map(([, word]) => word);
  const params = Object.values({ ...provider.params, ...auth.params })
    .filter(({ optional, default: given }) => !optional && given === undefined)
    .map(({ title }) => title);
  const wanted = [...of('required'), ...params];
  const credentials = Object.values(credentialFieldsOf(auth)).map(({ title }) => title);
  if (wanted.length > 0) return sentence(wanted);
  if (!isCode(auth) && credentials.length > 0) return `Nothing here; of each connection, ${listed(credentials)}`;
  return of('optional').length > 0 ? sentence(of('optional')) : 'Nothing';
}

const sentence = (words: readonly string[]): string => {
  const text = listed(words);
  return text.charAt(0).toUpperCase() + text.slice(1);
};

/** Against the live system; by the vendor; or by neither. */
export const CONFIDENCE_WORDS = {
  verified: 'verified',
  documented: 'documented',
  unverified: 'not verified',
} as const;
export const CONFIDENCE_TONES = { verified: 'good', documented: 'good', unverified: 'busy' } as const;
