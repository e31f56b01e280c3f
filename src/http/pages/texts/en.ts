// The texts of the pages in English: what every other language translates. `{app}`, `{provider}` and their like are filled in.
export const en = {
  lang: 'en',
  dir: 'ltr',
  foot: 'Valetkey looks after the keys to your connected accounts.',
  form: {
    tryAgain: 'Try again',
    optional: '(optional)',
    example: 'For example {example}.',
    error: 'Error: {message}',
    check: 'Please check what you entered',
    noCookie:
      'Your browser has not sent the cookie of this page, and nothing works without it. Allow cookies for this site, and try again.',
    required: '{field} is required',
    invalid: 'not a valid {field}',
    requiredExample: '{field} is required, for example {example}',
    invalidExample: 'not a valid {field}, for example {example}',
  },
  stub: {
    whoAsks: 'Who asks',
    onBehalfOf: 'On behalf of',
    accountAt: 'Account at',
    connectedAs: 'Connected as',
    whatHappened: 'What happened',
    reference: 'Reference',
  },
  confirm: {
    heading: 'Connect your {provider} account to {app}',
    lead: '{app} asks for access to your {provider} account. {provider} asks you to sign in and to agree; after that, {app} can use the account for the person who made this link, also while you are away.',
    leadFor:
      '{app} asks for access to your {provider} account, on behalf of {owner}. {provider} asks you to sign in and to agree; after that, {app} can use the account for {owner}, also while you are away.',
    caution:
      'Continue only if you started this yourself in {app}. If someone sent you this link, your account would be connected for them: close this window.',
    whereIsAccount: '{provider} needs to know where to find your account.',
    go: 'Continue to {provider}',
  },
  picker: {
    heading: 'Choose an account to connect to {app}',
    lead: '{app} asks for access to one of your accounts. After you agree, {app} can use the account for the person who made this link, also while you are away.',
    leadFor:
      '{app} asks for access to one of your accounts, on behalf of {owner}. After you agree, {app} can use the account for {owner}, also while you are away.',
    choices: 'Where is your account?',
    another: 'Choose another account',
  },
  credentials: {
    lead: '{app} asks for access to your {provider} account. With what you enter here, {app} can use the account for the person who made this link, also while you are away.',
    leadFor:
      '{app} asks for access to your {provider} account, on behalf of {owner}. With what you enter here, {app} can use the account for {owner}, also while you are away.',
    checked: 'What you enter is checked at {provider} and kept encrypted. It is not shown again.',
    whereToFind: 'Where to find this at {provider} (opens a new window)',
    go: 'Check and connect',
    rejected: '{provider} does not accept what you entered. Nothing was stored.',
    unexpected: '{provider} gave an answer that we do not know. Check what you entered. Nothing was stored.',
    unavailable:
      '{provider} does not answer right now, so that what you entered could not be checked. Nothing was stored: wait a moment, enter it again, and try again.',
  },
  connected: {
    title: '{provider} is connected',
    heading: 'Your {provider} account is connected',
    close: 'You can close this window.',
    back: 'Continue to {app}',
  },
  waiting: {
    heading: 'Just a moment',
    lead: 'Your account is being connected. This page shows the outcome as soon as it is known.',
    stuck: 'If you have left the page where you sign in, or nothing happens within a minute, try again.',
  },
  wanted: 'The account that is connected is {account}.',
  portal: {
    heading: 'Your connected accounts',
    welcome:
      'Here you see which of your accounts are connected to {app}, and can connect them again or disconnect them.',
    caution: 'Continue only if you came here from {app}. If someone sent you this link, close this window.',
    enter: 'Show my accounts',
    lead: 'These accounts are connected to {app}.',
    none: 'No account is connected to {app}.',
    active: 'Connected',
    needsReauth: 'Must be connected again',
    onHold: 'Suspended by {provider}',
    since: 'Since',
    account: 'Account',
    label: 'Name',
    status: 'Status',
    more: 'Show more',
    reconnect: 'Connect again',
    disconnect: 'Disconnect',
    confirmHeading: 'Disconnect your {provider} account?',
    confirmLead: 'Once you disconnect it, {app} can no longer use the account. You can connect it again later.',
    keep: 'Keep it',
    disconnected: 'The {provider} account is disconnected.',
    reconnected: 'The {provider} account is connected.',
    notReconnected: 'The account was not connected.',
    back: 'Back to {app}',
  },
  refusals: {
    invalid_state: {
      title: 'This sign-in cannot be continued',
      message: 'The response does not belong to a sign-in that is in progress in this browser.',
      advice:
        'It may be finished already, or it took too long. If your account is not connected, start again from the app that you came from.',
    },
    other_browser: {
      title: 'Please use the browser that you started with',
      message: 'This link was first opened in another browser, and only that one can continue. Nothing was connected.',
      advice:
        'Go back to that browser, or ask for a new link. If you did not open it before, do not continue, and tell the person who sent it.',
    },
    invitation_used: {
      title: 'This link has been used',
      message: 'Each link works only once.',
      advice: 'If your account is not connected, ask for a new link in the app that you came from.',
    },
    invitation_expired: {
      title: 'This link has expired',
      message: 'For your safety, a link works for ten minutes only. Nothing was connected.',
      advice: 'Ask for a new link in the app that you came from.',
    },
    invitation_cancelled: {
      title: 'This link is no longer valid',
      message: 'It was withdrawn by the app that it came from. Nothing was connected.',
      advice: 'Ask for a new link in the app that you came from.',
    },
    access_denied: {
      title: 'You cancelled',
      message: 'You cancelled. Nothing was connected.',
      advice: 'You can close this window. If you change your mind, start again from the app that you came from.',
    },
    provider_error: {
      title: '{provider} said no',
      message: '{provider} refused to connect your account. Nothing was connected.',
      advice:
        'You may not have the necessary permissions, or an administrator has to approve this first. If in doubt, show the reference below to the people who run the app.',
    },
    provider_unavailable: {
      title: '{provider} does not answer',
      message: '{provider} cannot be reached right now. Nothing was connected.',
      advice: 'Wait a few minutes, then start again from the app that you came from.',
    },
    invalid_answer: {
      title: 'The answer could not be trusted',
      message: 'What came back from {provider} did not pass our checks, so we did not use it. Nothing was connected.',
      advice:
        'Start again from the app that you came from. If it happens again, show the reference below to the people who run it.',
    },
    identity_mismatch: {
      title: 'That is a different account',
      message: 'You signed in to {provider} with another account than the one that is connected. Nothing was changed.',
      advice:
        'Sign in to {provider} with the account that you used before. You can try again, or ask for a new link later.',
    },
    account_unknown: {
      title: 'We could not tell which account that is',
      message: '{provider} did not say whose account you signed in with. Nothing was changed.',
      advice: 'Ask for a new link, and allow everything that {provider} asks for.',
    },
    integration_misconfigured: {
      title: 'The connection to {provider} is not set up properly',
      message: 'This is not your fault, and trying again will not help. Nothing was connected.',
      advice: 'Show the reference below to the people who run the app: they have to fix its settings.',
    },
    connection_gone: {
      title: 'This connection no longer exists',
      message: 'It has been removed, so there is nothing to renew.',
      advice: 'Ask for a new link in the app that you came from to connect your account again.',
    },
    not_found: {
      title: 'There is nothing here',
      message: 'This link is not one of ours, or a part of it is missing.',
      advice: 'Copy the whole link, or ask for a new one in the app that you came from.',
    },
    not_a_navigation: {
      title: 'Open this link in a window of its own',
      message: 'The link was requested by a preview, by another page, or in advance, and not opened by a person.',
      advice: 'Click on it, or copy it into the address bar. It still works.',
    },
    invalid_form: {
      title: 'What you entered could not be read',
      message: 'The form was damaged, or much too long. Nothing was connected.',
      advice: 'Go back, enter it again, and keep it short. The link still works.',
    },
    portal_ended: {
      title: 'This page has ended',
      message: 'For your safety, the page of your connected accounts is open for an hour only, in one browser.',
      advice: 'Open it again from the app that you came from.',
    },
    unavailable: {
      title: 'Too busy right now',
      message: 'We cannot look this up at the moment. Nothing was connected.',
      advice: 'Wait a moment, then try again. The link still works.',
    },
    internal: {
      title: 'Something went wrong on our side',
      message: 'It was not your fault, and we do not know whether your account is connected now.',
      advice:
        'Check the app that you came from, and start again there if necessary. The reference below helps us to find the cause.',
    },
    other: {
      title: 'Your account could not be connected',
      message: 'Something got in the way. Nothing was connected.',
      advice:
        'Start again from the app that you came from. If it happens again, show the reference below to the people who run it.',
    },
  },
  theOtherService: 'The other service',
};

/** The same texts in another language: one that is missing is a type error. */
export type Texts = typeof en;
