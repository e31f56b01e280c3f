// The description of a vendor's webhook, from its documentation: how it is signed, and what it says. The suite
// (test/catalogue/webhooks.test.ts) sends it, then with one thing changed after the other.
import { createHash, createHmac, createPublicKey, generateKeyPairSync, sign } from 'node:crypto';
import { createCertificate, pem } from '../../support/certificate.ts';

export interface SentWebhook {
  method?: string;
  /** The URL as called, where it has more than the given one. */
  url?: string;
  headers: Record<string, string>;
  body: string;
}

export type TextEncoding = 'hex' | 'base64' | 'base64url';

/** What a vendor signs with. The suite replaces the key and the algorithm. */
export interface Sending {
  url: string;
  /** Of the request. */
  at: Date;
  /** Whole seconds since the epoch, as text. */
  seconds: string;
  /** As the vendor has it: text, or a private key. */
  key: string;
  hmac(text: string, encoding: TextEncoding, hash?: 'sha1' | 'sha256', keyEncoding?: 'utf8' | 'hex' | 'base64'): string;
  /** Of an asymmetric key. `hash` is null for Ed25519. */
  sign(text: string, encoding: TextEncoding, hash: 'sha256' | null): string;
  hash(text: string): string;
}

/** What may be changed. `header:…`: it is removed, and replaced. */
export type Covered = 'body' | 'url' | 'time' | 'key' | 'algorithm' | `header:${string}`;

export interface VendorWebhook {
  name: string;
  /** What the admin configures; the first is what signs. */
  secrets?: string[];
  /** Where the vendor signs with the client secret. */
  clientSecret?: string;
  clientId?: string;
  /** The vendor's signing key, and another one, where it is not the configured text. */
  keys?: { own: string; other: string };
  hook?: true;
  /** It is called by the URL with this path and query. */
  send(sending: Sending): SentWebhook;
  /** What is refused when it is changed: `body`, `key` and `algorithm`, unless this says otherwise. */
  covers?: Covered[];
  /** Of the first event. `locator`: one of those that are looked for, as `key=value`. */
  event?: {
    count?: number;
    id?: string | null;
    type?: string | null;
    locator?: string;
    deauthorization?: boolean;
    hold?: 'hold' | 'release';
  };
  /** It is a handshake, with this answer. */
  handshake?: {
    status?: number;
    body?: string | null;
    header?: [string, string];
    /** The key that it brings. */
    learns?: string;
    /** Its answer is signed. */
    needsKey?: true;
  };
  answer?: { status?: number; body?: string };
  isAuthenticated?: boolean;
}

export const otherHash = { sha1: 'sha256', sha256: 'sha512' } as const;

export function sendingOf(url: string, at: Date, key: string, isOtherAlgorithm = false): Sending {
  return {
    ...{ url, at, key, seconds: String(Math.floor(at.getTime() / 1_000)) },
    hmac: (text, encoding, hash = 'sha256', keyEncoding = 'utf8') =>
      createHmac(isOtherAlgorithm ? otherHash[hash] : hash, Buffer.from(key, keyEncoding))
        .update(text)
        .digest(encoding),
    sign: (text, encoding, hash) =>
      sign(isOtherAlgorithm && hash !== null ? 'sha512' : hash, Buffer.from(text), key).toString(encoding),
    hash: (text) =>
      createHash(isOtherAlgorithm ? 'sha512' : 'sha256')
        .update(text)
        .digest('hex'),
  };
}

/** A JWT signed with HMAC. */
export function hs256({ hmac }: Sending, claims: object): string {
  const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const text = `${encode({ alg: 'HS256', typ: 'JWT' })}.${encode(claims)}`;
  return `${text}.${hmac(text, 'base64url')}`;
}

const rsaPair = () => generateKeyPairSync('rsa', { modulusLength: 2_048 });
const [own, other] = [rsaPair(), rsaPair()];
/** One RSA key for all vendors that publish theirs, and another one. */
export const rsa = { own: pem(own.privateKey), other: pem(other.privateKey) };

/** A JWT signed with RSA. */
export function rs256({ key, at }: Sending, claims: object): string {
  const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const iat = Math.floor(at.getTime() / 1_000);
  const text = `${encode({ alg: 'RS256', typ: 'JWT', kid: 'k1' })}.${encode({ iat, exp: iat + 300, ...claims })}`;
  return `${text}.${sign('sha256', Buffer.from(text), key).toString('base64url')}`;
}

/** The root that the tests trust. */
export const root = createCertificate('Root of the tests');
const certificateFor = (name: string) => createCertificate(name, root, own.privateKey).pem;
const jwks = JSON.stringify({
  keys: [{ ...createPublicKey(own.privateKey).export({ format: 'jwk' }), kid: 'k1', alg: 'RS256', use: 'sig' }],
});

/** What vendors publish, by URL. */
export const published = new Map([
  ['https://www.googleapis.com/oauth2/v3/certs', jwks],
  ['https://login.botframework.com/v1/.well-known/keys', jwks],
  [
    'https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-1.pem',
    createCertificate('sns.amazonaws.com', undefined, own.privateKey).pem,
  ],
  ['https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&Token=t1', '<ConfirmSubscriptionResponse/>'],
  [
    'https://api.paypal.com/v1/notifications/certs/CERT-1',
    certificateFor('messageverificationcerts.paypal.com') + root.pem,
  ],
  ['https://api.paypal.com/v1/notifications/certs/CERT-other-name', certificateFor('api.paypal.com')],
  [
    'https://api.paypal.com/v1/notifications/certs/CERT-other-root',
    createCertificate('messageverificationcerts.paypal.com', undefined, own.privateKey).pem,
  ],
]);

/** Keys of Ed25519: the 32 bytes that vendors show. */
export function ed25519Keys(encoding: 'hex' | 'base64') {
  const make = () => generateKeyPairSync('ed25519');
  const [mine, another] = [make(), make()];
  const raw = Buffer.from(mine.publicKey.export({ format: 'jwk' }).x!, 'base64url');
  return { publicKey: raw.toString(encoding), keys: { own: pem(mine.privateKey), other: pem(another.privateKey) } };
}

/** A webhook whose signature covers the body alone, in one header. */
export const signedBody = (
  header: string,
  {
    prefix = '',
    encoding = 'hex',
    hash = 'sha256',
    keyEncoding = 'utf8',
  }: Partial<{
    prefix: string;
    encoding: TextEncoding;
    hash: 'sha1' | 'sha256';
    keyEncoding: 'utf8' | 'hex' | 'base64';
  }>,
  body: object,
  headers: Record<string, string> = {},
): Pick<VendorWebhook, 'send' | 'covers'> => ({
  send({ hmac }) {
    const text = JSON.stringify(body);
    const signature = prefix + hmac(text, encoding, hash, keyEncoding);
    return { headers: { 'Content-Type': 'application/json', [header]: signature, ...headers }, body: text };
  },
  covers: ['body', 'key', 'algorithm', `header:${header}`],
});

export const json = (headers: Record<string, string>, body: unknown): SentWebhook => ({
  headers: { 'Content-Type': 'application/json', ...headers },
  body: typeof body === 'string' ? body : JSON.stringify(body),
});
export const form = (headers: Record<string, string>, fields: Record<string, string>): SentWebhook => ({
  headers: { 'Content-Type': 'application/x-www-form-urlencoded', ...headers },
  body: new URLSearchParams(fields).toString(),
});
