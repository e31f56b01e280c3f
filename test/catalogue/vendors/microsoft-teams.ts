// learn.microsoft.com/en-us/graph/auth-v2-user,
// …/azure/bot-service/rest-api/bot-framework-rest-connector-authentication

import { type MintedRow, reply, type Vendor } from '../emulator/vendor.ts';
import { json, rs256, rsa, signedBody } from '../emulator/webhook.ts';
import { busy, CLIENT, failed, graphWebhooks, LOGIN, machine, refusal, signIn } from '../families/entra.ts';

const SEND = 'https://graph.microsoft.com/ChannelMessage.Send';
const CHAT = 'https://graph.microsoft.com/Chat.ReadWrite';
const TENANT = '72f988bf-0000-4000-8000-2d7cd011db47';
const user = signIn(`${LOGIN}/organizations`, 4_683);

function bot(tenant: string) {
  const { token, ...rest } = machine(`${LOGIN}/${tenant}`, 86_399);
  return {
    ...rest,
    mode: 'bot_framework',
    client: CLIENT,
    scopes: ['https://api.botframework.com/.default'],
    tokens: { jwt: true },
    token: { ...token, errors: { ...token.errors, rateLimited: busy } },
    // The place that the activity names as its serviceUrl.
    api: {
      url: 'https://smba.trafficmanager.net/emea/v3/conversations/19%3Aexample/activities',
      method: 'POST',
      outsideApiBase: true,
      unauthorized: reply(401, { message: 'Authorization has been denied for this request.' }),
    },
  } satisfies MintedRow;
}

export default {
  provider: 'microsoft-teams',
  rows: [
    {
      ...user,
      client: CLIENT,
      scopes: ['offline_access', SEND, CHAT],
      // A user who signed in before granted another.
      granted: [SEND, CHAT, 'https://graph.microsoft.com/User.Read'],
      token: {
        ...user.token,
        errors: {
          ...user.token.errors,
          deadGrant: failed(400, 'invalid_grant', 50_173, 'The provided grant has expired due to it being revoked.'),
          rateLimited: busy,
        },
      },
      refresh: { rotation: 'grace', params: { scope: /^(?=.*ChannelMessage\.Send\b)(?=.*\boffline_access\b)/ } },
      api: { url: 'https://graph.microsoft.com/v1.0/me/chats', unauthorized: refusal },
    },
    bot('botframework.com'),
    { ...bot(TENANT), variant: 'single tenant', params: { bot_tenant: TENANT } },
  ],
  webhooks: [
    ...graphWebhooks,
    {
      name: 'bot removed',
      clientId: 'bot-app',
      keys: rsa,
      send: (sending) =>
        json(
          {
            Authorization: `Bearer ${rs256(sending, { iss: 'https://api.botframework.com', aud: 'bot-app', serviceurl: 'https://smba.trafficmanager.net/emea/' })}`,
          },
          {
            id: 'f:1',
            type: 'installationUpdate',
            action: 'remove',
            serviceUrl: 'https://smba.trafficmanager.net/emea/',
          },
        ),
      covers: ['key', 'time', 'header:Authorization'],
      event: { id: 'f:1', type: 'installationUpdate.remove', deauthorization: true },
      answer: {},
    },
    {
      name: 'outgoing webhook',
      secrets: [Buffer.from('security token of the webhook').toString('base64')],
      ...signedBody(
        'Authorization',
        { prefix: 'HMAC ', encoding: 'base64', keyEncoding: 'base64' },
        { id: '1', type: 'message', text: 'hi' },
      ),
      event: { id: '1', type: 'message' },
    },
  ],
  calls: {
    checks: [
      {
        modes: ['oauth2_code'],
        url: [
          'https://graph.microsoft.com/v1.0/me',
          'https://graph.microsoft.us/v1.0/me',
          'https://microsoftgraph.chinacloudapi.cn/v1.0/me',
        ],
        answer: { id: '87d349ed-44d7-43e1-9a83-5f2406dee5bd' },
        unauthorized: reply(401, {
          error: { code: 'InvalidAuthenticationToken', message: 'Lifetime validation failed, the token is expired.' },
        }),
        account: '87d349ed-44d7-43e1-9a83-5f2406dee5bd',
      },
    ],
    limits: [{ answer: reply(429, { error: { code: 'TooManyRequests' } }, { 'retry-after': '2' }), wait: 2 }],
  },
} satisfies Vendor;
