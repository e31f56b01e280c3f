// What Google's vendors share by service accounts: developers.google.com/identity/protocols/oauth2/service-account; and by
// what they send: cloud.google.com/pubsub/docs/authenticate-push-subscriptions,
// developers.google.com/workspace/drive/api/guides/push
import { type IssuedTokens, type MintedRow, reply, type Secrets } from '../emulator/vendor.ts';
import { json, rs256, rsa, type VendorWebhook } from '../emulator/webhook.ts';

const TOKEN_URL = 'https://oauth2.googleapis.com/token';

/** A service account of the project, as in its key file. */
export const serviceAccount = (name: string, project: string) => {
  const email = `${name}@${project}.iam.gserviceaccount.com`;
  const credentials = ({ privateKey, keyId }: Secrets): Record<string, string> => ({
    service_account_json: JSON.stringify({
      type: 'service_account',
      project_id: project,
      private_key_id: keyId,
      private_key: privateKey,
      client_email: email,
      client_id: '100000000000000000000',
      auth_uri: 'https://accounts.google.com/o/oauth2/auth',
      token_uri: TOKEN_URL,
      universe_domain: 'googleapis.com',
    }),
  });
  return { email, credentials };
};

/** An assertion is swapped for a token; `subject`: of the user that the account stands in for, by domain-wide delegation. */
export const minted = (
  { email, credentials }: ReturnType<typeof serviceAccount>,
  { scope, subject }: { scope: string; subject?: string },
) =>
  ({
    flow: 'minted',
    mode: 'jwt_bearer',
    client: { configuredAs: [] },
    scopes: [scope],
    tokens: { access: 'ya29.c.' },
    lifetime: 3_599,
    assertion: {
      header: { kid: '{key_id}' },
      claims: { iss: email, ...(subject !== undefined && { sub: subject }), aud: TOKEN_URL, scope },
    },
    token: {
      url: TOKEN_URL,
      respond: ({ access }: IssuedTokens) => ({ access_token: access, expires_in: 3_599, token_type: 'Bearer' }),
      errors: { deadGrant: reply(400, { error: 'invalid_grant', error_description: 'Invalid JWT Signature.' }) },
    },
    credentials,
  }) satisfies Partial<MintedRow>;

/** By Pub/Sub, as the account of the subscription. */
export const pubSubPushes: VendorWebhook[] = [
  {
    name: 'Pub/Sub push',
    secrets: ['push@project.iam.gserviceaccount.com'],
    keys: rsa,
    send: (sending) =>
      json(
        {
          Authorization: `Bearer ${rs256(sending, { iss: 'https://accounts.google.com', aud: sending.url, email: 'push@project.iam.gserviceaccount.com', email_verified: true })}`,
        },
        { message: { messageId: '2070443601311540', data: 'e30=' }, subscription: 'projects/p/subscriptions/s' },
      ),
    covers: ['key', 'time', 'header:Authorization', 'url'],
    event: { id: '2070443601311540', type: 'projects/p/subscriptions/s' },
  },
  {
    name: 'Pub/Sub push with an audience of its own',
    secrets: ['push@project.iam.gserviceaccount.com', 'audience'],
    keys: rsa,
    send: (sending) =>
      json(
        {
          Authorization: `Bearer ${rs256(sending, { iss: 'https://accounts.google.com', aud: 'audience', email: 'push@project.iam.gserviceaccount.com', email_verified: true })}`,
        },
        { message: { messageId: '1' }, subscription: 's' },
      ),
    covers: ['key'],
  },
];

/** By a channel that was opened on a resource. */
export const channelChanges: VendorWebhook[] = [
  {
    name: 'change of a channel',
    secrets: ['channel-token'],
    send: ({ key }) => ({
      headers: {
        'X-Goog-Channel-Token': key,
        'X-Goog-Channel-ID': 'ch1',
        'X-Goog-Message-Number': '10',
        'X-Goog-Resource-State': 'exists',
      },
      body: '',
    }),
    covers: ['key', 'header:X-Goog-Channel-Token'],
    event: { id: 'ch1:10', type: 'exists' },
  },
  {
    name: 'new channel',
    secrets: ['channel-token'],
    send: ({ key }) => ({
      headers: {
        'X-Goog-Channel-Token': key,
        'X-Goog-Channel-ID': 'ch1',
        'X-Goog-Message-Number': '1',
        'X-Goog-Resource-State': 'sync',
      },
      body: '',
    }),
    covers: ['key'],
    handshake: {},
  },
];
