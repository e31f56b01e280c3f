// What a page says of the action that led to it. An action redirects to a page with the name of its notice (`?done=`), so that a
// reload repeats nothing, and an address says nothing that is not written here.

interface NoticeText {
  kind: 'done' | 'failed';
  text: string;
}

export const NOTICES = {
  session_ended: { kind: 'done', text: 'The session was ended, with those that were made with it.' },
  sessions_ended: { kind: 'done', text: 'All sessions of this owner were ended.' },
  signed_out_session: { kind: 'done', text: 'The session was ended.' },
  refreshed: { kind: 'done', text: 'The token was refreshed.' },
  revoked: { kind: 'done', text: 'The connection was revoked here; the provider is told as well.' },
  retried: { kind: 'done', text: 'The grant was tried once more, and works.' },
  check_ok: { kind: 'done', text: 'The API accepts the token.' },
  check_failed: { kind: 'failed', text: 'The API does not accept the token.' },
  check_unknown: { kind: 'failed', text: 'The API did not say whether the token works. Try again in a moment.' },
  integration_created: { kind: 'done', text: 'The integration is set up. What follows makes it work.' },
  integration_created_hook: {
    kind: 'done',
    text: 'It is saved. The webhook URL below has a secret part and is shown only now: copy it before you leave this page.',
  },
  integration_saved: { kind: 'done', text: 'The settings are saved, and hold everywhere from now on.' },
  integration_deleted: { kind: 'done', text: 'The integration was deleted.' },
  secrets_replaced: {
    kind: 'done',
    text: 'The secrets were replaced, and hold from now on. Connections whose refreshes have failed are tried again now, as fast as the rate limit lets them: their number shows whether the new ones work.',
  },
  nothing_given: { kind: 'failed', text: 'Nothing was changed: no field was filled in.' },
  handshake_opened: {
    kind: 'done',
    text: 'For ten minutes, a handshake of the provider may bring its key. Start it there now.',
  },
  delivery_due: { kind: 'done', text: 'The delivery is due now. What comes of it is shown here in a moment.' },
  test_sent: { kind: 'done', text: 'A test event is on its way. What comes of it is shown here in a moment.' },
  endpoint_enabled: { kind: 'done', text: 'The endpoint is enabled. What was waiting for it is sent now.' },
  endpoint_disabled: { kind: 'done', text: 'The endpoint is disabled. Nothing is sent to it from now on.' },
  endpoint_deleted: { kind: 'done', text: 'The endpoint was deleted, with its deliveries.' },
  webhook_due: { kind: 'done', text: 'It is processed again. What comes of it is shown here in a moment.' },
  caller_created: { kind: 'done', text: 'The caller was created. It signs in with tokens of its platform.' },
  caller_saved: { kind: 'done', text: 'The caller was changed.' },
  caller_deleted: { kind: 'done', text: 'The caller was deleted, and its keys are refused.' },
  grants_saved: { kind: 'done', text: 'Its grants were changed, and hold from the next request on.' },
  workloads_saved: { kind: 'done', text: 'Its workload identities were changed.' },
  key_deleted: { kind: 'done', text: 'The key was deleted, and is refused.' },
  capture_started: { kind: 'done', text: 'Calls of this connection through the proxy are captured from now on.' },
  capture_stopped: { kind: 'done', text: 'The capture has ended. What was captured stays for a day.' },
  check_not_made: { kind: 'failed', text: 'The check was not made: below is why the connection does not work.' },
  refresh_failed: { kind: 'failed', text: 'The refresh failed. What is known of it is below.' },
  retry_failed: {
    kind: 'failed',
    text: 'The grant was tried once more, or cannot be, and does not work. What is known of it is below.',
  },
  reconnect_failed: { kind: 'failed', text: 'No link was made. What is known of it is below.' },
  job_started: {
    kind: 'done',
    text: 'It was started. You can leave this page and find it again under Keys and system.',
  },
  job_cancelled: { kind: 'done', text: 'It is cancelled. What was done stays done.' },
} as const satisfies Record<string, NoticeText>;
export type Notice = keyof typeof NOTICES;
