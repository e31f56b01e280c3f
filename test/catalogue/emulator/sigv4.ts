// AWS Signature Version 4: signs the test's requests, and verifies the broker's.
import { createHash, createHmac } from 'node:crypto';

/** A raw request, which the signature covers. */
export interface Wire {
  method: string;
  host: string;
  path: string;
  query: string;
  headers: Record<string, string>;
  body: string;
}

export interface Scope {
  region: string;
  service: string;
}
interface Keys {
  id: string;
  secret: string;
  /** Of temporary keys. */
  token?: string | undefined;
}

const ALGORITHM = 'AWS4-HMAC-SHA256';
const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');
const hmac = (key: string | Buffer, text: string): Buffer => createHmac('sha256', key).update(text).digest();

function signature(wire: Wire, names: string[], secret: string, moment: string, { region, service }: Scope): string {
  const day = moment.slice(0, 8);
  const all: Record<string, string> = { ...wire.headers, host: wire.host };
  const query = [...new URLSearchParams(wire.query)]
    .map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`)
    .sort()
    .join('&');
  const headers = names.map((name) => `${name}:${(all[name] ?? '').trim()}\n`).join('');
  const request = [wire.method, wire.path, query, headers, names.join(';'), sha256(wire.body)].join('\n');
  const text = [ALGORITHM, moment, `${day}/${region}/${service}/aws4_request`, sha256(request)].join('\n');
  const key = [day, region, service, 'aws4_request'].reduce<string | Buffer>(hmac, `AWS4${secret}`);
  return hmac(key, text).toString('hex');
}

/** The headers to add. */
export function signRequest(wire: Wire, { id, secret, token }: Keys, scope: Scope): Record<string, string> {
  const moment = new Date().toISOString().replace(/[:-]|\.\d{3}/g, '');
  const own = { 'x-amz-date': moment, ...(token !== undefined && { 'x-amz-security-token': token }) };
  const names = ['host', ...Object.keys(own)].sort();
  const mac = signature({ ...wire, headers: own }, names, secret, moment, scope);
  const credential = `${id}/${moment.slice(0, 8)}/${scope.region}/${scope.service}/aws4_request`;
  return {
    ...own,
    authorization: `${ALGORITHM} Credential=${credential}, SignedHeaders=${names.join(';')}, Signature=${mac}`,
  };
}

/** Faults in words; empty when it is signed with these keys, for this scope, within 15 minutes. */
export function signatureFaults(wire: Wire, keys: Keys | undefined, scope: Scope): string[] {
  const authorizationPattern =
    /^AWS4-HMAC-SHA256 Credential=([^,]+), ?SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})$/;
  const [, credential = '', names = '', mac] = authorizationPattern.exec(wire.headers.authorization ?? '') ?? [];
  if (mac === undefined) return [`no ${ALGORITHM} signature (authorization: ${wire.headers.authorization ?? 'none'})`];
  if (!keys) return ['signed with keys that are not known, or dead'];
  const moment = wire.headers['x-amz-date'] ?? '';
  const expected = `${keys.id}/${moment.slice(0, 8)}/${scope.region}/${scope.service}/aws4_request`;
  const at = Date.parse(moment.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3T$4:$5:$6Z'));
  const signedHeaders = names.split(';');
  return [
    ...(credential === expected ? [] : [`the credential is ${credential}, not ${expected}`]),
    ...(Math.abs(Date.now() - at) < 900_000 ? [] : [`signed at another time: ${moment}`]),
    ...(wire.headers['x-amz-security-token'] === keys.token ? [] : ['another session token']),
    ...['host', 'x-amz-date'].flatMap((name) => (signedHeaders.includes(name) ? [] : [`${name} is not signed`])),
    ...(mac === signature(wire, signedHeaders, keys.secret, moment, scope) ? [] : ['the signature is another']),
  ];
}
