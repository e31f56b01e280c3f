// What AWS's services share: docs.aws.amazon.com: STS API reference (AssumeRole), IAM user guide (Signature Version 4,
// external ids), SDKs and tools reference (process credential provider)
import { type IssuedTokens, type MintedRow, reply, type StaticRow } from '../emulator/vendor.ts';

export const KEYS = {
  access_key_id: 'AKIAIOSFODNN7EXAMPLE',
  secret_access_key: 'wJalrXUtnFEMI/K7MDENG/EXAMPLEKEY',
};

/** Imported keys sign the requests; they are served in the form of `credential_process`. */
export const given = (keys: { access_key_id: string; secret_access_key: string; session_token?: string }) =>
  ({
    flow: 'static',
    mode: 'aws_sigv4',
    credentials: keys,
    served: JSON.stringify({
      Version: 1,
      AccessKeyId: keys.access_key_id,
      SecretAccessKey: keys.secret_access_key,
      SessionToken: keys.session_token,
    }),
  }) satisfies Partial<StaticRow>;

const failed = (status: number, Code: string) =>
  reply(status, { Error: { Type: 'Sender', Code, Message: `${Code} is what went wrong.` }, RequestId: 'a-request' });

/** A role is assumed, at the region's own STS. */
export const assumed = (role: string, region: string, domain = 'amazonaws.com') =>
  ({
    flow: 'minted',
    mode: 'aws_sts_assume_role',
    client: { id: 'AKIAI44QH8DHBEXAMPLE', secret: 'je7MtGbClwBF/2Zp9Utk/h3yCo8nvbEXAMPLEKEY' },
    connection: { region, role_arn: role, external_id: 'vk-7f3c2a' },
    token: {
      url: `https://sts.${region}.${domain}/`,
      clientAuth: 'signature',
      signatureScope: { region, service: 'sts' },
      params: {
        Action: 'AssumeRole',
        Version: '2011-06-15',
        RoleArn: role,
        RoleSessionName: /^[\w+=,.@-]{2,64}$/,
        ExternalId: 'vk-7f3c2a',
        DurationSeconds: '3600',
      },
      // Without it the answer is XML.
      headers: { accept: 'application/json' },
      respond: ({ access, expiresAt }: IssuedTokens) => ({
        AssumeRoleResponse: {
          AssumeRoleResult: {
            AssumedRoleUser: { Arn: role, AssumedRoleId: 'AROACLKWSDQRAOEXAMPLE:valetkey' },
            Credentials: {
              AccessKeyId: 'ASIAJEXAMPLEXEG2JICEA',
              SecretAccessKey: access,
              SessionToken: access,
              Expiration: Math.floor(expiresAt!.getTime() / 1_000),
            },
          },
          ResponseMetadata: { RequestId: 'a-request' },
        },
      }),
      errors: { deadGrant: failed(403, 'AccessDenied'), rateLimited: failed(400, 'Throttling') },
    },
  }) satisfies Partial<MintedRow>;
