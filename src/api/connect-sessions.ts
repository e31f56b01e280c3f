// Connect sessions: single-use links with which an owner connects an account.
import { z } from '@hono/zod-openapi';
import {
  Account,
  Challenge,
  CodeChallenge,
  Id,
  Label,
  Metadata,
  Owner,
  PageQuery,
  Scopes,
  Slug,
  Strings,
  shownTextUpTo,
  Time,
  textUpTo,
  Url,
} from './common.ts';
import { EXAMPLE } from './examples.ts';

const wanted = { integration: EXAMPLE.integration, owner: EXAMPLE.owner, label: 'work' };

export const DisplayOwner = shownTextUpTo(120);

/** RFC 5646 tags with spaces between. */
export const UiLocales = textUpTo(100).regex(
  /^[A-Za-z]{1,8}(-[A-Za-z0-9]{1,8})*( [A-Za-z]{1,8}(-[A-Za-z0-9]{1,8})*)*$/,
  'language tags, with spaces between',
);

const STATUSES = ['pending', 'awaiting_finish', 'completed', 'failed', 'expired', 'cancelled'] as const;

export const SessionPost = z
  .strictObject({
    integration: Slug.optional().openapi({ description: 'Left out with `connection_id`: that of the connection' }),
    integrations: z
      .array(Slug)
      .min(1)
      .max(20)
      .refine((ids) => new Set(ids).size === ids.length, 'the same one twice')
      .optional()
      .openapi({
        description:
          'Instead of `integration`: the owner chooses one of these in the browser. Not with `connection_id`, `scopes` and `params`.',
        example: [EXAMPLE.integration],
      }),
    owner: Owner.optional().openapi({ description: 'Left out with `connection_id`: that of the connection' }),
    label: Label.optional(),
    scopes: Scopes.optional(),
    replace_scopes: z.boolean().optional().openapi({
      description:
        'A renewed connection is asked for the scopes that it has, too. True: it is asked for `scopes` alone, and gives up the others.',
    }),
    params: Strings.optional().openapi({
      description: 'Connection parameters of the provider. Missing ones are asked for in the browser.',
    }),
    metadata: Metadata.optional(),
    return_url: Url.optional().openapi({
      description: 'Where the browser is sent at the end, with `status` in the query. Must be on an allowed origin.',
    }),
    connection_id: Id.optional().openapi({ description: 'Renews this connection; its id stays' }),
    challenge: Challenge.optional().openapi({
      description:
        'With `connection_id`: what the API has answered. The owner is asked for the scopes that were asked for before and those that it names, three times within an hour at most.',
    }),
    finish: z.boolean().optional().openapi({
      description:
        'True: two-phase. Nothing is connected before `POST /v1/connect-sessions/{id}/finish`, in which you say who is signed in. Needs `return_url`, where the browser is sent with `status=confirm` and `finish_code`.',
    }),
    display_owner: DisplayOwner.optional().openapi({
      description: 'On whose behalf, as the confirmation page says it: a name or an address that the owner knows',
    }),
    code_challenge: CodeChallenge.optional().openapi({
      description: 'RFC 7636, with `finish`: the session is finished only with the `code_verifier` of this challenge',
    }),
    ui_locales: UiLocales.optional().openapi({
      description:
        'The languages that the owner reads, in the order of preference (OpenID Connect Core 3.1.2.1). They precede those of the browser. There are de, en, es, fr, ja and pt-BR.',
      example: 'pt-BR de',
    }),
    display: z.literal('popup').optional().openapi({
      description:
        'The link is opened in a pop-up by `@valetkey/connect`: the last page posts `{type: "valetkey", connect_session_id, status, error}` to the origin of `return_url`, and closes. Needs `return_url`.',
    }),
    code_challenge_method: z.literal('S256').optional().openapi({ description: 'Default: `S256`' }),
  })
  .openapi('CreateConnectSessionRequest', {
    example: {
      ...wanted,
      return_url: 'https://app.acme.example/settings/accounts',
      finish: true,
      display_owner: 'Ada Lovelace',
    },
  });

export const SessionCreated = z
  .object({
    id: z.string(),
    url: z.string().openapi({ description: "The link for the owner's browser. Works once, within ten minutes." }),
    status: z.literal('pending'),
    expires_at: Time,
  })
  .openapi('CreatedConnectSession', {
    example: {
      id: EXAMPLE.session,
      url: EXAMPLE.link,
      status: 'pending',
      expires_at: '2026-03-02T09:40:00.000Z',
    },
  });

export const SessionQuery = PageQuery.extend({
  integration: Slug.optional(),
  owner: Owner.optional(),
  status: z.enum(STATUSES).optional().openapi({ description: 'Sessions whose time is over are `expired`' }),
});

export const SessionFinish = z
  .strictObject({
    finish_code: z
      .string()
      .min(1)
      .max(256)
      .openapi({ description: 'As it came to the `return_url`. It works within ten minutes.' }),
    owner: Owner.openapi({
      description:
        'Who is signed in now, in the browser that brought the code: never the owner of the session by itself',
    }),
    code_verifier: z
      .string()
      .min(1)
      .max(256)
      .optional()
      .openapi({ description: 'RFC 7636, if the session was created with a `code_challenge`' }),
  })
  .openapi('FinishConnectSessionRequest', {
    example: { finish_code: 'Qk3b9sWmVYf0rT7zXc2LpAq8dHn5JgE1uKoIyB6hN4M', owner: EXAMPLE.owner },
  });

export const SessionFinished = z
  .object({ status: z.literal('completed'), connection_id: z.string(), account: Account.nullable() })
  .openapi('FinishedConnectSession', {
    example: { status: 'completed', connection_id: EXAMPLE.connection, account: EXAMPLE.account },
  });

export const SessionView = z
  .object({
    id: z.string(),
    status: z.enum(STATUSES).openapi({
      description:
        '`awaiting_finish`: the owner has consented, and `POST /v1/connect-sessions/{id}/finish` connects the account',
    }),
    integration: z
      .string()
      .nullable()
      .openapi({ description: 'Null: the owner has not chosen one of `integrations` yet' }),
    integrations: z.array(z.string()).optional().openapi({ description: 'Those that the owner chooses from' }),
    owner: z.string(),
    label: z.string().nullable(),
    finish: z.boolean(),
    display_owner: z.string().nullable(),
    connection_id: z
      .string()
      .optional()
      .openapi({ description: 'Present once completed, or when the session renews a connection' }),
    account: Account.nullable(),
    error: z.string().optional().openapi({ description: 'The error code, when failed' }),
    created_at: Time,
    expires_at: Time,
  })
  .openapi('ConnectSession', {
    example: {
      id: EXAMPLE.session,
      status: 'completed',
      ...wanted,
      finish: true,
      display_owner: 'Ada Lovelace',
      connection_id: EXAMPLE.connection,
      account: EXAMPLE.account,
      created_at: EXAMPLE.made,
      expires_at: '2026-03-02T09:40:00.000Z',
    },
  });
