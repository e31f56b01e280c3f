// The pages that an owner's browser may be answered with, for the description: by status, from the words of the pages.
import { z } from '@hono/zod-openapi';
import { type BrowserCode, browserMessage } from '../pages/messages.ts';

const page = { content: { 'text/html': { schema: z.string() } } };

/** Of several codes with one status, one answer. */
function refusals(...codes: BrowserCode[]) {
  const titles = Map.groupBy(codes, (code) => browserMessage(code).status);
  return Object.fromEntries(
    [...titles].map(([status, some]) => [
      status,
      {
        ...page,
        description: some.map((code) => `${browserMessage(code, 'the provider').title} (\`${code}\`)`).join('; or: '),
      },
    ]),
  );
}

const LOCATION = { Location: { description: 'Where it goes on', schema: { type: 'string' as const }, required: true } };

const ASKED = 'A page that asks for what the provider must know, such as a subdomain';
const failures = [
  'integration_misconfigured',
  'provider_error',
  'provider_unavailable',
  'invalid_answer',
  'internal',
] as const;
const invitation = ['not_found', 'other_browser', 'access_denied', 'invitation_used', 'invitation_expired'] as const;

/** The steps of the flow, as they are answered. */
export const BROWSER_ANSWERS = {
  open: {
    200: { ...page, description: ASKED },
    302: { description: 'On to the provider; or, where that failed at once, to the `return_url`', headers: LOCATION },
    ...refusals(...invitation, ...failures),
  },
  fill: {
    200: { ...page, description: 'A page with a link to the provider' },
    ...refusals(...invitation, ...failures),
    400: {
      ...page,
      description: `${ASKED}, again, with what is wrong; or: ${browserMessage('invalid_form').title} (\`invalid_form\`)`,
    },
  },
  callback: {
    200: { ...page, description: 'A page that says that the account is connected, where there is no `return_url`' },
    302: {
      description: 'To the `return_url`, with `status=success&connection_id=…` or `status=error&error=…`',
      headers: LOCATION,
    },
    ...refusals(
      'invalid_state',
      'other_browser',
      'access_denied',
      'identity_mismatch',
      'connection_gone',
      'invitation_used',
      ...failures,
    ),
  },
};
