// Whether a client is who it says it is: the ways of RFC 6749 2.3 and RFC 7523, and signatures that are really verified.
import { createSecretKey, type KeyObject } from 'node:crypto';
import { decodeJwt, jwtVerify } from 'jose';
import { misfits, paramsOf, type Request, type Values } from './request.ts';
import { signatureMisfits } from './sigv4.ts';
import type { Call, ClientWay, Shape, Signed } from './vendor.ts';

export interface Checked {
  /** Empty: it is. */
  complaints: string[];
  /** Parameters that this way adds. */
  params: Shape;
}

interface Known {
  /** What the vendor calls `client_id`. */
  idName: string;
  publicKey: KeyObject;
  /** The real place of what is at the emulator. */
  unmoved: (text: string) => string;
  values: Values;
}

const NOWHERE = { region: '', service: '' };
const CLIENT_ASSERTION = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';

/** The first way that fits; when none does, what the first one lacks. */
export async function checkClient(call: Call, request: Request, known: Known): Promise<Checked> {
  const ways = [call.client ?? 'post'].flat();
  const checked = await Promise.all(ways.map((way) => checkWay(way, call, request, known)));
  return checked.find(({ complaints }) => complaints.length === 0) ?? checked[0]!;
}

async function checkWay(way: ClientWay, call: Call, request: Request, known: Known): Promise<Checked> {
  const { values, idName } = known;
  const { client_id: id = '', client_secret: secret = '' } = values;
  const given = paramsOf(request);
  const basic = basicOf(request);
  const params: Shape = {
    [idName]:
      way === 'post' || way === 'id_only' ? '{client_id}' : way === 'none' || way === 'signature' ? false : null,
    client_secret: way === 'post' ? '{client_secret}' : false,
    ...(way.endsWith('_jwt') && { client_assertion_type: CLIENT_ASSERTION, client_assertion: true }),
  };
  // What the row says of these counts more.
  for (const name of Object.keys(call.params ?? {})) delete params[name];
  const named = Object.fromEntries(Object.entries(given).filter(([name]) => Object.hasOwn(params, name)));
  const complaints = [
    ...misfits(`client (${way}):`, params, named, values),
    ...(named[idName] === undefined || named[idName] === id ? [] : [`client (${way}): another ${idName}`]),
  ];
  const says = (text: string) => complaints.push(`client (${way}): ${text}`);
  const pair = way === 'basic' || way === 'basic_raw' ? `${id}:${secret}` : `${secret}:`;
  if (way === 'basic' || way === 'basic_raw' || way === 'secret_as_username') {
    const told = way === 'basic' ? formDecoded(basic) : basic;
    if (told !== pair) says(`Basic is ${told === undefined ? 'missing' : `"${told}"`}, not "${pair}"`);
  } else if (basic !== undefined) says('there is a Basic header');
  if (way === 'signature')
    for (const fault of signatureMisfits(request.wire, { id, secret }, call.signs ?? NOWHERE)) says(fault);
  if (way.endsWith('_jwt')) {
    const key = way === 'private_key_jwt' ? known.publicKey : createSecretKey(Buffer.from(secret));
    const own = { iss: id, sub: id, aud: call.url, jti: true, ...call.clientAssertion?.claims };
    const signed = { ...call.clientAssertion, claims: own };
    for (const fault of await jwtMisfits(given.client_assertion ?? '', key, signed, known)) says(fault);
  }
  return { complaints, params };
}

function basicOf({ headers }: Request): string | undefined {
  const [, pair] = /^Basic (.+)$/.exec(headers.authorization ?? '') ?? [];
  return pair === undefined ? undefined : Buffer.from(pair, 'base64').toString();
}

/** RFC 6749 2.3.1. */
const formDecoded = (pair: string | undefined): string | undefined =>
  pair
    ?.split(':')
    .map((part) => new URLSearchParams(`x=${part}`).get('x'))
    .join(':');

/** RFC 7519 7.2: signature, times, and what the vendor wants in it. */
export async function jwtMisfits(
  jwt: string,
  key: KeyObject,
  signed: Signed,
  { unmoved, values }: Pick<Known, 'unmoved' | 'values'>,
): Promise<string[]> {
  try {
    const algorithms = [signed.alg ?? (key.type === 'secret' ? 'HS256' : 'RS256')];
    const { payload, protectedHeader } = await jwtVerify(jwt, key, { algorithms });
    const { iat, exp, ...claims } = payload;
    const longest = signed.longest ?? 3_600;
    const life = (exp ?? Number.POSITIVE_INFINITY) - (iat ?? 0);
    const { alg: _, ...header } = protectedHeader;
    return [
      ...(life > longest ? [`JWT lives ${life} s, more than ${longest}`] : []),
      ...misfits('JWT header', { typ: null, ...signed.header }, texts(header, unmoved), values),
      ...misfits('JWT claim', { iss: null, jti: null, nbf: null, ...signed.claims }, texts(claims, unmoved), values),
    ];
  } catch (error) {
    return [`JWT: ${error instanceof Error ? error.message : error} ${claimsOf(jwt)}`];
  }
}

function claimsOf(jwt: string): string {
  try {
    return JSON.stringify(decodeJwt(jwt));
  } catch {
    return '';
  }
}

const texts = (values: object, unmoved: (text: string) => string): Values =>
  Object.fromEntries(
    Object.entries(values).map(([name, value]) => [
      name,
      unmoved(typeof value === 'string' ? value : JSON.stringify(value)),
    ]),
  );
