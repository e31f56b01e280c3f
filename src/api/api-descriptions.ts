// How the API of a connection is called.
import { z } from '@hono/zod-openapi';
import { Idempotency, Pagination } from '../domain/api-dialect.ts';
import { Label, Owner, Slug } from './common.ts';
import { EXAMPLE } from './examples.ts';

export const OwnerApiQuery = z.object({ integration: Slug, owner: Owner, label: Label.optional() });

export const ApiDescriptionView = z
  .object({
    connection_id: z.string(),
    integration: z.string(),
    provider: z.string(),
    base_url: z.string().openapi({ description: 'What paths of the proxy are below, as this connection has it' }),
    other_hosts: z.record(z.string(), z.string()).openapi({
      description: 'Base URLs of other hosts of the same system, by the alias for `Valetkey-Host`',
    }),
    pagination: Pagination.nullable().openapi({ description: 'How lists go on. Null: it is not known.' }),
    idempotency: Idempotency.nullable().openapi({
      description: 'Where a key that makes a repeated request safe goes. Null: nowhere, or it is not known.',
    }),
  })
  .openapi('ApiDescription', {
    example: {
      connection_id: EXAMPLE.connection,
      integration: EXAMPLE.integration,
      provider: EXAMPLE.provider,
      base_url: 'https://slack.com/api',
      other_hosts: { files: 'https://files.slack.com' },
      pagination: { style: 'cursor', in: 'query', param: 'cursor', from: 'response_metadata.next_cursor' },
      idempotency: null,
    },
  });
