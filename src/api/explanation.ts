// Why something does not work, as the API says it.
import { z } from '@hono/zod-openapi';
import { Time } from './common.ts';
import { EXAMPLE } from './examples.ts';

export const ExplanationView = z
  .object({
    summary: z.string().openapi({ description: 'Why, in one sentence' }),
    since: Time.nullable().openapi({
      description:
        'Since when; of several failed refreshes, at the earliest: since the last one that worked. Null: not known.',
    }),
    fixable_by: z.enum(['admin', 'owner', 'vendor', 'operator', 'no_one']).openapi({
      description:
        'Who can fix it: an admin of the integration, the owner of the account, the vendor, who operates this deployment, or no one, since it is over',
    }),
    how: z.string().openapi({ description: 'What they do, in one sentence' }),
    until: Time.nullable().openapi({
      description: 'When the broker tries again by itself. Null: it does not, or that is not known.',
    }),
  })
  .openapi('Explanation', {
    example: {
      summary: 'Slack refuses the client of the integration: its secret is wrong, has expired or was replaced there.',
      since: EXAMPLE.changed,
      fixable_by: 'admin',
      how: 'Set the client secret of the integration to the one that is valid at the vendor.',
      until: EXAMPLE.ends,
    },
  });
