// How the time limits depend on one another: each relation that the code relies on, with its reason.
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import * as limits from '../../src/domain/time-limits.ts';

const {
  AUDIT_FLUSH_INTERVAL_MS,
  BACKGROUND_BACKOFF_FIRST_MS,
  BACKGROUND_BACKOFF_MAX_MS,
  CHANGE_FEED_STALE_MS,
  CHANGE_REPEAT_MS,
  CHANGE_NOTIFY_DELAY_MS,
  CHANGE_NOTIFY_PROBE_MS,
  CHANGE_POLL_MS,
  CHANGE_POLL_NOTIFIED_MS,
  CHANGE_RETENTION_MS,
  CIRCUIT_BACKOFF_FIRST_MS,
  CIRCUIT_BACKOFF_MAX_MS,
  CIRCUIT_RETRY_AFTER_MAX_MS,
  CLAIMED_DUE_AGAIN_MS,
  CREDENTIAL_MAX_AGE_MS,
  DAY_MS,
  CLOCK_SKEW_MAX_MS,
  CLOCK_TOLERANCE_S,
  CIRCUIT_RUN_TTL_MS,
  DATABASE_CLOCK_MEMORY_MS,
  DATABASE_CLOCK_STEP_MS,
  DEAD_GRANTS_DOUBT_MS,
  DEAD_GRANTS_RETRY_MS,
  DEAD_GRANTS_WINDOW_MS,
  CODE_EXCHANGE_DEADLINE_MS,
  DEFAULT_MIN_TTL_MS,
  ENDED_SESSION_RETENTION_MS,
  DELIVERY_CLAIM_MS,
  JOB_FAILED_COUNTED_MS,
  JOB_LEASE_MS,
  JOB_POLL_MS,
  JOB_RENEW_MS,
  JOB_RETENTION_MS,
  JOB_RETRY_MAX_MS,
  JOB_RETRY_MS,
  DELIVERY_DEADLINE_MS,
  DELIVERY_POLL_MS,
  DELIVERY_RETRIES_MS,
  DELIVERY_RETRY_AFTER_MAX_MS,
  DELIVERY_SETTLE_MS,
  DELIVERY_SETTLE_RETRY_MS,
  DELIVERY_THROTTLED_MS,
  ENDPOINT_FAILING_MAX_MS,
  ENDPOINT_FAILURES_APART_MS,
  ENDPOINT_SLOW_MS,
  SHUTDOWN_DEADLINE_MS,
  SHUTDOWN_DELIVERY_GRACE_MS,
  SIGNING_KEYS_CACHE_MS,
  SIGNING_KEY_OVERLAP_MS,
  SIGNING_KEY_PUBLISHED_MS,
  FROZEN_AFTER_MS,
  FROZEN_EXTENSION_MS,
  GROUP_COMMIT_BUDGET_MS,
  HEARTBEAT_BROKEN_MS,
  HEARTBEAT_CERTAIN_MS,
  HEARTBEAT_GRACE_MS,
  HEARTBEAT_INTERVAL_MS,
  HEARTBEAT_RETRY_MS,
  HEARTBEAT_TIMEOUT_MS,
  HOLDER_WAIT_MS,
  ID_TOKEN_KEYS_WAIT_MS,
  INVALIDATION_TTL_MS,
  CONNECT_LINK_REUSE_MS,
  JWKS_RETRY_MS,
  JWKS_STALE_MS,
  JWKS_TTL_MS,
  JWT_VERDICT_TTL_MS,
  LAST_TRY_BEFORE_END_MS,
  LEASE_IN_DOUBT_MS,
  LEASE_IN_DOUBT_RETRY_MS,
  LEASE_MS,
  LEASE_RETRY_MS,
  LOOKUP_DEADLINE_MS,
  LOST_RESPONSE_RETRY_MS,
  METADATA_RETRY_MS,
  METADATA_TTL_MS,
  METRICS_COUNT_MAX_AGE_MS,
  METRICS_PING_MAX_AGE_MS,
  METRICS_STORE_WAIT_MS,
  MIN_RETRY_AFTER_MS,
  NEW_GENERATION_POLL_MS,
  OUTBOX_POLL_MS,
  OUTBOUND_DEADLINE_MS,
  POSTGRES_ANSWER_TIMEOUT_MS,
  POSTGRES_CONNECT_TIMEOUT_MS,
  POSTGRES_CONTROL_TIMEOUT_MS,
  POSTGRES_DATA_MIGRATION_TIMEOUT_MS,
  POSTGRES_MIGRATION_TIMEOUT_MS,
  POSTGRES_STATEMENT_TIMEOUT_MS,
  PROCESS_DEAD_AFTER_MS,
  OWN_FAULT_AFTER_MS,
  OWN_FAULT_OF_ENDPOINT_AFTER_MS,
  PROCESS_ROW_RETENTION_MS,
  READER_WAIT_MS,
  READ_BACKOFF_FIRST_MS,
  READ_BACKOFF_MAX_MS,
  RECENT_COMMIT_TTL_MS,
  REFRESH_DEADLINE_MS,
  RETRY_AFTER_MAX_MS,
  RETRY_AFTER_REMEMBERED_MAX_MS,
  REFRESH_MARGIN_MS,
  REQUEST_HEADERS_TIMEOUT_MS,
  REQUEST_TIMEOUT_MS,
  RESCUE_FILE_BUSY_TIMEOUT_MS,
  RESCUE_FILE_RETRY_DELAYS_MS,
  REUSE_WINDOW_MS,
  RECONNECT_WAIT_MS,
  REPLICA_IN_DOUBT_MS,
  REPLICAS_POLL_MS,
  REPLICAS_WAIT_MS,
  REVOCATIONS_END_WAIT_MS,
  REVOCATIONS_END_POLL_MS,
  REVOCATION_CLAIM_MS,
  REVOCATION_GIVE_UP_MS,
  REVOCATION_WAIT_MS,
  SCHEDULER_HOLD_MS,
  SCHEDULER_TICK_MS,
  SEND_AFTER_CLAIM_MS,
  SESSION_TTL_MS,
  SHUTDOWN_GRACE_MS,
  SHUTDOWN_KILL_MS,
  SHUTDOWN_LATE_PART_MS,
  SHUTDOWN_POLL_MS,
  SHUTDOWN_REFRESH_GRACE_MS,
  SLEEP_NOTICED_MS,
  SLOW_REFRESH_MS,
  SLOW_RETRY_AFTER_MS,
  SQLITE_BUSY_GIVE_UP_MS,
  SQLITE_BUSY_RETRY_MS,
  SQLITE_BUSY_TIMEOUT_MS,
  SQLITE_DISK_GIVE_UP_MS,
  SQLITE_UNSYNCED_AFTER_MS,
  SWEEP_INTERVAL_MS,
  SWEEP_PAUSE_MS,
  TOKEN_CACHE_TTL_MS,
  CALLER_LINGER_MS,
  PORTAL_LINK_TTL_MS,
  PORTAL_SESSION_TTL_MS,
  UPSTREAM_BACKOFF_FIRST_MS,
  UPSTREAM_BACKOFF_MAX_MS,
  UPSTREAM_CONNECT_TIMEOUT_MS,
  UPSTREAM_FIRST_BYTE_TIMEOUT_MS,
  UPSTREAM_IDLE_TIMEOUT_MS,
  UNREADABLE_RESPONSE_RETENTION_MS,
  SQLITE_CHANGE_POLL_MS,
  WITHDRAWAL_TTL_MS,
  LOG_EXIT_WAIT_MS,
  WORKER_STOP_MS,
} = limits;

/** Parts of a process that stop, and more. */
const ROOMS = 24;

/** Each limit in the list is shorter than the next one. */
type Relation = [reason: string, ...rising: [number, number, ...number[]]];

const SMALLEST_JITTER = 0.9;
const sum = (delays: readonly number[]) => delays.reduce((total, ms) => total + ms, 0);

const relations: Record<string, Relation[]> = {
  'calls through the proxy': [
    [
      'a connection is given up before a response is, and a response before a body that stands still',
      UPSTREAM_CONNECT_TIMEOUT_MS,
      UPSTREAM_FIRST_BYTE_TIMEOUT_MS,
      UPSTREAM_IDLE_TIMEOUT_MS,
    ],
    [
      'all waits before attempts are over before a response is given up',
      5 * UPSTREAM_BACKOFF_MAX_MS,
      UPSTREAM_FIRST_BYTE_TIMEOUT_MS,
    ],
    [
      'a signed body waits for memory, and then for its caller no longer than for one that stops',
      limits.SIGNED_BODY_WAIT_MS,
      limits.SIGNED_BODY_TIMEOUT_MS,
      UPSTREAM_IDLE_TIMEOUT_MS + 1,
    ],
    ['a check waits for a limit with each of its two calls', 2 * limits.CHECK_MAX_WAIT_MS, limits.CHECK_DEADLINE_MS],
    ['waits grow with the attempts', UPSTREAM_BACKOFF_FIRST_MS, UPSTREAM_BACKOFF_MAX_MS],
    [
      'a caller that is answered while it sends is gone before a shutdown waits for it',
      CALLER_LINGER_MS,
      SHUTDOWN_GRACE_MS,
    ],
    ['a rejected token is renewed while its response is held', READER_WAIT_MS, UPSTREAM_IDLE_TIMEOUT_MS],
  ],
  'one refresh': [
    [
      'a request that spends something is left open for longer than others, and a code only as long as its owner waits',
      OUTBOUND_DEADLINE_MS,
      CODE_EXCHANGE_DEADLINE_MS,
      60_000,
      REFRESH_DEADLINE_MS,
    ],
    ['a slow refresh stays open for long', 10 * SLOW_REFRESH_MS, REFRESH_DEADLINE_MS],
    [
      'a response that arrives while the refresh becomes slow is read before readers give up, in a frozen process too',
      SLOW_REFRESH_MS + FROZEN_AFTER_MS + FROZEN_EXTENSION_MS,
      READER_WAIT_MS,
    ],
    ['a deadline is not extended because the event loop is busy', 10 * GROUP_COMMIT_BUDGET_MS, FROZEN_AFTER_MS],
    [
      'a reader of a slow refresh comes back several times while it is open',
      10 * SLOW_RETRY_AFTER_MS,
      REFRESH_DEADLINE_MS,
    ],
    [
      'a Retry-After is cut short to a moment within the window, after the first retry',
      LOST_RESPONSE_RETRY_MS,
      REUSE_WINDOW_MS - LOST_RESPONSE_RETRY_MS,
    ],
    [
      'a refresh waits for the holder of the lease longer than one that is not slow takes, with the issuer’s keys',
      SLOW_REFRESH_MS + ID_TOKEN_KEYS_WAIT_MS,
      HOLDER_WAIT_MS,
    ],
    ['a reader outwaits a refresh that waits for the holder of the lease', HOLDER_WAIT_MS, READER_WAIT_MS],
    [
      'no living process loses its lease while it refreshes: discovery, keys, look-ups and the commit included',
      OUTBOUND_DEADLINE_MS +
        LOOKUP_DEADLINE_MS +
        SLOW_REFRESH_MS +
        REFRESH_DEADLINE_MS +
        ID_TOKEN_KEYS_WAIT_MS +
        POSTGRES_CONNECT_TIMEOUT_MS +
        POSTGRES_ANSWER_TIMEOUT_MS +
        SQLITE_BUSY_GIVE_UP_MS,
      LEASE_MS,
    ],
    [
      'no living process loses its lease while it commits, whatever the store takes',
      POSTGRES_CONNECT_TIMEOUT_MS + POSTGRES_ANSWER_TIMEOUT_MS + SQLITE_BUSY_GIVE_UP_MS,
      LEASE_MS,
    ],
    [
      'an answer that waits for a silent disk is in the log before another process may take its lease over',
      SEND_AFTER_CLAIM_MS + REFRESH_DEADLINE_MS + 2 * SQLITE_DISK_GIVE_UP_MS + SQLITE_UNSYNCED_AFTER_MS,
      LEASE_MS,
    ],
    [
      'what precedes a request (discovery, look-ups, a new connection) leaves time to send it under the same claim',
      2 * OUTBOUND_DEADLINE_MS + LOOKUP_DEADLINE_MS,
      SEND_AFTER_CLAIM_MS,
    ],
    ['a refresh token is sent long before a living holder may be succeeded', 2 * SEND_AFTER_CLAIM_MS, LEASE_MS],
    [
      'a process that may be frozen is succeeded before its token expires, if it is refreshed ahead of time',
      LEASE_IN_DOUBT_RETRY_MS,
      LEASE_IN_DOUBT_MS,
      REFRESH_MARGIN_MS * SMALLEST_JITTER,
    ],
    [
      'a refresh that waits for the holder looks for its result often, and tries to claim again before it gives up',
      NEW_GENERATION_POLL_MS,
      LEASE_RETRY_MS,
      HOLDER_WAIT_MS,
    ],
  ],
  scheduler: [
    [
      'a token that a default read accepts is refreshed ahead of time, not by reads',
      DEFAULT_MIN_TTL_MS,
      REFRESH_MARGIN_MS * SMALLEST_JITTER,
    ],
    [
      'a connection that was claimed and not refreshed is due again well before its token expires',
      SCHEDULER_TICK_MS,
      CLAIMED_DUE_AGAIN_MS,
      REFRESH_MARGIN_MS * SMALLEST_JITTER - DEFAULT_MIN_TTL_MS,
    ],
    [
      'a claimed connection is not due again while its refresh and one repetition may be under way, unless they are slow',
      2 * SLOW_REFRESH_MS + LOST_RESPONSE_RETRY_MS,
      CLAIMED_DUE_AGAIN_MS,
    ],
    [
      'an unresolved refresh is found by a tick while its response can still be requested again',
      SCHEDULER_TICK_MS,
      REUSE_WINDOW_MS,
    ],
    [
      'after an outage, every process has noticed that the database is back before the scheduler goes on',
      HEARTBEAT_GRACE_MS,
      SCHEDULER_HOLD_MS,
    ],
    [
      'commits are remembered for longer than an outage in which leases expire',
      LEASE_MS + SCHEDULER_HOLD_MS,
      RECENT_COMMIT_TTL_MS,
      WITHDRAWAL_TTL_MS,
    ],
  ],
  'back-offs': [
    ['reads', READ_BACKOFF_FIRST_MS, READ_BACKOFF_MAX_MS],
    ['background work', BACKGROUND_BACKOFF_FIRST_MS, BACKGROUND_BACKOFF_MAX_MS],
    ['circuit breakers', CIRCUIT_BACKOFF_FIRST_MS, CIRCUIT_BACKOFF_MAX_MS],
    ['a read may try again before background work does', READ_BACKOFF_FIRST_MS, BACKGROUND_BACKOFF_FIRST_MS],
    [
      'a circuit opens and probes several times within the margin, so that tokens survive a short outage',
      2 * CIRCUIT_BACKOFF_MAX_MS,
      REFRESH_MARGIN_MS,
    ],
  ],
  'rescue file': [
    [
      'the file is tried again for a shorter time than the store takes to fail once more',
      sum(RESCUE_FILE_RETRY_DELAYS_MS) + RESCUE_FILE_BUSY_TIMEOUT_MS,
      SQLITE_BUSY_GIVE_UP_MS,
    ],
  ],
  'liveness of processes on PostgreSQL': [
    [
      'a dead process is succeeded while its lost response can still be requested again',
      PROCESS_DEAD_AFTER_MS + SCHEDULER_TICK_MS,
      REUSE_WINDOW_MS,
    ],
    [
      'one lost heartbeat does not make a process dead',
      HEARTBEAT_INTERVAL_MS + HEARTBEAT_TIMEOUT_MS + HEARTBEAT_RETRY_MS,
      PROCESS_DEAD_AFTER_MS,
    ],
    [
      'a process that claims sends no extra heartbeat as long as the regular ones succeed',
      HEARTBEAT_INTERVAL_MS,
      PROCESS_DEAD_AFTER_MS / 2,
    ],
    [
      'a process whose heartbeats succeed is certain that it is alive to the others, well before it is dead to them',
      HEARTBEAT_INTERVAL_MS + HEARTBEAT_TIMEOUT_MS,
      HEARTBEAT_CERTAIN_MS,
      PROCESS_DEAD_AFTER_MS - SCHEDULER_TICK_MS,
    ],
    [
      'a process that is certain to be alive is so to the others, too, whose clock of the database was set by too little to be noticed',
      HEARTBEAT_CERTAIN_MS + DATABASE_CLOCK_STEP_MS,
      PROCESS_DEAD_AFTER_MS,
    ],
    [
      'a process that was silent before the clock of the database was set is in doubt for as long as any other',
      LEASE_IN_DOUBT_MS + HEARTBEAT_CERTAIN_MS,
      DATABASE_CLOCK_MEMORY_MS,
    ],
    ['a process that may be frozen still has its row', LEASE_IN_DOUBT_MS, PROCESS_ROW_RETENTION_MS],
    [
      'after an outage, no process is considered dead before each has had the time for a heartbeat',
      HEARTBEAT_TIMEOUT_MS + HEARTBEAT_RETRY_MS,
      HEARTBEAT_GRACE_MS,
    ],
    [
      'a heartbeat on a broken connection fails sooner than one without an answer',
      HEARTBEAT_BROKEN_MS,
      HEARTBEAT_TIMEOUT_MS,
    ],
  ],
  'statements on PostgreSQL': [
    [
      'the server cancels a statement before this side gives its connection up',
      POSTGRES_STATEMENT_TIMEOUT_MS,
      POSTGRES_ANSWER_TIMEOUT_MS,
    ],
    [
      'heartbeats and the change feed notice an outage before other statements do',
      POSTGRES_CONTROL_TIMEOUT_MS,
      POSTGRES_CONNECT_TIMEOUT_MS,
      POSTGRES_ANSWER_TIMEOUT_MS,
    ],
    [
      'migrations may take longer than other statements',
      POSTGRES_ANSWER_TIMEOUT_MS,
      POSTGRES_MIGRATION_TIMEOUT_MS,
      POSTGRES_DATA_MIGRATION_TIMEOUT_MS,
    ],
  ],
  'change feed and caches': [
    [
      'what is read again after a lost connection is longer than that takes to be noticed, and was not deleted',
      HEARTBEAT_TIMEOUT_MS + CHANGE_POLL_NOTIFIED_MS,
      CHANGE_REPEAT_MS,
      CHANGE_FEED_STALE_MS,
    ],
    [
      'a process that reads the changes in time misses none that was deleted',
      CHANGE_FEED_STALE_MS,
      CHANGE_RETENTION_MS,
    ],
    [
      'the feed is never stale between two polls, not even when one of them times out',
      CHANGE_POLL_MS,
      CHANGE_POLL_NOTIFIED_MS,
      CHANGE_POLL_NOTIFIED_MS + POSTGRES_CONTROL_TIMEOUT_MS,
      CHANGE_FEED_STALE_MS,
    ],
    [
      'a notification arrives before the next poll',
      CHANGE_NOTIFY_DELAY_MS,
      CHANGE_NOTIFY_PROBE_MS,
      CHANGE_POLL_NOTIFIED_MS,
    ],
    [
      'an invalidation outlives every read of the store that began before it',
      POSTGRES_CONNECT_TIMEOUT_MS + POSTGRES_ANSWER_TIMEOUT_MS,
      INVALIDATION_TTL_MS,
    ],
    ['an invalidation is forgotten before the tokens that it may concern', INVALIDATION_TTL_MS, TOKEN_CACHE_TTL_MS],
    ['a corrected clock is no sign that one was set back', PROCESS_DEAD_AFTER_MS, CLOCK_SKEW_MAX_MS],
    ['a sleep that is not noticed outlives no token that is served', 10 * SLEEP_NOTICED_MS, DEFAULT_MIN_TTL_MS],
    ['a clock that is set by too little to look at the uptime is within the skew', SLEEP_NOTICED_MS, CLOCK_SKEW_MAX_MS],
    [
      'what metrics say of the store is newer than their count of connections',
      METRICS_PING_MAX_AGE_MS,
      METRICS_COUNT_MAX_AGE_MS,
    ],
    ['Prometheus gets its metrics while the store is away: its timeout is ten seconds', METRICS_STORE_WAIT_MS, 10_000],
  ],
  'names of hosts': [
    [
      'the name servers are asked, twice, while the request that needs the address may still be made',
      limits.NAME_LOOKUP_SLOW_MS,
      2 * limits.NAME_SERVER_TIMEOUT_MS,
      UPSTREAM_CONNECT_TIMEOUT_MS,
    ],
    ['what no request waits for any more is not looked up', limits.NAME_LOOKUP_WAIT_MS, OUTBOUND_DEADLINE_MS + 1],
  ],
  'issuers and their keys': [
    ['keys are fresh, then stale, then unusable', JWKS_RETRY_MS, JWKS_TTL_MS, JWKS_STALE_MS],
    ['metadata are asked for again sooner after a failure', METADATA_RETRY_MS, METADATA_TTL_MS],
    ['clocks may differ by less than a token lives', CLOCK_TOLERANCE_S * 1_000, DEFAULT_MIN_TTL_MS],
  ],
  'protected resources': [
    ['a discovery takes several requests', limits.OUTBOUND_DEADLINE_MS, limits.DISCOVERY_DEADLINE_MS],
    [
      'a claim to register outlasts the registration, and others wait long enough to see its client',
      10 * limits.REGISTRATION_POLL_MS,
      limits.DISCOVERY_DEADLINE_MS,
      limits.REGISTRATION_WAIT_MS,
      limits.REGISTRATION_CLAIM_MS,
    ],
    [
      'owners wait for a change of a resource for less than a link lives',
      limits.DISCOVERY_RETRY_MS,
      limits.RESOURCE_METADATA_TTL_MS,
      SESSION_TTL_MS,
    ],
    [
      'after a challenge a change is seen sooner than for a new connection',
      limits.CHALLENGE_TTL_MS,
      limits.RESOURCE_METADATA_TTL_MS - 1,
      limits.CHALLENGE_WINDOW_MS,
    ],
    ['who has a link is bounded for as long as it works', SESSION_TTL_MS, limits.DISCOVERY_WINDOW_MS],
    ['discovery and registration end while an owner and proxies wait', 2 * limits.DISCOVERY_DEADLINE_MS, 60_000],
    ['sessions are kept for as long as step-ups are counted', limits.STEP_UP_WINDOW_MS, ENDED_SESSION_RETENTION_MS],
    ['a client is replaced while its secret still works', SESSION_TTL_MS, limits.REGISTRATION_MARGIN_MS],
    [
      'a client that begins connections is kept, and one that begins none is no longer when connections have their own',
      SESSION_TTL_MS,
      limits.REGISTRATION_TOUCH_MS,
      limits.REGISTRATION_WINDOW_MS + 1,
      limits.REGISTRATION_RETENTION_MS,
    ],
    ['documents are published for as long as a client may be in use', limits.CLIENT_DOCUMENT_MAX_AGE_MS, DAY_MS],
  ],
  revocations: [
    ['replicas are waited for no longer than the provider', REPLICAS_POLL_MS, REPLICAS_WAIT_MS, REVOCATION_WAIT_MS],
    ['replicas that poll can apply a revocation in time', SQLITE_CHANGE_POLL_MS, CHANGE_POLL_MS, REPLICAS_WAIT_MS],
    ['a replica is counted for longer than it is waited for', PROCESS_DEAD_AFTER_MS, REPLICA_IN_DOUBT_MS],
    [
      'a code waits for a revocation that is answered in time, and looks often whether it is',
      10 * REVOCATIONS_END_POLL_MS,
      OUTBOUND_DEADLINE_MS,
      REVOCATIONS_END_WAIT_MS,
    ],
    [
      'a revocation that waits for a reconnect looks again before it ends',
      OUTBOX_POLL_MS,
      RECONNECT_WAIT_MS,
      SESSION_TTL_MS,
    ],
    [
      'the caller is answered while the provider may still be waited for',
      REVOCATION_WAIT_MS,
      OUTBOUND_DEADLINE_MS,
      REVOCATION_CLAIM_MS,
    ],
    [
      'no other process takes a revocation over while metadata and both tokens may be under way',
      3 * OUTBOUND_DEADLINE_MS,
      REVOCATION_CLAIM_MS,
    ],
    ['a revocation is tried many times before it is given up', 100 * BACKGROUND_BACKOFF_MAX_MS, REVOCATION_GIVE_UP_MS],
  ],
  deliveries: [
    ['a job keeps its lease during a long batch, though a renewal fails', 2 * JOB_RENEW_MS, JOB_LEASE_MS],
    ['a stopped process hands its job on before the lease would', JOB_POLL_MS, JOB_LEASE_MS],
    ['the pauses of a failing job grow', JOB_RETRY_MS, JOB_RETRY_MAX_MS],
    ['a job that was given up is shown for longer than it alerts', JOB_FAILED_COUNTED_MS, JOB_RETENTION_MS],
    [
      'no other process takes a delivery over while it is attempted and its result written, twice',
      DELIVERY_DEADLINE_MS + DELIVERY_SETTLE_MS + 2 * DELIVERY_SETTLE_RETRY_MS,
      DELIVERY_CLAIM_MS,
    ],
    [
      'an endpoint that hangs delays others by less than a second: it is slow long before its deadline',
      ENDPOINT_SLOW_MS,
      DELIVERY_DEADLINE_MS,
    ],
    ['results are written between two looks for what is due', DELIVERY_SETTLE_MS, DELIVERY_POLL_MS],
    [
      'an endpoint is disabled only after a delivery has been attempted to the end',
      DELIVERY_RETRIES_MS.reduce((sum, wait) => sum + wait, 0),
      ENDPOINT_FAILING_MAX_MS,
    ],
    [
      'a delivery can fail between the first failure and the one that disables the endpoint',
      2 * ENDPOINT_FAILURES_APART_MS,
      ENDPOINT_FAILING_MAX_MS,
    ],
    [
      'of every delivery, two attempts are so far apart that its endpoint can be disabled',
      ENDPOINT_FAILURES_APART_MS,
      0.8 * DELIVERY_RETRIES_MS[5],
    ],
    [
      'both of them are made within a day, the shortest time that events are kept',
      1.2 * DELIVERY_RETRIES_MS.slice(0, 6).reduce((sum, wait) => sum + wait, 0),
      DAY_MS,
    ],
    ['what asks to wait is attempted sooner than it is given up', DELIVERY_RETRY_AFTER_MAX_MS, ENDPOINT_FAILING_MAX_MS],
    ['the wait of a throttled endpoint is one of the early ones', DELIVERY_RETRIES_MS[0], DELIVERY_THROTTLED_MS],
    [
      'a process that does not know a rotated key yet signs with one that is published and signs elsewhere',
      SIGNING_KEYS_CACHE_MS,
      SIGNING_KEY_OVERLAP_MS,
      SIGNING_KEY_PUBLISHED_MS,
    ],
  ],
  'keys that sign JWTs': [
    [
      'a key is known to every verifier before it signs, though a replica hears of it late and the clocks differ',
      2 * 1_000 * limits.JWKS_MAX_AGE_S + SIGNING_KEYS_CACHE_MS + 1_000 * CLOCK_TOLERANCE_S,
      limits.SIGNING_KEY_LEAD_MS,
    ],
    [
      'a retired key is published until the last token that it has signed is dead, also one of a replica that hears of it late',
      limits.SIGNED_JWT_MAX_TTL_MS + SIGNING_KEYS_CACHE_MS + 1_000 * CLOCK_TOLERANCE_S,
      limits.SIGNING_KEY_RETIRED_MS,
      limits.SIGNING_KEY_LISTED_MS,
    ],
    [
      'a client assertion lives for no more than servers allow, and is dead before its key is forgotten',
      1_000 * limits.CLIENT_ASSERTION_TTL_S,
      5 * 60 * 1_000,
      limits.SIGNING_KEY_RETIRED_MS,
    ],
    ['the next key signs soon after it may', limits.SIGNING_KEY_CHECK_MS, limits.SIGNING_KEY_LEAD_MS],
    ['keys are published for longer than they are cached', limits.SIGNING_KEYS_RETRY_MS, SIGNING_KEYS_CACHE_MS],
  ],
  'limits of APIs': [
    [
      'a refusal that does not say how long is waited for by more and more, and no longer than one that does',
      limits.LIMIT_DEFAULT_WAIT_MS,
      limits.LIMIT_DEFAULT_WAIT_MAX_MS,
      limits.LIMIT_WAIT_MAX_MS,
      limits.LIMIT_ABSURD_MS,
    ],
    [
      'a block that is shared is heard of before it ends',
      limits.LIMIT_SHARED_POLL_MS,
      limits.LIMIT_SHARE_MIN_MS,
      limits.LIMIT_SHARED_STALE_MS,
      limits.LIMIT_SHARED_IDLE_MS,
    ],
    ['a store that hangs is asked again before long', limits.LIMIT_STORE_WAIT_MS, limits.LIMIT_STORE_RETRY_MS],
    ['a bucket that is deleted is full: no window is longer than a day', DAY_MS, limits.LIMIT_BUCKET_IDLE_MS],
    [
      'idle buckets are found long before they are many, and without haste',
      limits.LIMIT_SHARED_POLL_MS,
      limits.LIMIT_PRUNE_INTERVAL_MS,
      limits.LIMIT_BUCKET_IDLE_MS,
    ],
    [
      'a retry waits for a limit of the shortest kind',
      limits.LIMIT_WAIT_MIN_MS,
      limits.UPSTREAM_BACKOFF_MAX_MS,
      limits.UPSTREAM_MAX_WAIT_MS,
    ],
    [
      'a breaker probes before a caller that waits would give up',
      limits.UPSTREAM_BREAKER_PAUSE_MIN_MS,
      limits.UPSTREAM_BREAKER_PAUSE_MAX_MS,
      limits.UPSTREAM_MAX_WAIT_MS,
    ],
  ],
  housekeeping: [
    [
      'what is kept for a time is deleted soon after, in batches that others can use the store between',
      100 * SWEEP_PAUSE_MS,
      SWEEP_INTERVAL_MS,
      UNREADABLE_RESPONSE_RETENTION_MS,
    ],
  ],
  sessions: [
    ['a connect link that is returned again can still be used', CONNECT_LINK_REUSE_MS, SESSION_TTL_MS],
    ['a session can be read after it has ended', SESSION_TTL_MS, ENDED_SESSION_RETENTION_MS],
    ['the page of connections is open for longer than its link works', PORTAL_LINK_TTL_MS, PORTAL_SESSION_TTL_MS],
    ['an account can be connected again from the page of connections', SESSION_TTL_MS, PORTAL_SESSION_TTL_MS],
  ],
  'SQLite and its locks': [
    [
      'group commit waits without blocking the process for long',
      GROUP_COMMIT_BUDGET_MS,
      SQLITE_BUSY_RETRY_MS,
      SQLITE_BUSY_TIMEOUT_MS,
      SQLITE_BUSY_GIVE_UP_MS,
    ],
    [
      'a reader hears that the disk does not answer, be it after an fsync, and then a commit of the thread',
      2 * SQLITE_DISK_GIVE_UP_MS,
      READER_WAIT_MS,
    ],
  ],
  'requests and shutdown': [
    ['the headers of a request arrive before its end', REQUEST_HEADERS_TIMEOUT_MS, REQUEST_TIMEOUT_MS],
    [
      'a refresh that is not slow ends within the time that shutdown leaves it, with a repetition of a lost one',
      SLOW_REFRESH_MS + ID_TOKEN_KEYS_WAIT_MS + LOST_RESPONSE_RETRY_MS,
      SHUTDOWN_REFRESH_GRACE_MS,
    ],
    [
      'an open request that waits for the provider to revoke is answered at shutdown',
      REVOCATION_WAIT_MS,
      SHUTDOWN_GRACE_MS,
    ],
    ['shutdown ends as soon as the last request does', SHUTDOWN_POLL_MS, SHUTDOWN_GRACE_MS],
    [
      'a shutdown has the time for open requests, spent refreshes and the last writes',
      Math.max(SHUTDOWN_GRACE_MS, SHUTDOWN_DELIVERY_GRACE_MS) +
        SHUTDOWN_REFRESH_GRACE_MS +
        POSTGRES_ANSWER_TIMEOUT_MS +
        AUDIT_FLUSH_INTERVAL_MS,
      SHUTDOWN_DEADLINE_MS,
    ],
    [
      'what is left behind is said, before the process kills itself, its supervisor does, and Compose does',
      SHUTDOWN_DEADLINE_MS + ROOMS * SHUTDOWN_LATE_PART_MS + LOG_EXIT_WAIT_MS,
      SHUTDOWN_KILL_MS,
      WORKER_STOP_MS,
      graceOf('deploy/compose.yaml', /refreshes in flight[^\n]*\n *stop_grace_period: (\d+)s/g),
    ],
    [
      'and Kubernetes does',
      WORKER_STOP_MS,
      graceOf('deploy/kubernetes/deployment.yaml', /terminationGracePeriodSeconds: (\d+)/g),
    ],
  ],
};

/** The shortest grace period in the file, in milliseconds. */
function graceOf(file: string, pattern: RegExp): number {
  const text = readFileSync(new URL(`../../${file}`, import.meta.url), 'utf8');
  return Math.min(...[...text.matchAll(pattern)].map(([, seconds]) => Number(seconds) * 1_000));
}

describe.each(Object.entries(relations))('time limits: %s', (_, list) => {
  test.each(list)('%s', (_reason, ...rising) => {
    expect(rising).toEqual([...new Set(rising)].sort((a, b) => a - b));
  });
});

test('time limits: a Retry-After of a circuit breaker is no longer than its longest back-off', () => {
  expect(CIRCUIT_RETRY_AFTER_MAX_MS).toBeLessThanOrEqual(CIRCUIT_BACKOFF_MAX_MS);
});

test('time limits: the shortest Retry-After of a reader is its first back-off at most', () => {
  expect(MIN_RETRY_AFTER_MS).toBeLessThanOrEqual(READ_BACKOFF_FIRST_MS);
});

test('time limits: a credential outlives the day after which platforms renew theirs, and is verified again meanwhile', () => {
  expect(CREDENTIAL_MAX_AGE_MS).toBeGreaterThan(DAY_MS);
  expect(CREDENTIAL_MAX_AGE_MS).toBeGreaterThan(JWT_VERDICT_TTL_MS);
});

test('time limits: a verified JWT is trusted no longer than the keys of its issuer', () => {
  expect(JWT_VERDICT_TTL_MS).toBeLessThanOrEqual(JWKS_TTL_MS);
});

test('time limits: heartbeats and the change feed give up when a heartbeat does', () => {
  expect(POSTGRES_CONTROL_TIMEOUT_MS).toBeLessThanOrEqual(HEARTBEAT_TIMEOUT_MS);
});

test('time limits: each has a unit in its name', () => {
  expect(Object.keys(limits).filter((name) => !/_(MS|S)$/.test(name))).toEqual([]);
});

describe('whose fault a failed refresh is', () => {
  test('the circuit is probed often while many dead grants are doubted', () => {
    expect(DEAD_GRANTS_DOUBT_MS).toBeGreaterThanOrEqual(10 * CIRCUIT_BACKOFF_MAX_MS);
  });
  test('those that were found dead shortly before are among those that are tried again', () => {
    expect(DEAD_GRANTS_WINDOW_MS).toBeLessThan(DEAD_GRANTS_DOUBT_MS);
    expect(DEAD_GRANTS_DOUBT_MS).toBeLessThan(DEAD_GRANTS_RETRY_MS);
  });
  test('a connection is blamed later than its circuit would be probed, and later by other endpoints than by its own', () => {
    expect(OWN_FAULT_AFTER_MS).toBeGreaterThan(CIRCUIT_BACKOFF_MAX_MS);
    expect(OWN_FAULT_OF_ENDPOINT_AFTER_MS).toBeGreaterThan(OWN_FAULT_AFTER_MS);
  });
  test('failures in a row may be as far apart as the probes of an open circuit', () => {
    expect(CIRCUIT_RUN_TTL_MS).toBeGreaterThan(CIRCUIT_BACKOFF_MAX_MS);
  });
});

test('Retry-After: never longer than the backoff of background work, and the last try is within the refresh margin', () => {
  expect(RETRY_AFTER_MAX_MS).toBeLessThanOrEqual(BACKGROUND_BACKOFF_MAX_MS);
  expect(RETRY_AFTER_REMEMBERED_MAX_MS).toBeGreaterThan(RETRY_AFTER_MAX_MS);
  expect(LAST_TRY_BEFORE_END_MS).toBeLessThan(REFRESH_MARGIN_MS);
  expect(LAST_TRY_BEFORE_END_MS).toBeGreaterThan(SLOW_REFRESH_MS);
});

test('limits of APIs: what was no refusal is tried again as late as one that does not say how long', () => {
  expect(limits.LIMIT_UNREFUSED_MAX_MS).toBeLessThanOrEqual(limits.LIMIT_WAIT_MAX_MS);
  expect(limits.LIMIT_WAIT_MIN_MS).toBeLessThanOrEqual(limits.LIMIT_DEFAULT_WAIT_MS);
  expect(limits.LIMIT_PREFETCH_MS).toBeLessThan(limits.LIMIT_WAIT_MIN_MS);
  expect(limits.UPSTREAM_BREAKER_WINDOW_MS).toBeGreaterThan(limits.UPSTREAM_BREAKER_PAUSE_MIN_MS);
});

test('renewals: one that keeps the refresh token waits in whole polls', () => {
  expect(limits.RENEWAL_WAIT_MS % limits.RENEWAL_POLL_MS).toBe(0);
});

test('a slow client: its headers end before its request, and neither is found much later', () => {
  expect(limits.REQUEST_HEADERS_TIMEOUT_MS).toBeLessThan(limits.REQUEST_TIMEOUT_MS);
  expect(limits.CONNECTION_CHECK_MS).toBeLessThan(limits.REQUEST_HEADERS_TIMEOUT_MS / 2);
});

test('webhooks of providers: none is lost while a process that claimed it lives, and ids outlive the retries of senders', () => {
  expect(limits.RECEIVED_POLL_MS).toBeLessThan(limits.RECEIVED_CLAIM_MS / 10);
  // A claimed batch waits for deauthorizations, each of which may wait for other replicas.
  expect(limits.RECEIVED_CLAIM_MS).toBeGreaterThan(32 * limits.REPLICAS_WAIT_MS);
  expect(limits.RECEIVED_IDS_RETENTION_MS).toBeGreaterThan(7 * limits.DAY_MS);
  expect(limits.INBOX_FULL_RECHECK_MS).toBeLessThanOrEqual(limits.INBOX_FULL_RETRY_AFTER_S * 1_000);
  expect(limits.REVOCATION_ECHO_MS).toBeLessThan(limits.HANDSHAKE_WINDOW_MAX_MS);
});

test('signals: a poll ends before the next one is due, so that one process polls at a time', () => {
  expect(limits.SIGNAL_POLL_TIMEOUT_MS).toBeLessThan(limits.SIGNAL_POLL_INTERVAL_MS);
});

test('logout tokens: too old ones are refused before their jti is forgotten', () => {
  expect(limits.LOGOUT_TOKEN_MAX_AGE_S * 1_000).toBeLessThan(limits.RECEIVED_IDS_RETENTION_MS);
});

test('workers: a scrape waits longer than those who wait for the store and shorter than Prometheus; one late answer kills none', () => {
  expect(limits.WORKER_METRICS_WAIT_MS).toBeGreaterThan(limits.METRICS_STORE_WAIT_MS);
  expect(limits.METRICS_STORE_WAIT_MS + limits.WORKER_METRICS_WAIT_MS).toBeLessThan(10_000);
  expect(limits.WORKER_UNRESPONSIVE_MS).toBeGreaterThanOrEqual(5 * limits.WORKER_PING_INTERVAL_MS);
});

test('workers: the last one is replaced within the reuse window, one that keeps ending seldom', () => {
  expect(limits.WORKER_RESTART_MS).toBeLessThan(limits.REUSE_WINDOW_MS / 10);
  expect(limits.WORKER_RESTART_MS).toBeLessThan(limits.WORKER_STABLE_MS);
  expect(limits.WORKER_RESTART_MAX_MS).toBeGreaterThan(limits.WORKER_STABLE_MS);
});
