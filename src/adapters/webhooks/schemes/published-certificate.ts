// The schemes whose key is a certificate at a URL: a text signed by RSA, and messages of Amazon SNS.
import type { VerifyOf } from '../../../domain/webhook-dialect.ts';
import { hold } from '../conditions.ts';
import { decoded, sameText } from '../constant-time.ts';
import { secretsOf } from '../keys.ts';
import { memberText } from '../sent.ts';
import { isFresh, isWithin, readSignatures, timeOf } from '../signatures.ts';
import { bytesOf, type Scope, textAt } from '../values.ts';
import { accepted, type RefusalReason, refused, type Verification } from '../verification.ts';
import type { Certificates } from './certificates.ts';
import { isHttpsAt } from './certificates.ts';
import { isSignedBy } from './signed-text.ts';

type Rsa = VerifyOf<'rsa_x509'>;

export function precheckRsa(data: Rsa, scope: Scope): RefusalReason | undefined {
  if (secretsOf(data.key.from, scope.keys).length === 0) return 'no_key';
  if (readSignatures(data.signature, scope).signatures.length === 0) return 'no_signature';
  if (!isFresh(data.timestamp, scope)) return 'stale';
  const url = textAt(data.certificate.url, scope);
  return url !== undefined && isHttpsAt(url, data.certificate.hosts) ? undefined : 'certificate';
}

/** The secret is not a key: it is part of the signed text. */
export async function verifyRsa(data: Rsa, certificates: Certificates, scope: Scope): Promise<Verification> {
  const reason = precheckRsa(data, scope);
  if (reason !== undefined) return refused(reason);
  if (!hold(data.require, scope)) return refused('requirement');
  const { url, hosts, names } = data.certificate;
  const key = await certificates.keyAt(textAt(url, scope), hosts, names, scope.sent.request.receivedAt);
  if (key?.asymmetricKeyType !== 'rsa') return refused('certificate');
  const { signatures } = readSignatures(data.signature, scope);
  const isRight = secretsOf(data.key.from, scope.keys).some((secret) =>
    [data.signed].flat().some((template) => {
      const parts = bytesOf(template, { ...scope, secret: Buffer.from(secret) }, data.empty);
      return parts && signatures.some((sent) => isSignedBy(data.hash, Buffer.concat(parts), key, sent));
    }),
  );
  return isRight ? accepted() : refused('wrong_signature');
}

const SIGNED = {
  Notification: ['Message', 'MessageId', 'Subject', 'Timestamp', 'TopicArn', 'Type'],
  confirmation: ['Message', 'MessageId', 'SubscribeURL', 'Timestamp', 'Token', 'TopicArn', 'Type'],
};
const HASHES: Record<string, string> = { '1': 'sha1', '2': 'sha256' };

/** The signature only says that it comes from some topic: it must be one of the secrets. */
export async function verifySns(
  { hosts, tolerance }: VerifyOf<'sns'>,
  certificates: Certificates,
  scope: Scope,
): Promise<Verification> {
  const topics = secretsOf('secrets', scope.keys);
  if (topics.length === 0) return refused('no_key');
  const sent = scope.document?.();
  const message = (name: string) => memberText(sent, name);
  const { receivedAt } = scope.sent.request;
  const signature = decoded(message('Signature') ?? '', 'base64');
  const hash = HASHES[message('SignatureVersion') ?? ''];
  if (!signature || hash === undefined) return refused('no_signature');
  const topic = message('TopicArn') ?? '';
  if (!topics.some((one) => sameText(one, topic))) return refused('requirement');
  const at = timeOf(message('Timestamp') ?? '', 'iso');
  if (at === undefined || !isWithin(at, tolerance, receivedAt)) return refused('stale');
  const key = await certificates.keyAt(message('SigningCertURL'), hosts, undefined, receivedAt);
  if (key?.asymmetricKeyType !== 'rsa') return refused('certificate');
  const names = message('Type') === 'Notification' ? SIGNED.Notification : SIGNED.confirmation;
  const text = names.map((name) => (message(name) === undefined ? '' : `${name}\n${message(name)}\n`)).join('');
  return isSignedBy(hash, Buffer.from(text), key, signature) ? accepted() : refused('wrong_signature');
}
