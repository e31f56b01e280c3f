// Security events (RFC 8417) of the RISC, CAEP, OAuth and SSF profiles: what they are about, and what is to be done.

import { memberOf } from './json.ts';
import { isTooDeep } from './json-depth.ts';

/** What an event has done to connections. */
export type SignalEffect =
  /** The grant whose refresh token it names, or all grants of the account, have ended. */
  | 'end'
  /** The account is suspended. */
  | 'hold'
  | 'release'
  /** What is stored may not work any more: a refresh tells. */
  | 'refresh'
  /** The account is gone for good. */
  | 'destroy'
  /** It concerns no grant: callers are told. */
  | 'tell'
  /** Of the stream itself. */
  | 'stream';

const OPENID = 'https://schemas.openid.net/secevent/';
const EFFECTS: ReadonlyMap<string, SignalEffect> = new Map<string, SignalEffect>([
  [`${OPENID}oauth/event-type/token-revoked`, 'end'],
  [`${OPENID}oauth/event-type/tokens-revoked`, 'end'],
  [`${OPENID}risc/event-type/account-disabled`, 'hold'],
  [`${OPENID}risc/event-type/account-enabled`, 'release'],
  [`${OPENID}risc/event-type/account-credential-change-required`, 'refresh'],
  [`${OPENID}risc/event-type/account-purged`, 'destroy'],
  [`${OPENID}risc/event-type/sessions-revoked`, 'tell'],
  [`${OPENID}risc/event-type/verification`, 'stream'],
  [`${OPENID}caep/event-type/session-revoked`, 'tell'],
  [`${OPENID}caep/event-type/credential-change`, 'refresh'],
  [`${OPENID}ssf/event-type/verification`, 'stream'],
  [`${OPENID}ssf/event-type/stream-updated`, 'stream'],
]);

/** Of a type that is not known, callers are told. */
export const effectOf = (type: string): SignalEffect => EFFECTS.get(type) ?? 'tell';

const SESSIONS_REVOKED: ReadonlySet<string> = new Set([
  `${OPENID}risc/event-type/sessions-revoked`,
  `${OPENID}caep/event-type/session-revoked`,
]);

/** Whether what acts for the owner has to stop: the account is suspended, gone or signed out, or its grants have ended. */
export const endsAgentSessions = (type: string): boolean =>
  ['end', 'hold', 'destroy'].includes(effectOf(type)) || SESSIONS_REVOKED.has(type) || type === LOGOUT_EVENT;

/** The last part of a known type, for metrics. */
export const shortTypeOf = (type: string): string =>
  EFFECTS.has(type) ? type.slice(type.lastIndexOf('/') + 1) : type === LOGOUT_EVENT ? 'backchannel-logout' : 'other';

/** OpenID Connect Back-Channel Logout 2.4. */
export const LOGOUT_EVENT = 'http://schemas.openid.net/event/backchannel-logout';

/** Only a refresh token can be named by a digest of it. */
export type TokenIdentifier = 'prefix' | 'hash_base64_sha512_sha512';

export type EventSubject =
  | { kind: 'identity'; issuer: string; subject: string }
  | { kind: 'token'; identifiedBy: TokenIdentifier; token: string }
  /** Nothing that a connection could be found by: an e-mail address, a tenant, a device. */
  | { kind: 'other' };

export interface SecurityEvent {
  type: string;
  subject: EventSubject;
  /** Milliseconds since the epoch. */
  at: number;
  /** Of a verification: what was sent when it was asked for. Of an updated stream: its status. */
  note: string | null;
}

type Claims = Readonly<Record<string, unknown>>;

const textOf = (value: unknown): string | undefined => (typeof value === 'string' && value !== '' ? value : undefined);
const seconds = (value: unknown): number | undefined =>
  typeof value === 'number' && Number.isFinite(value) && value >= 0 ? value : undefined;

/** The events of a SET whose claims are verified. Never throws. */
export function eventsOf(claims: Claims): SecurityEvent[] {
  const events = memberOf(claims, 'events');
  return Object.entries((typeof events === 'object' && events) || {}).map(([type, event]) => ({
    type,
    // RISC of the first draft has it in the event (`subject_type`), SSF 1.0 at the top (RFC 9493).
    subject: subjectOf(memberOf(claims, 'sub_id') ?? memberOf(event, 'subject')),
    at:
      (seconds(memberOf(event, 'event_timestamp')) ??
        seconds(memberOf(claims, 'toe')) ??
        seconds(memberOf(claims, 'iat')) ??
        0) * 1_000,
    note: (textOf(memberOf(event, 'state')) ?? textOf(memberOf(event, 'status')) ?? null)?.slice(0, 200) ?? null,
  }));
}

/** RFC 9493, and the subject types of the first RISC draft. A complex subject names its user. */
function subjectOf(subject: unknown): EventSubject {
  const format = (textOf(memberOf(subject, 'format')) ?? textOf(memberOf(subject, 'subject_type')) ?? '').replaceAll(
    '-',
    '_',
  );
  if (format === 'oauth_token') return tokenOf(subject);
  if (format === 'complex' || (format === '' && memberOf(subject, 'user') !== undefined))
    return subjectOf(memberOf(subject, 'user'));
  if (format !== 'iss_sub' && format !== 'id_token_claims') return { kind: 'other' };
  const issuer = textOf(memberOf(subject, 'iss'));
  const sub = textOf(memberOf(subject, 'sub'));
  return issuer === undefined || sub === undefined ? { kind: 'other' } : { kind: 'identity', issuer, subject: sub };
}

function tokenOf(subject: unknown): EventSubject {
  const identifiedBy = textOf(memberOf(subject, 'token_identifier_alg'));
  const token = textOf(memberOf(subject, 'token'));
  if (memberOf(subject, 'token_type') !== 'refresh_token' || token === undefined) return { kind: 'other' };
  if (identifiedBy === 'prefix') return { kind: 'token', identifiedBy, token };
  if (identifiedBy !== 'hash_base64_sha512_sha512') return { kind: 'other' };
  return { kind: 'token', identifiedBy, token: plainBase64(token) };
}

/** Without padding, of which there are two characters at most, in the ordinary alphabet: senders differ. */
export const plainBase64 = (text: string): string =>
  text
    .replaceAll('-', '+')
    .replaceAll('_', '/')
    .replace(/={1,2}$/, '');

/** The claims as they are shown and handed on: without what identifies a token. */
export function shownClaims(claims: Claims): Record<string, unknown> {
  return JSON.parse(
    JSON.stringify(claims, function (this: unknown, name, value: unknown) {
      return name === 'token' && memberOf(this, 'token_identifier_alg') !== undefined ? undefined : value;
    }),
  ) as Record<string, unknown>;
}

export interface SetExpectations {
  /** The `iss`, to the letter. */
  issuer: string;
  /** One of these is in `aud`. */
  audiences: readonly string[];
  /** SSF: `typ` is `secevent+jwt`, there is one event, and neither `sub` nor `exp`. */
  isTyped: boolean;
}

export type SetFault =
  /** RFC 8935 2.4. */
  'invalid_request' | 'invalid_key' | 'invalid_issuer' | 'invalid_audience';

export interface SetRefusal {
  fault: SetFault;
  description: string;
}

const invalid = (description: string, fault: SetFault = 'invalid_request'): SetRefusal => ({ fault, description });

const mediaType = (typ: unknown): string | undefined =>
  typeof typ === 'string' ? typ.toLowerCase().replace(/^application\//, '') : typ === undefined ? '' : undefined;

/** Identifiers are kept. */
const MAX_JTI = 512;

/**
 * What is wrong with the claims of a SET whose signature is verified (RFC 8417 2.2, 4; SSF 1.0 4.1). `exp` is never checked:
 * an event is history. `now`, `tolerance`: seconds.
 */
export function findSetFault(
  header: Claims,
  claims: Claims,
  { audiences, isTyped }: SetExpectations,
  now: number,
  tolerance: number,
): SetRefusal | undefined {
  const type = mediaType(memberOf(header, 'typ'));
  if (type === undefined || !(isTyped ? ['secevent+jwt'] : ['', 'jwt', 'secevent+jwt']).includes(type))
    return invalid('the typ of the token is not secevent+jwt');
  const events = memberOf(claims, 'events');
  if (typeof events !== 'object' || events === null || Array.isArray(events)) return invalid('it has no events');
  const all = Object.entries(events);
  if (all.length === 0 || all.length > MAX_EVENTS || (isTyped && all.length !== 1))
    return invalid('it has not one event');
  if (all.some(([, event]) => typeof event !== 'object' || event === null || Array.isArray(event)))
    return invalid('an event is not an object');
  // A logout token has a receiver of its own; what has a nonce could be an ID token.
  if (Object.hasOwn(events, LOGOUT_EVENT)) return invalid('a logout token is not a security event token');
  if (memberOf(claims, 'nonce') !== undefined) return invalid('it has a nonce');
  if (isTooDeep(claims)) return invalid('it nests too deeply');
  if (isTyped && (memberOf(claims, 'exp') !== undefined || memberOf(claims, 'sub') !== undefined))
    return invalid('it has exp or sub, which a security event token must not have');
  const jti = textOf(memberOf(claims, 'jti'));
  if (jti === undefined || jti.length > MAX_JTI) return invalid('it has no usable jti');
  const iat = seconds(memberOf(claims, 'iat'));
  if (iat === undefined || iat > now + tolerance) return invalid('its iat is missing or in the future');
  const named = [memberOf(claims, 'aud')].flat();
  if (!named.every((aud) => typeof aud === 'string') || !named.some((aud) => audiences.includes(aud as string)))
    return invalid('it is for another audience', 'invalid_audience');
  return undefined;
}

/** In one token, where several are allowed. */
const MAX_EVENTS = 10;
