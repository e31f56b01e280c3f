// Every action that the audit log records: what it is about, and what it means. `docs/audit-actions.md` is made of this.

interface ActionDescription {
  /** What the entry is about. Says which of its members are set: `integration`, `owner`, `connection_id`, `detail`. */
  subject:
    | 'request'
    | 'connection'
    | 'connections'
    | 'connect session'
    | 'portal session'
    | 'session'
    | 'integration'
    | 'caller'
    | 'caller key'
    | 'JWT'
    | 'encryption key'
    | 'row'
    | 'webhook endpoint'
    | 'console session'
    | 'signing key'
    | 'job';
  description: string;
}

export const AUDIT_ACTIONS = {
  'access.denied': {
    subject: 'request',
    description: 'A caller was refused because its grants do not cover the request. `detail` names what is missing.',
  },
  'authentication.failed': {
    subject: 'request',
    description:
      'A request did not authenticate. `detail` has the reason, and what was presented: the first characters of a key, or issuer and subject as a token claims them; of `issuer_unavailable` also why the keys of the issuer cannot be fetched. Counted by minute; where there are too many to tell apart, by reason alone.',
  },
  'connection.callback_refused': {
    subject: 'request',
    description:
      'A browser came back to the redirect URI without a flow that it belongs to. `detail` has the reason. Counted by minute.',
  },
  'token.read': {
    subject: 'connection',
    description: 'A caller read the access token of a connection, or asked for a DPoP proof of it.',
  },
  'proxy.called': {
    subject: 'connection',
    description: 'A caller called the API of a connection through the proxy.',
  },
  'token.exchange': {
    subject: 'integration',
    description:
      'A token exchange. `detail` names the issuer and the subject of the subject token, and the actor if there is one; what came of it is another entry with the same `request_id`. If it is denied: because of its subject token or actor token, and `detail` has the reason.',
  },
  'jwt.verify': {
    subject: 'JWT',
    description: 'A caller had JWTs verified.',
  },
  'connect_session.created': {
    subject: 'connect session',
    description: 'A caller created a connect session. `detail` is its id.',
  },
  'connect_session.awaiting_finish': {
    subject: 'connect session',
    description:
      'An owner consented in a two-phase connect session; nothing is connected before a caller finishes it. `detail` is its id.',
  },
  'connect_session.finish_refused': {
    subject: 'connect session',
    description:
      'A caller tried to finish a connect session with a wrong code or verifier, or for another owner, which ends it. `detail` is its id, and why.',
  },
  'connect_session.cancelled': {
    subject: 'connect session',
    description: 'A caller cancelled a connect session, or revoked in bulk what it would connect. `detail` is its id.',
  },
  'connect_session.candidate_destroyed': {
    subject: 'connect session',
    description:
      'The broker destroyed the grant of a connect session that ended without its finish, and revokes it at the provider. `detail` is its id, and why.',
  },
  'connect_session.reopened': {
    subject: 'connect session',
    description: 'After a failure, the owner tried again in the browser. `detail` is the id of the session.',
  },
  'portal_session.created': {
    subject: 'portal session',
    description: "A caller made a link to the page of an owner's connections. `detail` is the id of its session.",
  },
  'portal_session.entered': {
    subject: 'portal session',
    description:
      'An owner opened the page of their connections in a browser. `detail` is the id of its session. What is done there has the actor `browser`, and that id as `subject`.',
  },
  'portal_session.ended': {
    subject: 'portal session',
    description: "The pages of an owner's connections ended, since a caller revoked all of them.",
  },
  'session.created': {
    subject: 'session',
    description:
      'A caller made an agent session. `detail` has its id, its actions, and the issuer of the actor token that names its agent, if one does; `session`, `agent` and `purpose` are its own. `*` as `integration` means several.',
  },
  'session.ended': {
    subject: 'session',
    description:
      'An agent session was ended, with all below it: by a caller, or since the provider said that the account of its owner is suspended, gone or signed out (`owner_signal`). `detail` is its id.',
  },
  'connection.created': {
    subject: 'connection',
    description:
      'An owner connected an account in the browser, or a caller finished the connect session; `detail` is then its id.',
  },
  'connection.imported': {
    subject: 'connection',
    description: 'A caller imported the credentials of a new connection.',
  },
  'connection.renewed': {
    subject: 'connection',
    description:
      'An owner reconnected in the browser, or a caller finished the connect session (`detail` is then its id) or imported new credentials.',
  },
  'connection.connect_failed': {
    subject: 'connection',
    description: 'A connect session failed in the browser. `detail` is the error that the caller sees.',
  },
  'connection.read': {
    subject: 'connection',
    description: 'A caller read a connection, without its token.',
  },
  'connection.list': {
    subject: 'connections',
    description: 'A caller listed connections. `*` as `integration` or `owner` means any.',
  },
  'connection.refreshed': {
    subject: 'connection',
    description: 'The broker refreshed the token of a connection.',
  },
  'connection.refresh_failed': {
    subject: 'connection',
    description: 'A refresh failed; the broker retries it where that can help. `detail` is the error code.',
  },
  'connection.needs_reauth': {
    subject: 'connection',
    description:
      'A refresh failed for good, or a check found the token of another account; the owner has to reconnect. `detail` is the reason.',
  },
  'connection.reactivated': {
    subject: 'connection',
    description:
      'The broker made a connection active again, and refreshes it: its grant was found dead with unlikely many others, or under settings of the integration that were changed, and `detail` is the reason that it had; or a late answer of the provider has brought new tokens (`late_answer`).',
  },
  'connection.retried': {
    subject: 'connection',
    description: 'A caller had a dead grant tried once more. `detail` is the reason that it had.',
  },
  'connection.refresh_requested': {
    subject: 'connection',
    description: 'Someone had the token of a connection refreshed, in the console. What came of it is another entry.',
  },
  'connection.held': {
    subject: 'connection',
    description:
      'The provider said that the account is suspended: the connection is neither served nor refreshed, and keeps its credentials. `detail` is the reason.',
  },
  'connection.released': {
    subject: 'connection',
    description:
      'The provider said that the account is enabled again: the connection is active, and refreshed before it is served.',
  },
  'connection.checked': {
    subject: 'connection',
    description:
      'A caller had a connection checked at its API. `detail` is `ok`, or why that says nothing of the grant.',
  },
  'connection.check_failed': {
    subject: 'connection',
    description:
      'A caller had a connection checked, and its API does not accept the token (`token_rejected`), or says that it is of another account (`identity_changed`). `detail` is which.',
  },
  'connection.capture_started': {
    subject: 'connection',
    description:
      'An admin has the calls of a connection through the proxy captured, with their bodies. `detail` is until when.',
  },
  'connection.capture_stopped': {
    subject: 'connection',
    description: 'An admin ended the capture of calls before its time.',
  },
  'connection.captures_read': {
    subject: 'connection',
    description: 'An admin read captured calls.',
  },
  'connection.revoked': {
    subject: 'connection',
    description: 'A caller revoked a connection; its credentials are deleted here.',
  },
  'connection.deauthorized': {
    subject: 'connection',
    description:
      'The provider told that the owner has withdrawn the grant; the owner has to reconnect. `detail` is the reason.',
  },
  'connection.reauth_due': {
    subject: 'connection',
    description: 'A grant ends soon, whatever the broker does, and its owner should reconnect. `detail` is when.',
  },
  'connection.revoked_upstream': {
    subject: 'connection',
    description: 'The revocation at the provider ended. `detail` is its outcome.',
  },
  'connection.unreadable_response_read': {
    subject: 'connection',
    description:
      'An operator read, on the command line, what a token endpoint answered without a token that could be found. `detail` is its id.',
  },
  'event.read': {
    subject: 'connections',
    description:
      'A caller read events. `detail` is the id of a single one; `*` as `integration` and `owner` means the feed, as far as the grants of the caller cover it.',
  },
  'integration.put': {
    subject: 'integration',
    description:
      'A caller created or replaced an integration. `detail` is its provider; `changed` names what is different.',
  },
  'integration.declared': {
    subject: 'integration',
    description:
      'The declarative file created or changed an integration. `detail` is its provider; `changed` names what is different.',
  },
  'integration.signals_set': {
    subject: 'integration',
    description: 'A caller changed how an integration receives security events. `changed` names what is different.',
  },
  'signals.stream_event': {
    subject: 'integration',
    description:
      'A transmitter of security events told something of its stream. `detail`: `verification` with the state that was sent when it was asked for, or `stream-updated` with the status.',
  },
  'integration.webhook_set': {
    subject: 'integration',
    description:
      'A caller or the declarative file changed how an integration receives webhooks. `changed` names what is different: secrets, the hook of the URL, the scheme.',
  },
  'integration.webhook_handshake': {
    subject: 'integration',
    description:
      'A caller opened the window in which a handshake of the provider may bring a key, or closed it. `detail` is for how long.',
  },
  'integration.webhook_key_received': {
    subject: 'integration',
    description:
      'A handshake of the provider brought a key, which verifies its webhooks from now on. The window is closed.',
  },
  'integration.deleted': {
    subject: 'integration',
    description: 'A caller deleted an integration.',
  },
  'integration.client_registered': {
    subject: 'integration',
    description:
      'The broker registered a client at the authorization server of a resource (RFC 7591). `detail` is its issuer.',
  },
  'integration.misconfigured': {
    subject: 'integration',
    description:
      'The provider refuses the client of an integration: its id, secret or settings are wrong. `detail` is the error code.',
  },
  'integration.recovered': {
    subject: 'integration',
    description: 'The provider accepts the client of an integration again.',
  },
  'webhook.list': {
    subject: 'integration',
    description: 'A caller listed received webhooks. `*` as `integration` means any.',
  },
  'webhook.read': {
    subject: 'integration',
    description: 'A caller read a received webhook, with its body. `detail` is its id.',
  },
  'webhook.processed': {
    subject: 'integration',
    description: 'A caller had a received webhook processed again. `detail` is its id.',
  },
  'caller.created': {
    subject: 'caller',
    description: 'A caller was created. `detail` is its id; `changed` names what was set.',
  },
  'caller.updated': {
    subject: 'caller',
    description: 'A caller was replaced. `detail` is its id; `changed` names what is different.',
  },
  'caller.declared': {
    subject: 'caller',
    description:
      'The declarative file created or changed a caller. `detail` is its id; `changed` names what is different.',
  },
  'caller.deleted': {
    subject: 'caller',
    description: 'A caller and its keys were deleted. `detail` is its id.',
  },
  'caller.key_added': {
    subject: 'caller key',
    description: 'A key was added to a caller. `detail` has both ids.',
  },
  'caller.key_deleted': {
    subject: 'caller key',
    description: 'A key of a caller was deleted. `detail` has both ids.',
  },
  'webhook_endpoint.created': {
    subject: 'webhook endpoint',
    description: 'A caller created a webhook endpoint. `detail` is its id.',
  },
  'webhook_endpoint.updated': {
    subject: 'webhook endpoint',
    description: 'A caller changed a webhook endpoint. `detail` is its id; `changed` names what is different.',
  },
  'webhook_endpoint.deleted': {
    subject: 'webhook endpoint',
    description: 'A caller deleted a webhook endpoint and its deliveries. `detail` is its id.',
  },
  'webhook_endpoint.secret_rotated': {
    subject: 'webhook endpoint',
    description: 'A caller rotated the secret of a webhook endpoint. `detail` is its id.',
  },
  'webhook_endpoint.tested': {
    subject: 'webhook endpoint',
    description: 'A caller had the event `test.ping` sent to a webhook endpoint. `detail` is its id.',
  },
  'webhook_endpoint.replayed': {
    subject: 'webhook endpoint',
    description:
      'A caller had the events of a time range sent to a webhook endpoint again. `detail` has its id and the range.',
  },
  'webhook_endpoint.disabled': {
    subject: 'webhook endpoint',
    description:
      'The broker disabled a webhook endpoint. `detail` has its id, and why: `gone` (it answered 410) or `failing` (for five days).',
  },
  'delivery.retried': {
    subject: 'webhook endpoint',
    description: 'A caller had a delivery attempted again. `detail` has its id, and that of the endpoint.',
  },
  'console_session.link_created': {
    subject: 'console session',
    description: 'A caller made a link that signs in to the console. `detail` has the id of its session, and the role.',
  },
  'console_session.opened': {
    subject: 'console session',
    description:
      'Someone signed in to the console: at the provider, or by a link. `actor` is `user:<subject>@<issuer>`; `detail` has the id of the session, and the role.',
  },
  'console_session.refused': {
    subject: 'request',
    description:
      'Someone signed in at the provider of the console, and no rule gives them a role. `detail` names them. Counted by minute.',
  },
  'console_session.ended': {
    subject: 'console session',
    description:
      'A console session was ended: by its user, by an admin, or since the user has signed out at the provider. `detail` is its id, or whose they were.',
  },
  'job.started': {
    subject: 'job',
    description:
      'A caller started long work. `detail` has the id of the job, and its kind. What it does is recorded as if the caller had done it, with the same `request_id`.',
  },
  'job.cancelled': {
    subject: 'job',
    description: 'A caller cancelled a job. What it had done stays done. `detail` has its id, and its kind.',
  },
  'job.completed': {
    subject: 'job',
    description: 'A job came to its end. `detail` has its id, and its kind.',
  },
  'job.failed': {
    subject: 'job',
    description:
      'A job was given up: its batches failed for about an hour, or its caller is gone or may not do this any more. `detail` has its id, its kind, and why.',
  },
  'signing_key.added': {
    subject: 'signing key',
    description:
      'The broker made a key that signs deliveries (`sgk_…`) or JWTs (`jwk_…`), or an operator rotated it. `detail` is its id.',
  },
  'signing_key.activated': {
    subject: 'signing key',
    description: 'A key began to sign JWTs, in place of the one before. `detail` is its id.',
  },
  'signing_key.withdrawn': {
    subject: 'signing key',
    description: 'An admin deleted a key that signed JWTs, so that no verifier finds it any more. `detail` is its id.',
  },
  'key.protection': {
    subject: 'encryption key',
    description:
      'A key rotation changed how brokers write secrets in the database, or how it protects its rows. `detail` is the key, `migrating` (what is written is bound to its owner and authenticated) or `enforced` (nothing else is accepted any more), and the form of what is written (`v3`).',
  },
  'row.refused': {
    subject: 'row',
    description:
      'A row was found that something else than a broker has changed, and is not used. `detail` is its table and id. Once for each row and process.',
  },
  'audit.seals_missing': {
    subject: 'row',
    description:
      'A broker found that the newest seals of the audit log, or its head, are not what a broker has left there: they were deleted or changed, or the database was set back. `detail` says what is wrong. See `valetkey audit verify`.',
  },
  'key.retired': {
    subject: 'encryption key',
    description: 'A key rotation found that an old encryption key protects nothing any more. `detail` is its id.',
  },
} as const satisfies Record<string, ActionDescription>;

export type AuditAction = keyof typeof AUDIT_ACTIONS;
