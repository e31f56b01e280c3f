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
        description: some
          .map((code) => `${browserMessage(code, undefined, 'the provider').title} (\`${code}\`)`)
          .join('; or: '),
      },
    ]),
  );
}

const LOCATION = { Location: { description: 'The next URL', schema: { type: 'string' as const }, required: true } };

const CONFIRM_PAGE =
  'A page that says which app asks, for whom and at which provider, and asks for missing parameters, such as a subdomain; or the choice of an integration';
const OUTCOME_PAGE = 'A page that confirms the connection, or waits for it; or the last page of a pop-up';
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
    200: {
      ...page,
      description:
        'The form of the integration that was chosen, if it asks for something; or the last page of a pop-up, which tells the window that opened it how the session has ended',
    },
    303: {
      description: `A redirect to the provider; or to the page of the session, once this browser has connected; or: ${toReturnUrl}`,
      headers: LOCATION,
    },
    ...refusals(...linkErrors),
    400: {
      ...page,
      description: `${CONFIRM_PAGE} or for credentials, with the errors of the previous input, or since this browser had not been shown it; or: ${browserMessage('invalid_form').title} (\`invalid_form\`)`,
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

const portalFailures = ['portal_ended', 'not_a_navigation', 'unavailable', 'internal'] as const;
const asked = { ...page, description: 'The page with the form, since this browser had not been shown it' };
const toPortal = { description: 'A redirect to the page of the connections', headers: LOCATION };

/** The responses of the page of an owner's connections. */
export const PORTAL_ANSWERS = {
  open: {
    200: { ...page, description: 'A page that says what the link opens' },
    303: toPortal,
    ...refusals(...portalFailures),
  },
  enter: { 303: toPortal, ...refusals(...portalFailures), 400: asked },
  show: {
    200: { ...page, description: "The owner's connections" },
    303: toPortal,
    ...refusals(...portalFailures),
  },
  ask: {
    200: { ...page, description: 'A page that asks whether to disconnect the account' },
    303: toPortal,
    ...refusals(...portalFailures),
  },
  act: {
    303: { description: 'A redirect to the page of the connections, or to a connect session', headers: LOCATION },
    ...refusals('not_found', 'connection_gone', 'integration_misconfigured', ...portalFailures),
    400: asked,
  },
};
