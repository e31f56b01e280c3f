// developers.asana.com/docs/oauth, …/docs/rate-limits, …/docs/errors

import { type IssuedTokens, reply, type Vendor } from '../emulator/vendor.ts';
import { json, signedBody } from '../emulator/webhook.ts';

const failed = (error: string, error_description: string) => reply(400, { error, error_description });

export default {
  provider: 'asana',
  rows: [
    {
      flow: 'code',
      mode: 'oauth2_code',
      scopes: ['tasks:read', 'projects:read'],
      tokens: { access: '2/1200000000000001/1200000000000002:', refresh: '2/1200000000000001:' },
      authorize: { url: 'https://app.asana.com/-/oauth_authorize' },
      token: {
        url: 'https://app.asana.com/-/oauth_token',
        // The same when a refresh token is spent, which stays as it is and is not said again.
        respond: ({ access, refresh }: IssuedTokens) => ({
          access_token: access,
          token_type: 'bearer',
          expires_in: 3_600,
          data: { id: 1_200_000_000_000_001, gid: '1200000000000001', name: 'Greg Sanchez', email: 'g@example.com' },
          ...(refresh !== undefined && { refresh_token: refresh }),
        }),
        errors: {
          deadGrant: failed('invalid_grant', 'The `refresh_token` provided was invalid.'),
          invalidClient: failed(
            'invalid_client',
            'The `client_secret` provided does not match that of the application.',
          ),
          rateLimited: reply(
            429,
            { errors: [{ message: 'You have made too many requests recently. Please, be chill.' }] },
            { 'retry-after': '30' },
          ),
        },
      },
      refresh: { rotation: 'omitted' },
      revoke: {
        url: 'https://app.asana.com/-/oauth_revoke',
        params: { token: '{refresh_token}' },
        answer: {},
        ends: 'grant',
      },
      api: {
        url: 'https://app.asana.com/api/1.0/users/me',
        unauthorized: reply(401, { errors: [{ message: 'Not Authorized' }] }),
      },
      account: { issuer: 'https://app.asana.com', id: '1200000000000001', name: 'Greg Sanchez' },
      captured: { user_id: '1200000000000001', user_name: 'Greg Sanchez' },
    },
  ],
  webhooks: [
    {
      name: 'two events',
      secrets: ['b537207f20cbfa02357cf448134da559'],
      ...signedBody(
        'X-Hook-Signature',
        {},
        {
          events: [1, 2].map((n) => ({
            action: 'changed',
            created_at: '2026-11-28T10:00:00.000Z',
            resource: { gid: `${n}`, resource_type: 'task' },
          })),
        },
      ),
      event: { count: 2, id: null, type: 'task.changed' },
    },
    {
      name: 'heartbeat',
      secrets: ['b537207f20cbfa02357cf448134da559'],
      ...signedBody('X-Hook-Signature', {}, { events: [] }),
      covers: ['key'],
      event: { count: 0 },
    },
    {
      name: 'handshake',
      send: () => json({ 'X-Hook-Secret': 'b537207f20cbfa02357cf448134da559' }, {}),
      covers: [],
      handshake: {
        learns: 'b537207f20cbfa02357cf448134da559',
        header: ['x-hook-secret', 'b537207f20cbfa02357cf448134da559'],
      },
    },
  ],
  calls: {
    checks: [
      {
        url: 'https://app.asana.com/api/1.0/users/me?opt_fields=gid',
        answer: { data: { gid: '1200000000000001' } },
        unauthorized: reply(401, { errors: [{ message: 'Not Authorized' }] }),
      },
    ],
    limits: [
      {
        answer: reply(
          429,
          { errors: [{ message: 'You have made too many requests recently.' }] },
          { 'retry-after': '30' },
        ),
        wait: 30,
      },
    ],
  },
} satisfies Vendor;
