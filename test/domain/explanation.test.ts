// Why a connection does not work: each reason and each code has a sentence, someone who can fix it, and how.
import { describe, expect, test } from 'vitest';
import type { HoldReason, ReauthReason } from '../../src/domain/errors.ts';
import {
  type ExplanationFacts,
  explain,
  explainEndpoint,
  explainIntegration,
  explainReason,
  explainRefreshError,
  type FixableBy,
} from '../../src/domain/explanation.ts';
import {
  CHECK_CAUSES,
  CIRCUIT_CAUSES,
  HOLD_CAUSES,
  INTEGRATION_CAUSES,
  REAUTH_CAUSES,
} from '../../src/domain/explanation-causes.ts';
import { aConnection, NOW } from '../stores/builders.ts';

const works = { failures: 0, lastRefreshError: null, lastCheckError: null } as const;
const facts = (
  connection: Parameters<typeof aConnection>[0],
  more: Partial<ExplanationFacts> = {},
): ExplanationFacts => ({
  connection: aConnection({ ...works, ...connection }),
  provider: 'Acme',
  integration: null,
  refused: null,
  circuit: null,
  failingHost: null,
  limitedUntil: null,
  ...more,
});
const error = (code: string, more = {}) => ({ code, detail: 'd', at: NOW, retryAt: NOW + 5, ...more });
const SENTENCE = /^[A-Z][^{}]+\.$/;

function expectSentences(found: ReturnType<typeof explain>, name: string) {
  expect(found?.summary, name).toMatch(SENTENCE);
  expect(found?.how, name).toMatch(SENTENCE);
  return found!;
}

test('a connection that works has none, also with failures that are over', () => {
  expect(explain(facts({}))).toBeNull();
  expect(explain(facts({ lastRefreshError: error('timeout') }))).toBeNull();
});

describe('each reason of a state', () => {
  test.each<[ReauthReason, FixableBy]>([
    ['grant_revoked', 'owner'],
    ['grant_expired', 'owner'],
    ['deauthorized', 'owner'],
    ['identity_changed', 'owner'],
    ['refresh_outcome_unknown', 'owner'],
    ['credentials_rejected', 'owner'],
    ['authorization_server_changed', 'owner'],
    ['not_refreshable', 'owner'],
  ])('needs_reauth with %s: %s, since it was updated', (reason, fixableBy) => {
    const found = expectSentences(explain(facts({ status: 'needs_reauth', reason })), reason);
    expect(found).toMatchObject({ fixableBy, since: NOW + 1, until: null });
    expect(found.how).toContain('connection_id');
    // The same words in the problem, which names no provider.
    const { summary, how } = explainReason(reason);
    expect([summary.replace('The provider', 'Acme'), how]).toEqual([found.summary, found.how]);
  });

  test('the table above is all of them', () => {
    expect(Object.keys(REAUTH_CAUSES)).toHaveLength(8);
    const holds: HoldReason[] = ['account_disabled'];
    expect(Object.keys(HOLD_CAUSES)).toEqual(holds);
  });

  test('on hold: the vendor; revoked: no one', () => {
    const held = expectSentences(explain(facts({ status: 'on_hold', reason: 'account_disabled' })), 'hold');
    expect(held).toMatchObject({ fixableBy: 'vendor', summary: 'Acme has suspended the account.' });
    expect(explain(facts({ status: 'revoked' }))).toMatchObject({ fixableBy: 'no_one', since: NOW + 1 });
  });

  test('a reason of a newer version is one of the owner', () => {
    const reason = 'of_tomorrow' as ReauthReason;
    expect(explain(facts({ status: 'needs_reauth', reason }))?.fixableBy).toBe('owner');
  });
});

describe('each code of a failed refresh', () => {
  test.each<[string, FixableBy]>([
    ['network_error', 'vendor'],
    ['timeout', 'vendor'],
    ['slow', 'vendor'],
    ['server_error', 'vendor'],
    ['temporarily_unavailable', 'vendor'],
    ['http_500', 'vendor'],
    ['http_503', 'vendor'],
    ['http_429', 'vendor'],
    ['slow_down', 'vendor'],
    ['rate_limited', 'vendor'],
    ['ratelimited', 'vendor'],
    ['rate_limit_exceeded', 'vendor'],
    ['too_many_requests', 'vendor'],
    ['use_dpop_nonce', 'vendor'],
    ['answer_too_large', 'vendor'],
    ['keys_unavailable', 'vendor'],
    ['withheld', 'vendor'],
    ['invalid_answer', 'vendor'],
    ['invalid_response', 'vendor'],
    ['invalid_id_token', 'vendor'],
    ['its_own_words', 'vendor'],
    ['constructor', 'vendor'],
    ['refresh_in_progress', 'no_one'],
    ['refresh_in_doubt', 'no_one'],
    ['stopping', 'no_one'],
    ['store_unavailable', 'operator'],
    ['unexpected_error', 'operator'],
    ['not_refreshable', 'owner'],
    ['misconfigured:invalid_client', 'admin'],
    ['misconfigured:http_401', 'admin'],
    ['misconfigured:missing_client_secret', 'admin'],
    ['misconfigured:unauthorized_client', 'admin'],
    ['misconfigured:unsupported_grant_type', 'admin'],
    ['misconfigured:invalid_scope', 'admin'],
    ['misconfigured:invalid_client_key', 'admin'],
    ['misconfigured:invalid_private_key', 'admin'],
    ['misconfigured:missing_credentials', 'admin'],
    ['misconfigured:missing_endpoint', 'admin'],
    ['misconfigured:invalid_endpoint', 'admin'],
    ['misconfigured:insecure_endpoint', 'admin'],
    ['misconfigured:invalid_issuer', 'admin'],
    ['misconfigured:issuer_mismatch', 'admin'],
    ['misconfigured:redirect', 'admin'],
    ['misconfigured:outbound_blocked', 'operator'],
    ['misconfigured:its_own_words', 'admin'],
    ['misconfigured:toString', 'admin'],
  ])('%s: %s', (code, fixableBy) => {
    const failing = { failures: 3, lastRefreshError: error(code), lastRefreshedAt: NOW - 5, nextRefreshAt: NOW + 9 };
    const found = expectSentences(explain(facts(failing)), code);
    // Of several failures, only the last one is stored.
    expect(found).toMatchObject({ fixableBy, since: NOW - 5, until: NOW + 9 });
    expect(expectSentences(explainRefreshError(code), code).how).toBe(found.how);
  });

  test('the first failure is since then; one that is not tried again has no next try', () => {
    const once = { failures: 1, lastRefreshError: error('timeout', { retryAt: null }) };
    expect(explain(facts(once))).toMatchObject({ since: NOW, until: null });
    const never = { failures: 2, lastRefreshedAt: null, issuedAt: NOW - 9, lastRefreshError: error('timeout') };
    expect(explain(facts(never))?.since).toBe(NOW - 9);
  });
});

describe('what is known of the integration', () => {
  const failing = { failures: 3, lastRefreshError: error('timeout') };
  const circuit = { cause: 'outage', code: 'http_503', since: NOW - 60, until: NOW + 60 } as const;

  test.each(Object.keys(INTEGRATION_CAUSES) as (keyof typeof INTEGRATION_CAUSES)[])(
    '%s comes before states',
    (integration) => {
      const found = explain(facts({ status: 'needs_reauth', reason: 'grant_revoked' }, { integration }));
      expect(['admin', 'operator']).toContain(expectSentences(found, integration).fixableBy);
      expect(explainIntegration(facts({}, { integration }))).toEqual(found);
    },
  );

  test('a client that is refused comes before failures, with the next probe', () => {
    const refused = { code: 'invalid_client', since: NOW - 600 };
    const client = { ...circuit, cause: 'client_fault', code: 'invalid_client' } as const;
    const found = expectSentences(explain(facts(failing, { refused, circuit: client })), 'refused');
    expect(found).toMatchObject({ fixableBy: 'admin', since: NOW - 600, until: NOW + 60 });
    expect(found.summary).toContain('secret');
    expect(explainIntegration(facts({}, { refused, circuit: client }))).toEqual(found);
    // Another replica has not found it yet.
    expect(explain(facts(failing, { circuit: client }))).toEqual({ ...found, since: NOW - 60 });
  });

  test.each(Object.keys(CIRCUIT_CAUSES) as (keyof typeof CIRCUIT_CAUSES)[])('an open circuit: %s', (cause) => {
    const found = expectSentences(explain(facts(failing, { circuit: { ...circuit, cause } })), cause);
    expect(found).toMatchObject({ since: NOW - 60, until: NOW + 60 });
    expect(found.summary).toMatch(/^Acme /);
    expect(explainIntegration(facts({}, { circuit: { ...circuit, cause } }))).toEqual(found);
  });

  test('an integration of which nothing is known refreshes', () => {
    expect(explainIntegration(facts({}))).toBeNull();
  });
});

test.each(['disabled_by_caller', 'gone', 'failing'] as const)(
  'a webhook endpoint that is disabled: %s',
  (disabledReason) => {
    const endpoint = { enabled: false, disabledReason, failingSince: null, updatedAt: NOW };
    const found = expectSentences(explainEndpoint(endpoint), disabledReason);
    expect(found).toMatchObject({ fixableBy: 'admin', since: NOW });
    expect(explainEndpoint({ ...endpoint, failingSince: NOW - 5 })?.since).toBe(NOW - 5);
  },
);

test('a webhook endpoint that fails is explained before it is disabled; one that works is not', () => {
  const endpoint = { enabled: true, disabledReason: null, failingSince: NOW - 5, updatedAt: NOW };
  expect(expectSentences(explainEndpoint(endpoint), 'failing').since).toBe(NOW - 5);
  expect(explainEndpoint({ ...endpoint, failingSince: null })).toBeNull();
});

describe('what is known of the API', () => {
  test.each(Object.keys(CHECK_CAUSES))('a check that has failed: %s', (reason) => {
    const found = expectSentences(explain(facts({ lastCheckError: reason })), reason);
    expect(found.since).toBe(NOW - 5);
  });

  test('a reason of a newer version is an answer that is not known', () => {
    expect(explain(facts({ lastCheckError: 'of_tomorrow' }))?.fixableBy).toBe('operator');
  });

  test('a limit, and a host that fails, are the vendor’s', () => {
    const limited = explain(facts({ lastCheckError: 'rate_limited' }, { limitedUntil: NOW + 5 }));
    expect(expectSentences(limited, 'limit')).toMatchObject({ fixableBy: 'vendor', until: NOW + 5 });
    expectSentences(explain(facts({}, { failingHost: 'api.acme.example' })), 'host');
  });
});
