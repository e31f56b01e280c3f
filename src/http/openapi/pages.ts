// The pages that an owner's browser may get, for the OpenAPI document: by status, with the titles of the pages.
import { z } from '@hono/zod-openapi';
import { type BrowserCode, browserMessage } from '../pages/messages.ts';

const page = { content: { 'text/html': { schema: z.string() } } };

/** One response per status. */
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

const LOCATION = { Location: { description: 'The next URL', schema: { type: 'string' as const }, required: true } };

const PARAMS_PAGE = 'A page that asks for connection parameters, such as a subdomain';
const failures = [
  'integration_misconfigured',
  'provider_error',
  'provider_unavailable',
  'invalid_answer',
  'unavailable',
  'internal',
] as const;
const linkErrors = [
  'not_found',
  'other_browser',
  'access_denied',
  'invitation_used',
  'invitation_expired',
  'invitation_cancelled',
] as const;

/** The responses of each step of the flow. */
export const BROWSER_ANSWERS = {
  open: {
    200: { ...page, description: PARAMS_PAGE },
    302: { description: 'A redirect to the provider, or, after an error, to the `return_url`', headers: LOCATION },
    ...refusals(...linkErrors, ...failures),
  },
  fill: {
    200: { ...page, description: 'A page with a link to the provider' },
    ...refusals(...linkErrors, ...failures),
    400: {
      ...page,
      description: `${PARAMS_PAGE}, with the errors of the previous input; or: ${browserMessage('invalid_form').title} (\`invalid_form\`)`,
    },
  },
  callback: {
    200: { ...page, description: 'A page that confirms the connection, if there is no `return_url`' },
    302: {
      description:
        'A redirect to the `return_url`, with `connect_session_id` and `status=success&connection_id=…`, `status=confirm&finish_code=…` or `status=error&error=…`',
      headers: LOCATION,
    },
    ...refusals(
      'invalid_state',
      'other_browser',
      'access_denied',
      'identity_mismatch',
      'account_unknown',
      'connection_gone',
      'invitation_used',
      'invitation_expired',
      'invitation_cancelled',
      ...failures,
    ),
  },
};
