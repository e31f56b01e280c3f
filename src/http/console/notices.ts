// What a page says of the action that led to it. An action redirects to a page with the name of its notice (`?done=`), so that a
// reload repeats nothing, and an address says nothing that is not written here.

interface NoticeText {
  kind: 'done' | 'failed';
  text: string;
}

export const NOTICES = {
  signed_out_session: { kind: 'done', text: 'The session was ended.' },
  refreshed: { kind: 'done', text: 'The token was refreshed.' },
  revoked: { kind: 'done', text: 'The connection was revoked here; the provider is told as well.' },
  retried: { kind: 'done', text: 'The grant was tried once more, and works.' },
  check_ok: { kind: 'done', text: 'The API accepts the token.' },
  check_failed: { kind: 'failed', text: 'The API does not accept the token.' },
  check_unknown: { kind: 'failed', text: 'The API did not say whether the token works. Try again in a moment.' },
} as const satisfies Record<string, NoticeText>;
export type Notice = keyof typeof NOTICES;
