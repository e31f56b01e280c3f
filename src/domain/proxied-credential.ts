// How a token is attached to a call through the proxy, as its `token_type` says.

/** AWS's keys, as they are stored (`credential_process`). */
export interface AwsKeys {
  accessKeyId: string;
  secretAccessKey: string;
  sessionToken: string | undefined;
}

export type Attachment =
  /** `secret`: what must not come back in a response. */
  | { kind: 'header'; name: string; value: string; secret: string }
  | { kind: 'query'; name: string; value: string; secret: string }
  /** RFC 9449: with a proof for each request. */
  | { kind: 'dpop'; secret: string }
  | { kind: 'aws'; keys: AwsKeys; secret: string };

/** Undefined: the proxy cannot send such a token, or its text is none of the kind. */
export function attachmentOf(tokenType: string, accessToken: string): Attachment | undefined {
  const [, place, name = ''] = /^(header|query|body):(.+)$/.exec(tokenType) ?? [];
  if (place === 'body') return undefined;
  if (place === 'query') return { kind: 'query', name, value: encodeURIComponent(accessToken), secret: accessToken };
  if (tokenType.startsWith('AWS4-')) {
    const keys = awsKeysOf(accessToken);
    return keys && { kind: 'aws', keys, secret: keys.secretAccessKey };
  }
  if (!/^[\x20-\x7e]+$/.test(accessToken)) return undefined;
  if (place === 'header') return { kind: 'header', name, value: accessToken, secret: accessToken };
  if (tokenType === 'DPoP') return { kind: 'dpop', secret: accessToken };
  return { kind: 'header', name: 'Authorization', value: `${tokenType} ${accessToken}`, secret: accessToken };
}

function awsKeysOf(text: string): AwsKeys | undefined {
  try {
    const { AccessKeyId, SecretAccessKey, SessionToken } = JSON.parse(text) as Record<string, unknown>;
    if (typeof AccessKeyId !== 'string' || typeof SecretAccessKey !== 'string') return undefined;
    const sessionToken = typeof SessionToken === 'string' ? SessionToken : undefined;
    return { accessKeyId: AccessKeyId, secretAccessKey: SecretAccessKey, sessionToken };
  } catch {
    return undefined;
  }
}

const AWS_HEADERS = ['x-amz-date', 'x-amz-security-token', 'x-amz-content-sha256'] as const;

/** The headers that carry a credential of this kind, in lower case: a caller's own are left out. */
export const credentialHeaders = (attached: Attachment): readonly string[] => {
  if (attached.kind === 'header') return [attached.name.toLowerCase(), 'dpop'];
  return attached.kind === 'aws' ? [...AWS_HEADERS, 'dpop'] : ['dpop'];
};

/** The query without the parameters of this name, which would stand beside the credential; otherwise as it is. */
export function queryWithout(query: string, name: string): string {
  const pairs = query.slice(1).split('&');
  const kept = pairs.filter((pair) => nameOf(pair) !== name);
  if (kept.length === pairs.length) return query;
  return kept.length === 0 ? '' : `?${kept.join('&')}`;
}

function nameOf(pair: string): string {
  const name = pair.split('=', 1)[0]!.replaceAll('+', ' ');
  try {
    return decodeURIComponent(name);
  } catch {
    return name;
  }
}
