// Signs proxied calls with AWS Signature Version 4.
import { AwsV4Signer } from 'aws4fetch';
import type { SignAwsRequest } from '../../ports/index.ts';

/** The host of an AWS service names the service and its region; another one, such as a sandbox's, does not. */
const AWS_HOST = /\.(?:amazonaws\.com(?:\.cn)?|on\.aws)$/;

export const signAwsRequest: SignAwsRequest = async ({ method, url, headers, body, keys, service, region, at }) => {
  const target = new URL(url);
  // A plus means a blank, and has to be signed as one.
  target.search = target.search.replaceAll('+', '%20');
  const names = AWS_HOST.test(target.hostname) ? {} : { ...(service && { service }), ...(region && { region }) };
  const signed = await new AwsV4Signer({
    method,
    url: target.href,
    headers: pairsOf(headers),
    ...(body === 'unsigned' || body === null ? {} : { body: bufferOf(body) }),
    accessKeyId: keys.accessKeyId,
    secretAccessKey: keys.secretAccessKey,
    ...(keys.sessionToken !== undefined && { sessionToken: keys.sessionToken }),
    ...names,
    datetime: new Date(at).toISOString().replace(/[:-]|\.\d{3}/g, ''),
  }).sign();
  return { path: signed.url.pathname + signed.url.search, headers: [...signed.headers].flat() };
};

/** Without a copy where that is possible: bodies may be large, and are held. */
function bufferOf(bytes: Uint8Array): ArrayBuffer {
  const { buffer, byteLength } = bytes;
  // What is small may be a part of the buffer of others.
  return buffer instanceof ArrayBuffer && byteLength === buffer.byteLength ? buffer : new Uint8Array(bytes).buffer;
}

const pairsOf = (headers: readonly string[]): [string, string][] =>
  Array.from({ length: headers.length / 2 }, (_, i) => [headers[2 * i]!, headers[2 * i + 1]!]);
