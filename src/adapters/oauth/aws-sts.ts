// Temporary credentials from AWS's security token service (AssumeRole, a request signed with SigV4).
import { AwsV4Signer } from 'aws4fetch';
import { type MintedMode, tokenTypeOf } from '../../domain/auth-modes.ts';
import { fill } from '../../domain/fields.ts';
import { awsCredentials } from '../../domain/imported-credentials.ts';
import { at } from '../../domain/json-path.ts';
import type { Target } from '../../domain/target.ts';
import type { ProviderResult, TokenResponse } from '../../ports/index.ts';
import type { Outbound } from '../outbound/outbound.ts';
import { secondsUntil, text } from './json-paths.ts';
import { classifyErrorResponse, type ErrorContext, fault } from './provider-errors.ts';
import { EMPTY_TOKEN_RESPONSE, UnreadableResponse } from './token-response.ts';

type Mode = Extract<MintedMode, { mode: 'aws_sts_assume_role' }>;

/** Signs with the integration's keys. The access token is the JSON that AWS's own tools read (`credential_process`). */
export async function assumeRole(
  { auth, values, clientId, secrets, endpoints }: Target<Mode>,
  outbound: Outbound,
  context: ErrorContext,
): Promise<ProviderResult<TokenResponse>> {
  const region = fill(auth.region, values);
  if (secrets.secret === null || endpoints.token === undefined || region === undefined) {
    const detail = 'the integration needs an access key id (client_id), its secret (client_secret) and a region';
    return { ok: false, fault: fault('misconfigured', 'missing_credentials', detail) };
  }
  const externalId = fill(auth.external_id, values);
  const body = new URLSearchParams({
    Action: 'AssumeRole',
    Version: '2011-06-15',
    RoleArn: fill(auth.role_arn, values) ?? '',
    RoleSessionName: fill(auth.session_name, values) ?? 'valetkey',
    DurationSeconds: String(auth.duration),
    ...(externalId !== undefined && { ExternalId: externalId }),
  }).toString();
  const signed = await new AwsV4Signer({
    method: 'POST',
    url: endpoints.token,
    headers: { accept: 'application/json', 'content-type': 'application/x-www-form-urlencoded' },
    body,
    accessKeyId: clientId,
    secretAccessKey: secrets.secret,
    service: 'sts',
    region,
    datetime: new Date(context.now).toISOString().replace(/[:-]|\.\d{3}/g, ''),
  }).sign();
  const response = await outbound(signed.url, { method: 'POST', headers: Object.fromEntries(signed.headers), body });
  const answer: unknown = await response.json().catch(() => undefined);
  const keys = at(answer, 'AssumeRoleResponse.AssumeRoleResult.Credentials');
  const accessKeyId = text(at(keys, 'AccessKeyId'));
  const secretAccessKey = text(at(keys, 'SecretAccessKey'));
  const sessionToken = text(at(keys, 'SessionToken'));
  if (!response.ok) {
    const code = text(at(answer, 'Error.Code')) ?? xmlCode(await response.text());
    return { ok: false, fault: classifyErrorResponse(response, code, text(at(answer, 'Error.Message')), context) };
  }
  if (accessKeyId === undefined || secretAccessKey === undefined || sessionToken === undefined)
    throw new UnreadableResponse('the response has no credentials', response);
  const date = Date.parse(response.headers.get('date') ?? '');
  const expiresIn = secondsUntil(at(keys, 'Expiration'), Number.isNaN(date) ? context.now : date) ?? auth.duration;
  const accessToken = awsCredentials({
    AccessKeyId: accessKeyId,
    SecretAccessKey: secretAccessKey,
    SessionToken: sessionToken,
    Expiration: new Date(context.now + expiresIn * 1_000).toISOString(),
  });
  return { ok: true, value: { ...EMPTY_TOKEN_RESPONSE, accessToken, tokenType: tokenTypeOf(auth), expiresIn } };
}

/** Gateways, and errors of the service itself, may answer in XML whatever `accept` says. */
const xmlCode = (body: string): string | undefined => /<Code>([\w.]{1,64})<\/Code>/.exec(body)?.[1];
