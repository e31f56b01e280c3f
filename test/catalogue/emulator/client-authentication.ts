// Verifies client authentication: RFC 6749 2.3, RFC 7523, and AWS signatures.
import { createSecretKey, type KeyObject } from 'node:crypto';
import { decodeJwt, jwtVerify } from 'jose';
import { paramFaults, paramsOf, type Request, type Values } from './request.ts';
import { signatureFaults } from './sigv4.ts';
import type { ClientAuthMethod, EndpointSpec, JwtSpec, ParamSpec } from './vendor.ts';

export interface Checked {
  /** Empty: authenticated. */
  violations: string[];
  /** Parameters of this method. */
  params: ParamSpec;
}

interface Known {
  /** What the vendor calls `client_id`. */
  idName: string;
  publicKey: KeyObject;
  /** Maps emulator URLs to the real ones. */
  fromEmulator: (text: string) => string;
  values: Values;
}

const NOWHERE = { region: '', service: '' };
const CLIENT_ASSERTION = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';

/** The first method that succeeds; when none does, the faults of the first. */
export async function checkClient(call: EndpointSpec, request: Request, known: Known): Promise<Checked> {
  const methods = [call.clientAuth ?? 'post'].flat();
  const checked = await Promise.all(methods.map((method) => checkMethod(method, call, request, known)));
  return checked.find(({ violations }) => violations.length === 0) ?? checked[0]!;
}

async function checkMethod(
  method: ClientAuthMethod,
  call: EndpointSpec,
  request: Request,
  known: Known,
): Promise<Checked> {
  const { values, idName } = known;
  const { client_id: id = '', client_secret: secret = '' } = values;
  const given = paramsOf(request);
  const basic = basicOf(request);
  const params: ParamSpec = {
    [idName]:
      method === 'post' || method === 'id_only'
        ? '{client_id}'
        : method === 'none' || method === 'signature'
          ? false
          : null,
    client_secret: method === 'post' ? '{client_secret}' : false,
    ...(method.endsWith('_jwt') && { client_assertion_type: CLIENT_ASSERTION, client_assertion: true }),
  };
  // The row overrides these.
  for (const name of Object.keys(call.params ?? {})) delete params[name];
  const named = Object.fromEntries(Object.entries(given).filter(([name]) => Object.hasOwn(params, name)));
  const violations = [
    ...paramFaults(`client (${method}):`, params, named, values),
    ...(named[idName] === undefined || named[idName] === id ? [] : [`client (${method}): another ${idName}`]),
  ];
  const report = (text: string) => violations.push(`client (${method}): ${text}`);
  const pair = method === 'basic' || method === 'basic_raw' ? `${id}:${secret}` : `${secret}:`;
  if (method === 'basic' || method === 'basic_raw' || method === 'secret_as_username') {
    const actual = method === 'basic' ? formDecoded(basic) : basic;
    if (actual !== pair) report(`Basic is ${actual === undefined ? 'missing' : `"${actual}"`}, not "${pair}"`);
  } else if (basic !== undefined) report('there is a Basic header');
  if (method === 'signature')
    for (const fault of signatureFaults(request.wire, { id, secret }, call.signatureScope ?? NOWHERE)) report(fault);
  if (method.endsWith('_jwt')) {
    const key = method === 'private_key_jwt' ? known.publicKey : createSecretKey(Buffer.from(secret));
    const own = { iss: id, sub: id, aud: call.url, jti: true, ...call.clientAssertion?.claims };
    const signed = { ...call.clientAssertion, claims: own };
    for (const fault of await jwtFaults(given.client_assertion ?? '', key, signed, known)) report(fault);
  }
  return { violations, params };
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

/** RFC 7519 7.2: verifies signature, times, and the vendor's claims. */
export async function jwtFaults(
  jwt: string,
  key: KeyObject,
  signed: JwtSpec,
  { fromEmulator, values }: Pick<Known, 'fromEmulator' | 'values'>,
): Promise<string[]> {
  try {
    const algorithms = [signed.alg ?? (key.type === 'secret' ? 'HS256' : 'RS256')];
    const { payload, protectedHeader } = await jwtVerify(jwt, key, { algorithms });
    const { iat, exp, ...claims } = payload;
    const longest = signed.maxLifetime ?? 3_600;
    const life = (exp ?? Number.POSITIVE_INFINITY) - (iat ?? 0);
    const { alg: _, ...header } = protectedHeader;
    return [
      ...(life > longest ? [`JWT lives ${life} s, more than ${longest}`] : []),
      ...paramFaults('JWT header', { typ: null, ...signed.header }, texts(header, fromEmulator), values),
      ...paramFaults(
        'JWT claim',
        { iss: null, jti: null, nbf: null, ...signed.claims },
        texts(claims, fromEmulator),
        values,
      ),
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

const texts = (values: object, fromEmulator: (text: string) => string): Values =>
  Object.fromEntries(
    Object.entries(values).map(([name, value]) => [
      name,
      fromEmulator(typeof value === 'string' ? value : JSON.stringify(value)),
    ]),
  );
