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

const CONFIRM_PAGE =
  'A page that says which app asks, for whom and at which provider, and asks for missing parameters, such as a subdomain';
const OUTCOME_PAGE = 'A page that confirms the connection, or waits for it';
const toReturnUrl =
  'A redirect to the `return_url`, with `status`, `connect_session_id`, and `connection_id` or `error`';
const failures = [
  'integration_misconfigured',
  'provider_error',
  'provider_unavailable',
  'invalid_answer',
  'unavailable',
  'internal',
] as const;
const outcomes = [
  'access_denied',
  'identity_mismatch',
  'account_unknown',
  'connection_gone',
  'invitation_used',
  'invitation_expired',
  ...failures,
] as const;
const linkErrors = ['not_found', 'not_a_navigation', 'other_browser', 'invitation_cancelled', ...outcomes] as const;

/** The responses of each step of the flow. */
export const BROWSER_ANSWERS = {
  open: {
    200: { ...page, description: CONFIRM_PAGE },
    302: {
      description: `A redirect to the provider, if there is nothing to confirm and to ask; or to the page of the session, once this browser has connected; or: ${toReturnUrl}`,
      headers: LOCATION,
    },
    ...refusals(...linkErrors),
  },
  fill: {
    303: {
      description: `A redirect to the provider; or to the page of the session, once this browser has connected; or: ${toReturnUrl}`,
      headers: LOCATION,
    },
    ...refusals(...linkErrors),
    400: {
      ...page,
      description: `${CONFIRM_PAGE}, with the errors of the previous input, or since this browser had not been shown it; or: ${browserMessage('invalid_form').title} (\`invalid_form\`)`,
    },
  },
  callback: {
    303: { description: `A redirect to the page of the session; or: ${toReturnUrl}`, headers: LOCATION },
    ...refusals('invalid_state', 'other_browser', 'not_a_navigation', ...outcomes),
  },
  outcome: {
    200: { ...page, description: OUTCOME_PAGE },
    302: { description: toReturnUrl, headers: LOCATION },
    ...refusals('not_a_navigation', ...outcomes),
  },
  retry: {
    303: {
      description: `A redirect to the provider, or to the page of the session; or: ${toReturnUrl}`,
      headers: LOCATION,
    },
    ...refusals('invalid_form', 'not_a_navigation', ...outcomes),
  },
};
