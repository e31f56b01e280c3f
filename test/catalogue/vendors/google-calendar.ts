// developers.google.com/identity/protocols/oauth2/web-server, …/workspace/calendar/api/guides/errors

import { reply, type Vendor } from '../emulator/vendor.ts';
import { channelChanges, minted, pubSubPushes, serviceAccount } from '../families/google.ts';

const EVENTS = 'https://www.googleapis.com/auth/calendar.events';
const subject = 'ada@example.com';
const delegated = minted(serviceAccount('robot', 'example-project'), { scope: EVENTS, subject });
const failed = (status: number, error: string, error_description: string) =>
  reply(status, { error, error_description });
const api = {
  url: 'https://www.googleapis.com/calendar/v3/calendars/primary/events',
  answer: { kind: 'calendar#events', items: [] },
  unauthorized: reply(401, {
    error: { code: 401, message: 'Request had invalid authentication credentials.', status: 'UNAUTHENTICATED' },
  }),
};

export default {
  provider: 'google-calendar',
  rows: [
    {
      flow: 'code',
      mode: 'oauth2_code',
      client: { id: '1234567890-example.apps.googleusercontent.com', secret: 'GOCSPX-Example_0123456789' },
      params: { hosted_domain: 'example.com' },
      scopes: [EVENTS, 'https://www.googleapis.com/auth/calendar.readonly'],
      // The user unticked the other.
      granted: [EVENTS],
      tokens: { access: 'ya29.', refresh: '1//0e' },
      lifetime: 3_599,
      authorize: {
        url: 'https://accounts.google.com/o/oauth2/v2/auth',
        // Both, or no refresh token comes the second time.
        params: {
          access_type: 'offline',
          prompt: 'consent',
          include_granted_scopes: /^(true|false)$/,
          hd: 'example.com',
        },
        callback: () => ({ scope: EVENTS, authuser: '0', hd: 'example.com', prompt: 'consent' }),
      },
      token: {
        url: 'https://oauth2.googleapis.com/token',
        clientAuth: ['post', 'basic'],
        errors: {
          deadGrant: failed(400, 'invalid_grant', 'Token has been expired or revoked.'),
          invalidClient: failed(401, 'invalid_client', 'The OAuth client was not found.'),
          rateLimited: reply(503, { error: 'internal_failure' }),
        },
      },
      refresh: { rotation: 'omitted' },
      // Of any token, all goes.
      revoke: {
        url: 'https://oauth2.googleapis.com/revoke',
        clientAuth: ['none', 'post'],
        answer: {},
        ends: 'grant',
      },
      api,
    },
    {
      ...delegated,
      connection: { subject },
      token: {
        ...delegated.token,
        errors: {
          deadGrant: failed(
            401,
            'unauthorized_client',
            'Client is unauthorized to retrieve access tokens using this method, or client not authorized for any of the scopes requested.',
          ),
        },
      },
      api,
    },
  ],
  webhooks: [...pubSubPushes, ...channelChanges],
  calls: {
    checks: [
      {
        url: 'https://www.googleapis.com/calendar/v3/users/me/settings/timezone',
        answer: { kind: 'calendar#setting', id: 'timezone', value: 'Europe/Berlin' },
        unauthorized: reply(401, { error: { code: 401, message: 'Invalid Credentials', status: 'UNAUTHENTICATED' } }),
      },
    ],
    limits: [
      {
        answer: reply(403, {
          error: {
            code: 403,
            errors: [{ domain: 'usageLimits', reason: 'calendarUsageLimitsExceeded' }],
            message: 'Rate Limit Exceeded',
          },
        }),
        wait: 1,
      },
    ],
  },
} satisfies Vendor;
