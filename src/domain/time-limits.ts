// Every time limit of the product. test/domain/time-limits.test.ts holds how they depend on one another, and fails if one is
// defined elsewhere. The client and the command line are separate packages and have their own.

const SECOND_MS = 1_000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;
export const DAY_MS = 24 * HOUR_MS;

// When a token is refreshed.

/** A refresh is due this long before the token expires, or at half of a shorter life. */
export const REFRESH_MARGIN_MS = 5 * MINUTE_MS;
/** A read that names no `min_ttl` requires the token to live this long. */
export const DEFAULT_MIN_TTL_MS = MINUTE_MS;
/** The end of a grant that does not move may seem to by this much: responses take time, and ends are in whole seconds. */
export const GRANT_END_TOLERANCE_MS = 5 * SECOND_MS;
/** The scheduler looks for due connections this often. */
export const SCHEDULER_TICK_MS = SECOND_MS;
/** A connection that was due and claimed, or could not be refreshed, is due again after this long if nothing else says when. */
export const CLAIMED_DUE_AGAIN_MS = 30 * SECOND_MS;
/** What is late by this much is left to no replica alone: others may refresh it too. */
export const DUE_FOR_OTHERS_MS = 5 * SECOND_MS;
/** Replicas count as alive for the division of what is due as they were found this long ago at most. */
export const LIVE_HOLDERS_TTL_MS = 2 * SECOND_MS;
/**
 * A look for what is due begins where the last one has found that nothing is left, less this: commits take time, and clocks
 * differ. What comes in earlier is found by the look at everything.
 */
export const DUE_LOOKBACK_MS = 5 * SECOND_MS;
/** After this long, the look for what is due begins at the start of the index again. */
export const DUE_FULL_LOOK_MS = MINUTE_MS;
/**
 * After an outage in which the store may have lost commits, the scheduler claims nothing for this long, so that the
 * processes that remember those commits can commit them again. Refreshes in doubt are resolved meanwhile.
 */
export const SCHEDULER_HOLD_MS = 4 * SECOND_MS;
/** Of the rate-limit tokens, a process prefetches no more than what comes in within this time: it is withheld from others. */
export const RATE_LIMIT_PREFETCH_MS = 50;
/** Prefetched tokens that are not used expire. Refreshes closer than this share the takes, each of which is a transaction. */
export const RATE_LIMIT_TOKEN_MS = SECOND_MS;
/**
 * While the bucket has fewer tokens than are wanted, they are taken in portions, of what comes in within this time at most:
 * each take is a transaction, and refreshes that begin together share their commits. Background refreshes take portions of
 * `RATE_LIMIT_PREFETCH_MS`.
 */
export const RATE_LIMIT_READ_PORTION_MS = 20;
/**
 * Background refreshes that wait for rate-limit tokens are as many as can begin within this time: what waits is in memory, and
 * survives collections of garbage. More is looked for when half of it has begun, so that there are two portions of it whenever
 * one is taken: a smaller rest is taken sooner, and in more transactions.
 */
export const REFRESH_BACKLOG_MS = 3 * RATE_LIMIT_PREFETCH_MS;

// One refresh.

/**
 * A request that spends a refresh token is left open this long: a slow response is not a lost one. Without a response by then
 * it counts as lost, and is requested once more.
 */
export const REFRESH_DEADLINE_MS = 2 * MINUTE_MS;
/**
 * A refresh without a response for this long is slow: others may take its place in the rate limiter, the circuit breaker
 * counts it as a failure, and new readers do not wait for it.
 */
export const SLOW_REFRESH_MS = 10 * SECOND_MS;
/** The `Retry-After` of readers that a slow refresh does not answer. */
export const SLOW_RETRY_AFTER_MS = 5 * SECOND_MS;
/** The shortest reuse window that is common: this long, a provider answers a spent refresh token with the same successor. */
export const REUSE_WINDOW_MS = 10 * SECOND_MS;
/**
 * An integration is known to refreshes for this long, unless its change is heard of before: a standby may lack one, and no one
 * would hear of that.
 */
export const KNOWN_INTEGRATION_TTL_MS = 10 * SECOND_MS;
/** A lost response is requested again this long after the last request, and this long before the window closes at the latest. */
export const LOST_RESPONSE_RETRY_MS = SECOND_MS;
/**
 * A process that has seen another living one hold the same claim for this long may take the lease over. Far longer than the
 * slowest refresh takes, so that a slow commit does not let two processes spend one refresh token. A dead holder's
 * lease ends sooner: `PROCESS_DEAD_AFTER_MS` (PostgreSQL), its file lock (SQLite).
 */
export const LEASE_MS = 5 * MINUTE_MS;
/**
 * The refresh token must be sent within this time after its lease was claimed, otherwise it is claimed again. Far shorter
 * than any process may observe the lease before it takes it over, and longer than what precedes the request takes.
 */
export const SEND_AFTER_CLAIM_MS = MINUTE_MS;
/**
 * A process that has stopped answering may only be frozen, and may have spent the refresh token: where the provider is not
 * known to answer a spent one again, its lease is not taken over before this much silence.
 */
export const LEASE_IN_DOUBT_MS = 2 * MINUTE_MS;
/** A lease that is in doubt is not claimed again before this much time. */
export const LEASE_IN_DOUBT_RETRY_MS = 5 * SECOND_MS;
/** A refresh waits this long for the process that holds the lease: longer than for one that is not slow. */
export const HOLDER_WAIT_MS = 13 * SECOND_MS;
/** While it waits for the holder, it tries to claim the lease again after this long. */
export const LEASE_RETRY_MS = SECOND_MS;
/** Between two tries to claim, it looks for the holder's new generation this often. */
export const NEW_GENERATION_POLL_MS = 50;
/** A reader waits this long for a refresh, then gets a `Retry-After`. The refresh continues. */
export const READER_WAIT_MS = 15 * SECOND_MS;
/** The shortest `Retry-After` that a reader is given. */
export const MIN_RETRY_AFTER_MS = SECOND_MS;
/** `Retry-After` of a forced refresh when the rejected token is still the only one. */
export const REJECTED_TOKEN_RETRY_MS = 10 * SECOND_MS;

// The commit of a response.

/** Delays between tries to commit a response that neither the store nor the rescue file takes; the last one repeats. */
export const COMMIT_RETRY_DELAYS_MS: readonly number[] = [50, 100, 250, 500, 1_000, 2_000];
/** Delays between tries to write the rescue file: another process locks it for moments only. */
export const RESCUE_FILE_RETRY_DELAYS_MS: readonly number[] = [10, 20, 40, 80];
/** SQLite waits this long for a lock on the rescue file; this process is blocked meanwhile. */
export const RESCUE_FILE_BUSY_TIMEOUT_MS = 50;
/** The rescue file is replayed into the store this often while it has entries. */
export const RESCUE_REPLAY_INTERVAL_MS = 2 * SECOND_MS;
/** A commit is remembered this long, in case a standby takes the database over without it: longer than a failover takes. */
export const RECENT_COMMIT_TTL_MS = 10 * MINUTE_MS;
/** So long an operation that took access away is, also by the next process of the machine: longer than an outage takes. */
export const WITHDRAWAL_TTL_MS = HOUR_MS;

// Back-offs: the first delay doubles with each failure, up to the longest.

/** Work that no reader waits for. */
export const BACKGROUND_BACKOFF_FIRST_MS = 30 * SECOND_MS;
export const BACKGROUND_BACKOFF_MAX_MS = 30 * MINUTE_MS;
/** Reads: how long the last failure is reported before one of them may try again. */
export const READ_BACKOFF_FIRST_MS = SECOND_MS;
export const READ_BACKOFF_MAX_MS = 30 * SECOND_MS;
/** An open circuit breaker, until it sends the next probe. */
export const CIRCUIT_BACKOFF_FIRST_MS = 2 * SECOND_MS;
export const CIRCUIT_BACKOFF_MAX_MS = MINUTE_MS;
/** A `Retry-After` keeps a circuit breaker open for this long at most: it may concern one owner only. */
export const CIRCUIT_RETRY_AFTER_MAX_MS = MINUTE_MS;
/** A `Retry-After` is honoured for this long at a time; if the provider asks for more, it is asked again this often. */
export const RETRY_AFTER_MAX_MS = 15 * MINUTE_MS;
/** For how long a longer one is remembered: until then, failures are not retried sooner than that. */
export const RETRY_AFTER_REMEMBERED_MAX_MS = 24 * HOUR_MS;
/** A refresh is tried once more this long before the token expires or the grant ends, whatever wait was asked for. */
export const LAST_TRY_BEFORE_END_MS = 30 * SECOND_MS;
/** Failures that are further apart than this are not in a row. */
export const CIRCUIT_RUN_TTL_MS = 10 * MINUTE_MS;

// Whose fault a refused refresh is.

/** A connection whose client is refused for this long, while others of its endpoint succeed, has a fault of its own. */
export const OWN_FAULT_AFTER_MS = 3 * MINUTE_MS;
/** The same while only connections of other endpoints succeed: their hosts say less about this one. */
export const OWN_FAULT_OF_ENDPOINT_AFTER_MS = 15 * MINUTE_MS;
/** Dead grants within this time are counted together. */
export const DEAD_GRANTS_WINDOW_MS = MINUTE_MS;
/** From the response to a refresh until its verdict is stored, in a process that is slow. */
export const DEAD_GRANTS_RECORDED_MS = 10 * SECOND_MS;
/** Unlikely many dead grants are doubted for this long, then believed. */
export const DEAD_GRANTS_DOUBT_MS = 15 * MINUTE_MS;
/** Dead grants that no success has followed are tried again when their integration is changed, if they are not older. */
export const DEAD_GRANTS_RETRY_MS = 24 * HOUR_MS;

// Requests to providers and issuers.

/** The outbound deadline, from the call to the last byte of the body. Connections must be made within it in any case. */
export const OUTBOUND_DEADLINE_MS = 10 * SECOND_MS;
/** A name that the system has not resolved by then is slow: the name servers are asked for it too. */
export const NAME_LOOKUP_SLOW_MS = 500;
/** Each of two questions to a name server. */
export const NAME_SERVER_TIMEOUT_MS = 2 * SECOND_MS;
/** A name that has waited this long for the resolver of the system is not looked up: the request that it was for has failed. */
export const NAME_LOOKUP_WAIT_MS = 10 * SECOND_MS;
/** A code is good for one exchange, and its owner waits: longer than other requests, and shorter than proxies wait (60 s). */
export const CODE_EXCHANGE_DEADLINE_MS = 50 * SECOND_MS;
/** A deadline that fires late by more than this shows that the process was frozen: it is extended. */
export const FROZEN_AFTER_MS = 500;
/** Then what was under way goes on for this long before it has failed. */
export const FROZEN_EXTENSION_MS = 2 * SECOND_MS;
/** A lookup of what the catalogue captures; an owner or a refresh waits for it. */
export const LOOKUP_DEADLINE_MS = 5 * SECOND_MS;
/** A spent refresh waits this long for the keys that validate its ID token, then drops the ID token. */
export const ID_TOKEN_KEYS_WAIT_MS = 2 * SECOND_MS;
/** How far the clocks of an issuer and of this process may differ (RFC 7519 4.1.4). */
export const CLOCK_TOLERANCE_S = 30;
/**
 * A JWT that is used as a credential may be this old, unless `max_age` says otherwise. Kubernetes renews its tokens after a
 * day, and those of clouds live for a day.
 */
export const CREDENTIAL_MAX_AGE_MS = 2 * DAY_MS;
/** A discovery that begins at a protected resource, all of its requests together: an owner or a caller waits for it. */
export const DISCOVERY_DEADLINE_MS = 20 * SECOND_MS;
/** Within this time, an owner has a bounded number of resources asked. */
export const DISCOVERY_WINDOW_MS = HOUR_MS;
/** The `Retry-After` of a caller where a resource or its authorization server cannot be reached. */
export const DISCOVERY_RETRY_MS = 5 * SECOND_MS;
/** What a protected resource says of itself is used this long for further connections. Far shorter than for an issuer: owners wait for a change. */
export const RESOURCE_METADATA_TTL_MS = MINUTE_MS;
/** What it says after a challenge is used for further challenges this long. */
export const CHALLENGE_TTL_MS = 5 * SECOND_MS;
/** Within this time, challenges have the metadata of a resource read a few times only. */
export const CHALLENGE_WINDOW_MS = MINUTE_MS;
/** The claim to register a client: longer than the registration can take. */
export const REGISTRATION_CLAIM_MS = 45 * SECOND_MS;
/** Another process looks for the registered client this often, and waits for it this long. */
export const REGISTRATION_POLL_MS = 100;
export const REGISTRATION_WAIT_MS = 30 * SECOND_MS;
/** Within this time, a few registrations are made for an owner, at an issuer, and for an integration. */
export const REGISTRATION_WINDOW_MS = HOUR_MS;
/** A registered client that begins a connection is noted so often. */
export const REGISTRATION_TOUCH_MS = HOUR_MS;
/** One that has begun no connection for this long is deleted. The connections that it has made keep it. */
export const REGISTRATION_RETENTION_MS = 90 * DAY_MS;
/** A registered client is replaced this long before its secret expires, or after half of a shorter life. */
export const REGISTRATION_MARGIN_MS = HOUR_MS;
/** How long others may keep a client id metadata document (`max-age`). */
export const CLIENT_DOCUMENT_MAX_AGE_MS = HOUR_MS;
/** The authorizations for further scopes within this time are counted together. */
export const STEP_UP_WINDOW_MS = HOUR_MS;
/** An issuer's metadata are used this long without a request. */
export const METADATA_TTL_MS = HOUR_MS;
/** Stale metadata are used this long before the issuer is asked again. */
export const METADATA_RETRY_MS = MINUTE_MS;
/** An issuer's keys are used this long without a request. */
export const JWKS_TTL_MS = 10 * MINUTE_MS;
/** An issuer's keys are used this long while the issuer is down. */
export const JWKS_STALE_MS = 24 * HOUR_MS;
/** After a failure, an issuer is not asked for its keys for this long. */
export const JWKS_RETRY_MS = 5 * SECOND_MS;
/** Tokens with unknown keys cause one request to their issuer in this time. */
export const JWKS_RENEWAL_INTERVAL_MS = 30 * SECOND_MS;

// Calls through the API proxy.

/** A connection to an API must be made within this time: DNS, TCP and TLS together. */
export const UPSTREAM_CONNECT_TIMEOUT_MS = 5 * SECOND_MS;
/** The first byte of a response must come within this time after the request was sent. */
export const UPSTREAM_FIRST_BYTE_TIMEOUT_MS = 30 * SECOND_MS;
/** A call on which no byte moves for this long, in either direction, has ended. Streams have no other limit. */
export const UPSTREAM_IDLE_TIMEOUT_MS = MINUTE_MS;
/** A check of a connection, with a renewal of its token and a second call. */
export const CHECK_DEADLINE_MS = 20 * SECOND_MS;
/** It waits this long for a limit of the API, each time. */
export const CHECK_MAX_WAIT_MS = 5 * SECOND_MS;
/** A token that replaced a rejected one, and is rejected too, is not replaced again for so long. */
export const UPSTREAM_RENEWAL_PAUSE_MS = 30 * SECOND_MS;
/** A body that is to be signed waits this long for memory … */
export const SIGNED_BODY_WAIT_MS = 5 * SECOND_MS;
/** … and has to be here within this time: it holds the memory meanwhile. */
export const SIGNED_BODY_TIMEOUT_MS = MINUTE_MS;
/** The `Retry-After` of an API that cannot be reached and does not say. */
export const UPSTREAM_RETRY_AFTER_S = 5;
/** A caller that is answered while it sends may send on for this long, so that it reads the answer before the connection ends. */
export const CALLER_LINGER_MS = SECOND_MS;
/** Waits between attempts are drawn between 0 and this, doubled with each attempt. */
export const UPSTREAM_BACKOFF_FIRST_MS = 200;
export const UPSTREAM_BACKOFF_MAX_MS = 5 * SECOND_MS;
/** A caller may have its call wait this long at most for a limit of the API. */
export const UPSTREAM_MAX_WAIT_MS = 5 * MINUTE_MS;
/** What a decrypted key or credential of a connection is kept for, to sign with. */
export const SIGNING_CREDENTIALS_TTL_MS = 5 * MINUTE_MS;

// Limits of APIs, and the breakers of their hosts.

/** What an answer asks to wait is honoured between these: a longer wait is asked for again. */
export const LIMIT_WAIT_MIN_MS = SECOND_MS;
export const LIMIT_WAIT_MAX_MS = HOUR_MS;
/** The first wait where a refusal does not say how long. It doubles with each in a row. */
export const LIMIT_DEFAULT_WAIT_MS = SECOND_MS;
export const LIMIT_DEFAULT_WAIT_MAX_MS = 5 * MINUTE_MS;
/** A time that is further away is of another unit than the catalogue says, or a lie: it is ignored … */
export const LIMIT_ABSURD_MS = 31 * DAY_MS;
/** … as is one that passed this long ago. */
export const LIMIT_PAST_MS = HOUR_MS;
/** The clock of an API that is further from ours than this is the one that its times are read by. */
export const LIMIT_SKEW_NOTICED_MS = 30 * SECOND_MS;
/** After an answer that was no refusal, and says that nothing remains, a call is tried again at the latest after this. */
export const LIMIT_UNREFUSED_MAX_MS = 5 * MINUTE_MS;
/** Tokens of a rate are taken for as many calls as were made within this time; unused ones expire after twice that. */
export const LIMIT_PREFETCH_MS = 500;
/** A call waits this long for the store, then this process counts alone … */
export const LIMIT_STORE_WAIT_MS = 250;
/** … for this long, before the store is asked again. */
export const LIMIT_STORE_RETRY_MS = SECOND_MS;
/** While there are calls, what other replicas have blocked is read this often … */
export const LIMIT_SHARED_POLL_MS = SECOND_MS;
/** … and for this long after the last one. */
export const LIMIT_SHARED_IDLE_MS = MINUTE_MS;
/** What was read longer ago is read again before a call is made. */
export const LIMIT_SHARED_STALE_MS = 5 * SECOND_MS;
/** The others are not told of a shorter block: it ends before they hear of it. */
export const LIMIT_SHARE_MIN_MS = 2 * SECOND_MS;
/** A limit is used by several callers if another one has called within this time: then none takes its last place. */
export const LIMIT_CALLER_RECENT_MS = 10 * MINUTE_MS;
/** A bucket that nothing was taken from for this long is full, and deleted: longer than the longest window. */
export const LIMIT_BUCKET_IDLE_MS = 2 * DAY_MS;
/** Such buckets are looked for this often. */
export const LIMIT_PRUNE_INTERVAL_MS = HOUR_MS;
/** The calls of so many seconds are what a breaker judges a host by. */
export const UPSTREAM_BREAKER_WINDOW_MS = 10 * SECOND_MS;
/** An open breaker probes after the shorter of these at first, and after the longer one at the latest. */
export const UPSTREAM_BREAKER_PAUSE_MIN_MS = 5 * SECOND_MS;
export const UPSTREAM_BREAKER_PAUSE_MAX_MS = 30 * SECOND_MS;

// Revocations at providers.

/** A caller waits this long for the provider to revoke, then is answered `pending`. */
export const REVOCATION_WAIT_MS = 5 * SECOND_MS;
/** A revocation that one process delivers is not taken by another one for this long. */
export const REVOCATION_CLAIM_MS = MINUTE_MS;
/** A revocation that the provider has not confirmed after this long is given up, and the tokens are destroyed. */
export const REVOCATION_GIVE_UP_MS = 7 * DAY_MS;
/** A revocation that could end a grant which an owner is about to get waits this long, then looks again. */
export const RECONNECT_WAIT_MS = 15 * SECOND_MS;
/** A code is not exchanged before revocations that could end the new grant have ended, but is after this long. */
export const REVOCATIONS_END_WAIT_MS = 12 * SECOND_MS;
/** Meanwhile, it looks this often whether they have. */
export const REVOCATIONS_END_POLL_MS = 50;
/** The outbox of revocations is looked at this often. */
export const OUTBOX_POLL_MS = 5 * SECOND_MS;

// Deliveries of events to webhook endpoints.

/** One attempt, from the first byte to the last of the response. */
export const DELIVERY_DEADLINE_MS = 15 * SECOND_MS;
/** A delivery that one process attempts is not taken by another one for this long. After a kill, it is attempted again then. */
export const DELIVERY_CLAIM_MS = 30 * SECOND_MS;
/** The waits after the failed attempts of a delivery, each shifted by up to `DELIVERY_JITTER`; after the last, it is dead. */
export const DELIVERY_RETRIES_MS = [
  5 * SECOND_MS,
  5 * MINUTE_MS,
  30 * MINUTE_MS,
  2 * HOUR_MS,
  5 * HOUR_MS,
  10 * HOUR_MS,
  14 * HOUR_MS,
  20 * HOUR_MS,
  24 * HOUR_MS,
] as const;
/** A `Retry-After` of an endpoint is honoured up to this. */
export const DELIVERY_RETRY_AFTER_MAX_MS = 24 * HOUR_MS;
/** An endpoint that is too slow, or answers 429, is left alone for this long at least. */
export const DELIVERY_THROTTLED_MS = MINUTE_MS;
/** An endpoint that has only failed for this long is disabled. */
export const ENDPOINT_FAILING_MAX_MS = 5 * DAY_MS;
/**
 * The delivery that fails then has failed before: so long after the first failure, and so long ago. Around one
 * setting of a clock there is no such failure, so that it disables nothing, unless that endpoint has failed for hours already.
 */
export const ENDPOINT_FAILURES_APART_MS = 6 * HOUR_MS;
/** The replaced secret of an endpoint signs as well for this long. */
export const ENDPOINT_SECRET_OVERLAP_MS = 24 * HOUR_MS;
/** Due deliveries are looked for this often; those of events of this process at once. */
export const DELIVERY_POLL_MS = SECOND_MS;
/** Results of attempts within this time are written in one commit. */
export const DELIVERY_SETTLE_MS = 10;
/** When that fails, the results are written again after this. */
export const DELIVERY_SETTLE_RETRY_MS = SECOND_MS;
/** An endpoint that takes longer than this for an attempt is slow: it is sent one delivery at a time. */
export const ENDPOINT_SLOW_MS = SECOND_MS;
/** The signing keys are read again after this: so long a process does not sign with a new one yet. */
export const SIGNING_KEYS_CACHE_MS = MINUTE_MS;
/** A signing key that was rotated signs as well for this long … */
export const SIGNING_KEY_OVERLAP_MS = 24 * HOUR_MS;
/** … and is published for this long. */
export const SIGNING_KEY_PUBLISHED_MS = 7 * DAY_MS;
/** How much each key protects is counted again after this, when someone asks … */
export const KEY_USAGE_TTL_MS = 5 * MINUTE_MS;
/** … who waits for the count for so long, as a view of the console has a tenth of a second. */
export const KEY_USAGE_WAIT_MS = 60;
/** At shutdown, attempts under way may continue for this long, beside open requests; then they are made again. */
export const SHUTDOWN_DELIVERY_GRACE_MS = 10 * SECOND_MS;

// Sessions and housekeeping.

/** Everything that begins in a browser ends within this time: connect sessions and authorization flows. */
export const SESSION_TTL_MS = 10 * MINUTE_MS;
/** A finish code lives this long, and so does the candidate that it finishes. */
export const FINISH_TTL_MS = 10 * MINUTE_MS;
/** A browser can come again to a session that it has finished, for this long: a reload, a restored tab. */
export const BROWSER_COOKIE_TTL_MS = HOUR_MS;
/** A response that came by a cross-site POST is read again by this browser, at once. */
export const FORM_POST_TTL_MS = 2 * MINUTE_MS;
/** A renewal asks the owner to choose an account, after another one came within this time. */
export const WRONG_ACCOUNT_MEMORY_MS = HOUR_MS;
/** How long a browser that comes again with the same response waits for the exchange of its code; then a page says so. */
export const EXCHANGE_WAIT_MS = 10_000;
/** How often it looks, and how often that page looks again. */
export const EXCHANGE_POLL_MS = 100;
export const WAITING_PAGE_RELOAD_MS = 2 * SECOND_MS;
/** A console session ends this long after its sign-in, whatever is done. */
export const CONSOLE_SESSION_TTL_MS = 8 * HOUR_MS;
/** It ends before, after so long without a request. */
export const CONSOLE_IDLE_MS = 30 * MINUTE_MS;
/** That it is used is stored this often: much shorter than the time after which it would end. */
export const CONSOLE_TOUCH_INTERVAL_MS = MINUTE_MS;
/** What destroys something wants a sign-in that is younger than this. */
export const CONSOLE_FRESH_MS = 10 * MINUTE_MS;
/** A change feed that is this late is shown as late. */
export const CHANGE_FEED_LATE_MS = 5 * SECOND_MS;
/** A link that signs in can be opened for this long. */
export const CONSOLE_LINK_TTL_MS = 10 * MINUTE_MS;
/** The URL of a portal session works this long, once. */
export const PORTAL_LINK_TTL_MS = 10 * MINUTE_MS;
/** The page of an owner's connections is open this long: an owner who leaves it on a shared machine does not leave it for long. */
export const PORTAL_SESSION_TTL_MS = HOUR_MS;
/** An agent session lasts this long unless the caller says otherwise … */
export const AGENT_SESSION_TTL_S = 15 * 60;
/** … and never longer than this: what was made with a key that has leaked ends soon. */
export const AGENT_SESSION_TTL_MAX_S = 3_600;
/** Anyone can ask for a stylesheet that no theme has: the integrations are searched for it this seldom. */
export const THEME_SEARCH_INTERVAL_MS = SECOND_MS;
/** The same connect link is returned for this long to a caller that asks again. */
export const CONNECT_LINK_REUSE_MS = SESSION_TTL_MS / 2;
/** A session that has ended can be read for this long. */
export const ENDED_SESSION_RETENTION_MS = 24 * HOUR_MS;
/** What a token endpoint answered, and no token was found in, is kept this long: it may hold tokens. */
export const UNREADABLE_RESPONSE_RETENTION_MS = 24 * HOUR_MS;
/** Calls through the proxy are captured for this long at most … */
export const CAPTURE_MAX_MS = 15 * MINUTE_MS;
/** … and kept this long. */
export const CAPTURED_CALL_RETENTION_MS = 24 * HOUR_MS;
/** What is counted together: an hour, in `hourly_counts` … */
export const COUNTED_PERIOD_MS = 60 * MINUTE_MS;
/** … which are kept this long. */
export const HOURLY_COUNT_RETENTION_MS = 30 * DAY_MS;
/** Each process looks for old tombstones this often: it examines all that there are. */
export const TOMBSTONE_PURGE_INTERVAL_MS = 24 * HOUR_MS;
/** Ended sessions and old changes are deleted this often. */
export const SWEEP_INTERVAL_MS = MINUTE_MS;
/** What was deleted or replaced is gone from the disk after this long, where the store can see to it … */
export const WIPE_INTERVAL_MS = 30 * SECOND_MS;
/** … and is tried again after this long while another process uses the database. */
export const WIPE_RETRY_MS = SECOND_MS;
/** Buffered audit entries and key uses are written this often. */
export const AUDIT_FLUSH_INTERVAL_MS = SECOND_MS;
/** Reads of one batch of the audit log lie within so much time, however long the store could not be written to. */
export const AUDIT_BATCH_SPAN_MS = 10 * SECOND_MS;
/** Audit entries past their retention are deleted this often. */
export const AUDIT_RETENTION_INTERVAL_MS = MINUTE_MS;
/** What finds an owner's reads is kept for so much longer: entries are deleted together with the last one of their link of the chain. */
export const AUDIT_READS_OUTLIVED_MS = 2 * DAY_MS;
/** The pause between two batches of deleted audit entries: at most 5,000 a second for each process, and what finds 25,000 reads. */
export const AUDIT_RETENTION_PAUSE_MS = 20;
/** New audit entries are sealed this often: until then, deleting them leaves no trace. Of all processes, one does it. */
export const AUDIT_SEAL_INTERVAL_MS = 10 * SECOND_MS;
/** Without new audit entries, a seal of none is made this often: a chain that ended earlier was cut off, or no broker ran. */
export const AUDIT_SEAL_IDLE_MS = HOUR_MS;
/** The pause between two batches of audit entries that are sealed, for the other users of the store; none while sealing is behind. */
export const AUDIT_SEAL_PAUSE_MS = 5;
/** How often PostgreSQL is asked whether the transactions have ended that may still commit audit entries or events. */
export const HORIZON_POLL_MS = 20;
/** Whether other processes have found a fault of an integration, or its end, is read this often. */
export const CLIENT_FAULT_POLL_MS = 10 * SECOND_MS;
/** An owner is told that a grant ends when this much of its life is left: each of these times once. */
export const REAUTH_NOTICE_MS = [7 * DAY_MS, DAY_MS] as const;
/** Grants that end soon are looked for this often. */
export const REAUTH_NOTICE_INTERVAL_MS = 10 * MINUTE_MS;
/** Connections that have ended with their access token are looked for this often. */
export const ENDED_GRANTS_INTERVAL_MS = 10 * SECOND_MS;
/** The pause between two batches of grants that end, or of old events, for the other users of the store. */
export const EVENT_BATCH_PAUSE_MS = 50;
/** Events past their retention are deleted this often. */
export const EVENT_RETENTION_INTERVAL_MS = MINUTE_MS;
/** While requests wait for events, those of other processes are looked for this often. */
export const EVENT_FEED_POLL_MS = 500;
/** A request for events may wait this long: less than proxies and clients do. */
export const EVENT_FEED_WAIT_MAX_MS = 25 * SECOND_MS;
/** Failed authentications and refused callbacks are counted for so long before they become audit entries. */
export const AUDIT_FAILURE_WINDOW_MS = MINUTE_MS;
/** The pause between two batches of re-encrypted rows, for the other users of the store. */
export const REENCRYPTION_PAUSE_MS = 5;
/** After a round of key rotation, brokers that still encrypt with another key are watched for this long. */
export const KEY_ROTATION_WATCH_MS = 2 * SECOND_MS;

// Jobs: long work in batches.

/** Due jobs are looked for this often; those that are started in this process at once. */
export const JOB_POLL_MS = SECOND_MS;
/** A job that a process has is not taken by another one for this long: after a kill, it goes on then. */
export const JOB_LEASE_MS = 30 * SECOND_MS;
/** During a long batch, the lease is renewed this often. */
export const JOB_RENEW_MS = 10 * SECOND_MS;
/** After the first failed batch; each further one waits twice as long, up to … */
export const JOB_RETRY_MS = SECOND_MS;
/** … this. */
export const JOB_RETRY_MAX_MS = 5 * MINUTE_MS;
/** The pause between two batches, for the other users of the store. */
export const JOB_BATCH_PAUSE_MS = 5;
/** A job that has ended is shown for this long. */
export const JOB_RETENTION_MS = 30 * DAY_MS;
/** Jobs past that are deleted this often. */
export const JOB_RETENTION_INTERVAL_MS = HOUR_MS;
/** A job that was given up is counted in the metrics for this long. */
export const JOB_FAILED_COUNTED_MS = HOUR_MS;

// Caches and their invalidation.

/** A token or the list of an owner's connections is cached for this long. */
export const TOKEN_CACHE_TTL_MS = 10 * MINUTE_MS;
/** A token whose issue time is this far in the future is of unknown age: the clock was set back since. */
export const CLOCK_SKEW_MAX_MS = 10 * SECOND_MS;
/** A step of the wall clock by less than this is no sleep of the machine, and costs no look at the uptime. */
export const SLEEP_NOTICED_MS = SECOND_MS;
/** An invalidation is remembered this long: longer than a read of the store takes that began before it. */
export const INVALIDATION_TTL_MS = MINUTE_MS;
/** A comparison of the cache with the store that failed is tried again after this long. */
export const INVALIDATION_RETRY_MS = 250;
/** A verified JWT is cached this long, and no longer than its issuer's keys: a withdrawn key is trusted no longer. */
export const JWT_VERDICT_TTL_MS = 10 * MINUTE_MS;
/** A batch of JWTs waits this long for the keys of issuers. */
export const JWT_BATCH_WAIT_MS = 3 * SECOND_MS;
/** Metrics wait this long for the store: Prometheus gives up after ten seconds. */
export const METRICS_STORE_WAIT_MS = 3 * SECOND_MS;
/** Connections are counted again after this long at the latest, and sooner if a count is quick. */
export const METRICS_COUNT_MAX_AGE_MS = MINUTE_MS;
/** The same for what is due within an hour, which are far more. */
export const METRICS_LOAD_MAX_AGE_MS = 10 * MINUTE_MS;
/** Metrics compare what comes due within these times with what the rate allows. */
export const LOAD_SOON_MS = 5 * MINUTE_MS;
export const LOAD_LATER_MS = HOUR_MS;
/** Metrics prove that the store accepts writes at most this often. */
export const METRICS_PING_MAX_AGE_MS = SECOND_MS;
/** The pause between two batches of expired rows that are deleted. */
export const SWEEP_PAUSE_MS = 20;

// The change feed.

/** Without notifications, changes are polled this often. */
export const CHANGE_POLL_MS = 250;
/** In SQLite, where it costs next to nothing to ask whether there are any. */
export const SQLITE_CHANGE_POLL_MS = 50;
/** Changes of this process are read when who made them has been answered, or after this long, if the disk is slow. */
export const SQLITE_UNANSWERED_CHANGES_MS = SECOND_MS;
/** With notifications, changes are polled this often: a notification may be lost. */
export const CHANGE_POLL_NOTIFIED_MS = 2 * SECOND_MS;
/** Changes within this time share one notification: commits that notify wait for one another. */
export const CHANGE_NOTIFY_DELAY_MS = 10;
/** The same where all of them are routine refreshes: the token before is mostly still good, and there may be thousands a second. */
export const CHANGE_NOTIFY_REFRESHES_DELAY_MS = 25;
/** At start, a notification must arrive within this time, otherwise changes are polled. */
export const CHANGE_NOTIFY_PROBE_MS = SECOND_MS;
/** A lost listening connection is made again after this long. */
export const CHANGE_LISTEN_RETRY_MS = 250;
/** After a lost connection, the changes of this time are read again: a standby may lack them, and have given their numbers to others. */
export const CHANGE_REPEAT_MS = MINUTE_MS;
/** The store keeps a change for this long. */
export const CHANGE_RETENTION_MS = 10 * MINUTE_MS;
/** A process that has not read the changes for this long must not rely on anything in its caches. */
export const CHANGE_FEED_STALE_MS = CHANGE_RETENTION_MS / 2;

/** A revocation waits this long for the other replicas to apply it, then says how many have not. */
export const REPLICAS_WAIT_MS = 500;
/** Meanwhile, it looks this often whether they have. */
export const REPLICAS_POLL_MS = 5;
/** A replica that is not heard of any more may be frozen and come back with what it has cached: so long it is counted. */
export const REPLICA_IN_DOUBT_MS = MINUTE_MS;

// PostgreSQL: liveness of processes.

/** A process without a heartbeat for this long is dead. Short, so that its lost responses can still be requested again. */
export const PROCESS_DEAD_AFTER_MS = 6 * SECOND_MS;
/**
 * A process is certain that the others see it as alive while its last heartbeat was sent less than this ago, and none
 * before it was answered later: a refresh token is sent only then. The rest is a margin for the clock of the database.
 */
export const HEARTBEAT_CERTAIN_MS = 4 * SECOND_MS;
/** A clock of the database that is ahead by more than this of what heartbeats let expect was set forward. */
export const DATABASE_CLOCK_STEP_MS = SECOND_MS;
/** What is expected rests on the heartbeats of this time: a process that was silent before the clock was set is in doubt no longer after it. */
export const DATABASE_CLOCK_MEMORY_MS = LEASE_IN_DOUBT_MS + PROCESS_DEAD_AFTER_MS;
/** The row of a dead process is deleted after this long. */
export const PROCESS_ROW_RETENTION_MS = HOUR_MS;
export const HEARTBEAT_INTERVAL_MS = 1_500;
/** A heartbeat that is not answered within this time has failed, and the database is away. */
export const HEARTBEAT_TIMEOUT_MS = 2 * SECOND_MS;
/** While the database is away, the next heartbeat follows after this long. */
export const HEARTBEAT_RETRY_MS = 500;
/** A heartbeat that fails within this time met a broken connection, and is sent again at once on another one. */
export const HEARTBEAT_BROKEN_MS = 500;
/** After the database was away, no process is considered dead for this long: each must first send a heartbeat. */
export const HEARTBEAT_GRACE_MS = HEARTBEAT_TIMEOUT_MS + HEARTBEAT_RETRY_MS + 500;

// PostgreSQL: statements.

/** How long a connection may take to be made, or to become free. */
export const POSTGRES_CONNECT_TIMEOUT_MS = 4 * SECOND_MS;
/** The server cancels a statement, or ends an idle transaction, after this long. */
export const POSTGRES_STATEMENT_TIMEOUT_MS = 8 * SECOND_MS;
/** A statement without an answer for this long costs its connection: longer than the server takes to cancel it. */
export const POSTGRES_ANSWER_TIMEOUT_MS = 10 * SECOND_MS;
/** The same limits for heartbeats and the change feed, whose statements are short. */
export const POSTGRES_CONTROL_TIMEOUT_MS = 2 * SECOND_MS;
/** A statement that fails within this time met a connection that was broken before, and is tried on another one. */
export const POSTGRES_BROKEN_MS = 200;
/** The first delay before an operation that lost to a concurrent one is tried again; it doubles. */
export const POSTGRES_CONFLICT_BACKOFF_MS = 4;
/** Schema migrations. */
export const POSTGRES_MIGRATION_TIMEOUT_MS = 10 * MINUTE_MS;
/** A migration waits this long for a table that others use, which then wait for the migration; it is tried again. */
export const POSTGRES_MIGRATION_LOCK_TIMEOUT_MS = 4 * SECOND_MS;
/** The longest delay, for each try, before a migration that lost to a concurrent one is tried again. */
export const POSTGRES_MIGRATION_RETRY_MS = 100;
/** Data migrations: the first page of a large table is sorted before it is answered. */
export const POSTGRES_DATA_MIGRATION_TIMEOUT_MS = HOUR_MS;

// SQLite: waiting for a lock of another process.

/** While the database is opened. SQLite blocks the whole process meanwhile. */
export const SQLITE_OPEN_BUSY_TIMEOUT_MS = 5 * SECOND_MS;
/** Afterwards: group commit waits without blocking. */
export const SQLITE_BUSY_TIMEOUT_MS = 20;
/** A group commit asks for the lock this often … */
export const SQLITE_BUSY_RETRY_MS = 5;
/** … and fails after this long. */
export const SQLITE_BUSY_GIVE_UP_MS = 5 * SECOND_MS;
/** An fsync, or a commit of the thread, that takes this long: the disk does not answer. What waits for it is refused until it does. */
export const SQLITE_DISK_GIVE_UP_MS = 5 * SECOND_MS;
/**
 * So long after that, answers to spent refresh tokens no longer wait for it, and go into the log: it outlives this process, and
 * another one that takes the lease over must find them there.
 */
export const SQLITE_UNSYNCED_AFTER_MS = 55 * SECOND_MS;
/** Whether the write-ahead log is worth a checkpoint is looked at this long after a commit. */
export const SQLITE_CHECKPOINT_INTERVAL_MS = 250;
/** A group commit runs operations for this long; the rest waits for the next commit. */
export const GROUP_COMMIT_BUDGET_MS = 2;

// HTTP, and the end of the process.

/** A client must send its headers within this time. */
export const REQUEST_HEADERS_TIMEOUT_MS = 10 * SECOND_MS;
/** A client must send its whole request within this time. */
export const REQUEST_TIMEOUT_MS = 30 * SECOND_MS;
/** Connections that have exceeded either are looked for this often, and closed. */
export const CONNECTION_CHECK_MS = 2 * SECOND_MS;
/** Failed authentications of one address are counted in windows of this length. */
export const AUTHENTICATION_WINDOW_MS = MINUTE_MS;
/** A store that is away fails all requests alike, as a thread of it fails all that it is to append: they are logged this often. */
export const STORE_ERROR_LOG_INTERVAL_MS = SECOND_MS;
/** At shutdown, open requests may continue for this long. */
export const SHUTDOWN_GRACE_MS = 10 * SECOND_MS;
/** Then refreshes that wait for their provider, for this long. What is unanswered by then is requested again at the next start. */
export const SHUTDOWN_REFRESH_GRACE_MS = 20 * SECOND_MS;
/** All of a shutdown takes this long at most. What has not stopped by then (the disk or the database may hang) is left behind … */
export const SHUTDOWN_DEADLINE_MS = MINUTE_MS;
/** … and each part that is left to stop is given this long. */
export const SHUTDOWN_LATE_PART_MS = 250;
/** A process that still lives so long after the signal kills itself: what it waits for is not up to it. */
export const SHUTDOWN_KILL_MS = 70 * SECOND_MS;
/** At shutdown, connections that have become idle are closed this often. */
export const SHUTDOWN_POLL_MS = 50;

// Worker processes that share a port.

/** A worker waits this long for the supervisor's count of a caller's requests, then counts by itself. */
export const WORKER_COUNT_WAIT_MS = SECOND_MS;
/** A scrape waits this long for the metrics of the other workers: longer than these wait for the store. */
export const WORKER_METRICS_WAIT_MS = 4 * SECOND_MS;
/** Workers are asked this often whether their event loop still turns … */
export const WORKER_PING_INTERVAL_MS = 5 * SECOND_MS;
/** … and are killed when they have not answered for this long, as the probe of an orchestrator would do. */
export const WORKER_UNRESPONSIVE_MS = 30 * SECOND_MS;
/** A worker that ends is started again at once if it had served for this long; otherwise after … */
export const WORKER_STABLE_MS = 10 * SECOND_MS;
/** … this, twice as long after each further time, up to … */
export const WORKER_RESTART_MS = 500;
/** … this. */
export const WORKER_RESTART_MAX_MS = 30 * SECOND_MS;
/** At shutdown, workers that have not ended by themselves are killed after this long. */
export const WORKER_STOP_MS = 72 * SECOND_MS;
/** A second signal ends the workers at once if it comes later than this: npm repeats the one of the terminal. */
export const SECOND_SIGNAL_AFTER_MS = SECOND_MS;

/**
 * How long a renewal that keeps the refresh token waits for a refresh in flight, whose answer may replace that token. Then it
 * gives up: the browser waits meanwhile.
 */
export const RENEWAL_WAIT_MS = 10_000;
/** How often it looks. */
export const RENEWAL_POLL_MS = 100;
/** When an import may be tried again: the provider could not tell its account, or the refresh token is being spent. */
export const LOOKUP_RETRY_AFTER_S = 10;

/** A client whose credential cannot be looked up or verified now, since too many are, may try again after this. */
export const AUTHENTICATION_BUSY_RETRY_S = 1;

// Webhooks of third parties.

/** Due ones are looked for this often; a receipt wakes the search at once. */
export const RECEIVED_POLL_MS = SECOND_MS;
/** A webhook that a process has claimed, and not settled, is due again after this long: the process has ended. */
export const RECEIVED_CLAIM_MS = MINUTE_MS;
/** Event ids are remembered this long. Senders retry for a week at most. */
export const RECEIVED_IDS_RETENTION_MS = 8 * DAY_MS;
/** Old webhooks and event ids are deleted this often. */
export const RECEIVED_PRUNE_INTERVAL_MS = 10 * MINUTE_MS;
/** The `Retry-After` of a full inbox, in seconds. */
export const INBOX_FULL_RETRY_AFTER_S = 10;
/** A full inbox is not counted again for this long. */
export const INBOX_FULL_RECHECK_MS = SECOND_MS;
/** A network from which a webhook was verified has room for bodies that strangers cannot fill, for this long. */
export const GENUINE_SENDER_MS = HOUR_MS;
/** A deauthorization within this time after a revocation of ours may be its echo: it ends nothing by itself. */
export const REVOCATION_ECHO_MS = 10 * MINUTE_MS;
/** Certificates at new URLs are fetched this often at most, after a burst: anyone can name one. */
export const CERTIFICATE_FETCH_INTERVAL_MS = 3 * SECOND_MS;
/** How far the time of a webhook may be from now, before and after, where the sender's own rules name none. */
export const WEBHOOK_TOLERANCE_S = 300;
/** The longest that an admin may have a handshake waited for. */
export const HANDSHAKE_WINDOW_MAX_MS = HOUR_MS;

// Keys that sign JWTs.

/** The `max-age` of the published keys: so long a verifier does not ask for them again. */
export const JWKS_MAX_AGE_S = 300;
/** A new key is published for this long before it signs: twice the `max-age`, and what replicas and clocks differ by. */
export const SIGNING_KEY_LEAD_MS = 15 * MINUTE_MS;
/** A JWT that the broker signs lives for this long at most. */
export const SIGNED_JWT_MAX_TTL_MS = 15 * MINUTE_MS;
/** A client assertion is for one request, which is sent at once. Servers refuse those of more than five minutes. */
export const CLIENT_ASSERTION_TTL_S = 120;
/** A retired key stays published for this long: longer than the tokens that it has signed live, whose clocks may differ. */
export const SIGNING_KEY_RETIRED_MS = HOUR_MS;
/** A retired key is listed for this long, then deleted. */
export const SIGNING_KEY_LISTED_MS = 30 * DAY_MS;
/** Each process looks this often whether a key is due. */
export const SIGNING_KEY_CHECK_MS = 30 * SECOND_MS;
/** While the store is away, the keys in memory are used for this long before it is asked again. */
export const SIGNING_KEYS_RETRY_MS = SECOND_MS;

// Signals: security events, and back-channel logout.

/** A logout token is sent at once, and lives for two minutes where the specification is followed; senders retry for some more. */
export const LOGOUT_TOKEN_MAX_AGE_S = 600;
/** A transmitter whose keys cannot be fetched now, or whose events cannot be stored, may try again after this. */
export const SIGNAL_RETRY_AFTER_S = 10;
/** A transmitter without push is asked this often, by one process at a time. */
export const SIGNAL_POLL_INTERVAL_MS = 15 * SECOND_MS;
/** It answers at once: it is not asked to wait. Shorter than the interval, so that one process asks at a time. */
export const SIGNAL_POLL_TIMEOUT_MS = 10 * SECOND_MS;

// Events.

/** Who hears an event is read again after this long: a replica of the release before events changes callers without a notice. */
export const AUDIENCE_MAX_AGE_MS = 5 * SECOND_MS;
/** Between two looks for due endpoints: a burst of events is one. */
export const DELIVERY_WAKE_PAUSE_MS = 10;

// The log.

/** A pipe that is full is written to again after this long. */
export const LOG_PIPE_RETRY_MS = 100;
/** A log that refuses a write (the disk is full) is tried again after this long. */
export const LOG_REFUSED_RETRY_MS = SECOND_MS;
/** V8 keeps the flags of a start for this long after it: the first requests load what the start left out. */
export const START_FLAGS_FOR_MS = 5 * SECOND_MS;
/** A process that ends waits this long for a full pipe. */
export const LOG_EXIT_WAIT_MS = 2 * SECOND_MS;
