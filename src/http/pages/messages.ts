// The texts of the error pages, by error code, for owners: friendly, since they did nothing wrong and cannot fix much.
// The other texts of pages are in connected.ts, confirm.ts and refused.ts.
import type { BrowserError } from '../../broker/connections/index.ts';

/** 400 and above: an error never looks like success. */
type RefusalStatus = 400 | 403 | 404 | 409 | 410 | 500 | 502 | 503;

export interface BrowserMessage {
  status: RefusalStatus;
  title: string;
  message: string;
  advice: string;
}

/** `{provider}` stands for the provider's name. */
const browserMessages = {
  invalid_state: {
    status: 400,
    title: 'This sign-in cannot be continued',
    message: 'The response does not belong to a sign-in that is in progress in this browser.',
    advice:
      'It may be finished already, or it took too long. If your account is not connected, start again from the app that you came from.',
  },
  other_browser: {
    status: 403,
    title: 'Please use the browser that you started with',
    message: 'This link was first opened in another browser, and only that one can continue. Nothing was connected.',
    advice:
      'Go back to that browser, or ask for a new link. If you did not open it before, do not continue, and tell the person who sent it.',
  },
  invitation_used: {
    status: 410,
    title: 'This link has been used',
    message: 'Each link works only once.',
    advice: 'If your account is not connected, ask for a new link in the app that you came from.',
  },
  invitation_expired: {
    status: 410,
    title: 'This link has expired',
    message: 'For your safety, a link works for ten minutes only. Nothing was connected.',
    advice: 'Ask for a new link in the app that you came from.',
  },
  invitation_cancelled: {
    status: 410,
    title: 'This link is no longer valid',
    message: 'It was withdrawn by the app that it came from. Nothing was connected.',
    advice: 'Ask for a new link in the app that you came from.',
  },
  access_denied: {
    status: 403,
    title: 'You cancelled',
    message: 'You cancelled. Nothing was connected.',
    advice: 'You can close this window. If you change your mind, start again from the app that you came from.',
  },
  provider_error: {
    status: 502,
    title: '{provider} said no',
    message: '{provider} refused to connect your account. Nothing was connected.',
    advice:
      'You may not have the necessary permissions, or an administrator has to approve this first. If in doubt, show the reference below to the people who run the app.',
  },
  provider_unavailable: {
    status: 503,
    title: '{provider} does not answer',
    message: '{provider} cannot be reached right now. Nothing was connected.',
    advice: 'Wait a few minutes, then start again from the app that you came from.',
  },
  invalid_answer: {
    status: 502,
    title: 'The answer could not be trusted',
    message: 'What came back from {provider} did not pass our checks, so we did not use it. Nothing was connected.',
    advice:
      'Start again from the app that you came from. If it happens again, show the reference below to the people who run it.',
  },
  identity_mismatch: {
    status: 409,
    title: 'That is a different account',
    message: 'You signed in to {provider} with another account than the one that is connected. Nothing was changed.',
    advice:
      'Sign in to {provider} with the account that you used before. You can try again, or ask for a new link later.',
  },
  account_unknown: {
    status: 409,
    title: 'We could not tell which account that is',
    message: '{provider} did not say whose account you signed in with. Nothing was changed.',
    advice: 'Ask for a new link, and allow everything that {provider} asks for.',
  },
  integration_misconfigured: {
    status: 502,
    title: 'The connection to {provider} is not set up properly',
    message: 'This is not your fault, and trying again will not help. Nothing was connected.',
    advice: 'Show the reference below to the people who run the app: they have to fix its settings.',
  },
  connection_gone: {
    status: 410,
    title: 'This connection no longer exists',
    message: 'It was removed while you were signing in, so there is nothing to renew.',
    advice: 'Ask for a new link in the app that you came from to connect your account again.',
  },
  not_found: {
    status: 404,
    title: 'There is nothing here',
    message: 'This link is not one of ours, or a part of it is missing.',
    advice: 'Copy the whole link, or ask for a new one in the app that you came from.',
  },
  not_a_navigation: {
    status: 403,
    title: 'Open this link in a window of its own',
    message: 'The link was requested by a preview, by another page, or in advance, and not opened by a person.',
    advice: 'Click on it, or copy it into the address bar. It still works.',
  },
  invalid_form: {
    status: 400,
    title: 'What you entered could not be read',
    message: 'The form was damaged, or much too long. Nothing was connected.',
    advice: 'Go back, enter it again, and keep it short. The link still works.',
  },
  unavailable: {
    status: 503,
    title: 'Too busy right now',
    message: 'We cannot look this up at the moment. Nothing was connected.',
    advice: 'Wait a moment, then try again. The link still works.',
  },
  internal: {
    status: 500,
    title: 'Something went wrong on our side',
    message: 'It was not your fault, and we do not know whether your account is connected now.',
    advice:
      'Check the app that you came from, and start again there if necessary. The reference below helps us to find the cause.',
  },
} satisfies Record<BrowserError | 'invalid_form' | 'not_a_navigation' | 'unavailable' | 'internal', BrowserMessage>;

export type BrowserCode = keyof typeof browserMessages;

const fallback: BrowserMessage = {
  status: 400,
  title: 'Your account could not be connected',
  message: 'Something got in the way. Nothing was connected.',
  advice:
    'Start again from the app that you came from. If it happens again, show the reference below to the people who run it.',
};

/** The texts for a code; for an unknown one, texts that fit any. */
export function browserMessage(code: string, providerName = 'The other service'): BrowserMessage {
  const found: BrowserMessage = Object.hasOwn(browserMessages, code) ? browserMessages[code as BrowserCode] : fallback;
  const named = (text: string) => text.replaceAll('{provider}', () => providerName);
  return { ...found, title: named(found.title), message: named(found.message), advice: named(found.advice) };
}
