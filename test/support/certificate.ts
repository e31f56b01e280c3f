// X.509 certificates for tests, written byte by byte.
import { createPublicKey, generateKeyPairSync, type KeyObject, randomBytes, sign, X509Certificate } from 'node:crypto';

const der = (tag: number, ...parts: Uint8Array[]): Buffer => {
  const body = Buffer.concat(parts);
  const length = body.length < 128 ? [body.length] : [0x82, body.length >> 8, body.length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...length]), body]);
};
const sequence = (...parts: Uint8Array[]) => der(0x30, ...parts);
const oid = (hex: string) => der(0x06, Buffer.from(hex, 'hex'));
const ecdsaWithSha256 = sequence(oid('2a8648ce3d040302'));
const name = (common: string) => sequence(der(0x31, sequence(oid('550403'), der(0x0c, Buffer.from(common)))));
const time = (at: number) => der(0x17, Buffer.from(new Date(at).toISOString().replace(/^20|[-:T]|\.\d+/g, '')));
const extension = (id: string, ...value: Uint8Array[]) => sequence(oid(id), der(0x04, sequence(...value)));

const newKey = () => generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;

interface Signer {
  name: string;
  privateKey: KeyObject;
}

const HOST_NAME = /^[a-z][a-z0-9.-]*$/;

/**
 * An X.509 certificate (RFC 5280) for 127.0.0.1, for the name if it is a host name, and for a key, by default a new P-256 one. Another signs it, with a P-256
 * key; by default a new, unknown one of that name.
 */
export function createCertificate(common: string, authority?: Signer, privateKey = newKey()) {
  const publicKey = createPublicKey(privateKey);
  const isOwn = privateKey.asymmetricKeyType === 'ec';
  const signer = authority ?? { name: common, privateKey: isOwn ? privateKey : newKey() };
  const body = sequence(
    der(0xa0, der(0x02, Buffer.from([2]))),
    der(0x02, Buffer.concat([Buffer.from([1]), randomBytes(8)])),
    ecdsaWithSha256,
    name(signer.name),
    sequence(time(Date.now() - 3_600_000), time(Date.now() + 3_600_000)),
    name(common),
    publicKey.export({ type: 'spki', format: 'der' }),
    der(
      0xa3,
      sequence(
        extension('551d13', ...(authority ? [] : [der(0x01, Buffer.from([0xff]))])),
        // The server's address, 127.0.0.1, and its name.
        extension(
          '551d11',
          der(0x87, Buffer.from([127, 0, 0, 1])),
          ...(HOST_NAME.test(common) ? [der(0x82, Buffer.from(common))] : []),
        ),
      ),
    ),
  );
  const signature = der(0x03, Buffer.from([0]), sign('sha256', body, signer.privateKey));
  const raw = sequence(body, ecdsaWithSha256, signature);
  return { name: common, privateKey, pem: new X509Certificate(raw).toString(), x509: new X509Certificate(raw) };
}

export const pem = (key: KeyObject) => key.export({ type: 'pkcs8', format: 'pem' }) as string;
