// Checks a connection: calls the API with its token, in the way that tells whose it is. A check never ends a grant because it
// has failed; it does when the token turns out to be another account's.
import { isStatic } from '../../../domain/auth-modes.ts';
import type { Account, Connection } from '../../../domain/connection.ts';
import { type Fault, Refusal, refuse } from '../../../domain/errors.ts';
import type { CheckReason } from '../../../domain/explanation-causes.ts';
import { readLimit } from '../../../domain/limit-reading.ts';
import { CHECK_DEADLINE_MS } from '../../../domain/time-limits.ts';
import { type Clock, type ProviderClient, type Store, type Telemetry, UpstreamError } from '../../../ports/index.ts';
import type { Access, Call } from '../../audit/index.ts';
import type { ServedToken, TokenCache } from '../../cache/index.ts';
import type { ResolvedIntegration, Targets } from '../../integrations/index.ts';
import type { TokenReader, TokenUse } from '../../tokens/index.ts';
import type { CallPreparation } from '../prepared-calls.ts';
import { type ToldAccount, tokenVerdict, toldAccount } from './verdict.ts';
import { whoamiCallOf } from './whoami-call.ts';
import { createWhoamiSender, type WhoamiSenderParts } from './whoami-sender.ts';

export interface CheckedConnection {
  ok: boolean;
  reason: CheckReason | null;
  /** As it is afterwards. */
  connection: Connection;
  account: Account | null;
  /** Of the API's answer; null: none came. */
  upstreamStatus: number | null;
  /** Seconds that the API asks to wait, where it limits. */
  retryAfter: number | null;
  checkedAt: number;
}

export interface ConnectionCheck {
  /**
   * Calls the API once, and once more with a renewed token where the first one is not accepted; not at all while its limits are
   * used up, or it is down. Takes `connections:write`. It
   * is told and stored what came of it; only another account ends the grant. Refuses as a read of the token does, and with
   * `check_unsupported` where the catalogue has no call for it. Rejects with `StoreError`.
   */
  check(call: Call, id: string): Promise<CheckedConnection | Refusal>;
}

export interface ConnectionCheckParts extends WhoamiSenderParts {
  store: Pick<Store, 'connection' | 'recordCheck' | 'deauthorize'>;
  targets: Targets;
  reader: Pick<TokenReader, 'read' | 'refresh'>;
  preparation: Pick<CallPreparation, 'prepare'>;
  provider: Pick<ProviderClient, 'userinfoEndpoint'>;
  tokenCache: Pick<TokenCache, 'invalidate'>;
  /** Waits for the other replicas. */
  untilApplied: () => Promise<unknown>;
  access: Pick<Access, 'record' | 'noteRead'>;
  telemetry: Pick<Telemetry, 'check'>;
  clock: Clock;
}

const USE: TokenUse = { action: 'connections:write', audit: null };

interface Outcome {
  verdict: CheckReason | 'accepted';
  status: number | null;
  retryAfter: number | null;
  told: ToldAccount | undefined;
}

export function createConnectionCheck(parts: ConnectionCheckParts): ConnectionCheck {
  const { store, targets, reader, tokenCache, untilApplied, access, telemetry, clock } = parts;
  const sender = createWhoamiSender(parts);

  async function attempt(
    call: Call,
    found: ResolvedIntegration,
    served: ServedToken,
    signal: AbortSignal,
  ): Promise<Outcome | Refusal> {
    const { connection, accessToken } = served;
    const target = targets.targetOf(found, connection);
    const whoami = whoamiCallOf(found, connection, target.values, accessToken);
    if (!whoami) return refuse(unsupported(found));
    try {
      const sent = await sender.send(whoami, found, { caller: call.principal.caller.id, served }, signal);
      if (sent instanceof Refusal) return unsent(sent) ?? sent;
      const { answer, headers, origin } = sent;
      const { status, body } = answer;
      const limit = readLimit(found.provider.rate_limits, { status, headers, body, now: clock.now() });
      if (limit.isLimited)
        return { ...NOTHING, verdict: 'rate_limited', status, retryAfter: Math.ceil(limit.waitMs / 1_000) };
      const verdict = tokenVerdict(whoami.whoami, answer);
      const told = toldAccount(whoami.whoami, body, { auth: found.auth, values: target.values, connection, origin });
      if (verdict !== 'accepted') return { ...NOTHING, verdict: REASONS[verdict], status };
      return { verdict: told.isOther ? 'identity_changed' : 'accepted', status, retryAfter: null, told };
    } catch (error) {
      if (!(error instanceof UpstreamError)) throw error;
      return { ...NOTHING, verdict: 'provider_unavailable' };
    }
  }

  /** With another token, where there is one. */
  async function attemptRenewed(
    call: Call,
    found: ResolvedIntegration,
    served: ServedToken,
    first: Outcome,
    signal: AbortSignal,
  ): Promise<{ served: ServedToken; outcome: Outcome } | Refusal> {
    const renewed = await reader.refresh(call, served.connection.id, { rejectedToken: served.accessToken }, USE);
    if (!(renewed instanceof Refusal)) {
      const outcome = await attempt(call, found, renewed, signal);
      return outcome instanceof Refusal ? outcome : { served: renewed, outcome };
    }
    const { fault } = renewed;
    // It was refused while the token lives, or the provider has ended the grant.
    if (fault.code === 'reauthorization_required' && fault.reason !== 'not_refreshable')
      return { served, outcome: { ...first, verdict: fault.reason } };
    return { served, outcome: first };
  }

  /** False: the credentials were replaced meanwhile, so that nothing is known of the new ones. */
  async function end(call: Call, connection: Connection): Promise<boolean> {
    const { id, integration, owner, generation } = connection;
    const by = access.record(call, 'connection.needs_reauth', {
      integration,
      owner,
      connectionId: id,
      detail: 'identity_changed',
    });
    if ((await store.deauthorize(id, generation, 'identity_changed', by)) === 'unchanged') return false;
    tokenCache.invalidate(connection, generation + 1);
    await untilApplied();
    return true;
  }

  async function run(call: Call, id: string): Promise<CheckedConnection | Refusal> {
    const read = await reader.read(call, id, undefined, USE);
    if (read instanceof Refusal) return read;
    const found = await targets.find(read.connection.integration);
    if (found instanceof Refusal) return found;
    const signal = AbortSignal.timeout(CHECK_DEADLINE_MS);
    const first = await attempt(call, found, read, signal);
    if (first instanceof Refusal) return first;
    // Refreshing what was imported to be served as it is would only note that it cannot be.
    const last =
      first.verdict === 'token_rejected' && !isStatic(found.auth)
        ? await attemptRenewed(call, found, read, first, signal)
        : { served: read, outcome: first };
    if (last instanceof Refusal) return last;
    return conclude(call, last.served.connection, last.outcome);
  }

  async function conclude(call: Call, checked: Connection, outcome: Outcome): Promise<CheckedConnection | Refusal> {
    const { id, integration, owner, generation } = checked;
    const { verdict, status, retryAfter, told } = outcome;
    if (verdict === 'identity_changed' && !(await end(call, checked))) return refuse(renewedMeanwhile(checked));
    const reason = verdict === 'accepted' ? null : verdict;
    const checkedAt = clock.now();
    telemetry.check(integration, reason ?? 'ok');
    const action = reason !== null && SAYS_OF_GRANT.has(reason) ? 'connection.check_failed' : 'connection.checked';
    const subject = { integration, owner, connectionId: id, detail: reason ?? 'ok' };
    const recorded = await store.recordCheck(
      id,
      { generation, at: checkedAt, error: reason },
      access.record(call, action, subject),
    );
    if (recorded === 'changed') access.noteRead(call, 'connection.checked', subject);
    const connection = (await store.connection(id)) ?? checked;
    const account = told?.account ?? connection.account;
    return { ok: reason === null, reason, connection, account, upstreamStatus: status, retryAfter, checkedAt };
  }

  return { check: run };
}

const NOTHING = { status: null, retryAfter: null, told: undefined };

/** Of a call that was not sent, since the API limits or is down; undefined: another refusal. */
function unsent({ fault }: Refusal): Outcome | undefined {
  if (fault.code === 'upstream_rate_limited')
    return { ...NOTHING, verdict: 'rate_limited', retryAfter: fault.retryAfter };
  return fault.code === 'upstream_unavailable' ? { ...NOTHING, verdict: 'provider_unavailable' } : undefined;
}

const REASONS = {
  rejected: 'token_rejected',
  forbidden: 'forbidden',
  unavailable: 'provider_unavailable',
  unexpected: 'unexpected_answer',
} as const;

/** The others say nothing of the grant: no one is told. */
const SAYS_OF_GRANT: ReadonlySet<CheckReason> = new Set<CheckReason>(['token_rejected', 'identity_changed']);

const renewedMeanwhile = ({ integration }: Connection): Fault => ({
  code: 'provider_unavailable',
  integration,
  detail: 'the connection was renewed while it was checked: try again',
  retryAfter: 1,
});

const unsupported = ({ integration, provider }: ResolvedIntegration): Fault => ({
  code: 'check_unsupported',
  integration: integration.id,
  detail: `the catalogue has no call that tells whether a token of provider "${provider.id}" works, in this mode and with these scopes`,
});
