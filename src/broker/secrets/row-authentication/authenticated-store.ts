// The store as the broker sees it: rows that say who may do what, and where secrets go, are written with a message
// authentication code and verified where they enter memory. What does not verify is reported and not used.
import type { AgentSession } from '../../../domain/agent-session.ts';
import type { Caller, CallerKey } from '../../../domain/caller.ts';
import type { ConsoleSession } from '../../../domain/console.ts';
import type { ConnectSession, Integration } from '../../../domain/integration.ts';
import { hasEnded, type Job } from '../../../domain/job.ts';
import {
  type AuthenticatedRow,
  type AuthenticatedTable,
  type IntegrationSettings,
  isLatest,
  type Store,
  type Vault,
} from '../../../ports/index.ts';
import {
  agentSessionRow,
  callerKeyRow,
  callerRow,
  consoleSessionRow,
  integrationRow,
  isOpen,
  jobRow,
  sessionRow,
} from './authenticated-rows.ts';

interface Parts {
  vault: Pick<Vault, 'authenticate' | 'isAuthentic' | 'stage' | 'learn'>;
  /** Called each time that a row is read and refused. `id` is no secret: that of a key is its own and not its digest. */
  refused: (table: AuthenticatedTable, id: string) => void;
}

/** The same store, but for these methods; everything else is passed through. */
export function authenticateStore(store: Store, { vault, refused }: Parts): Store {
  function verified(row: AuthenticatedRow, mac: string | null | undefined, id = row.id): boolean {
    if (vault.isAuthentic(row, mac)) return true;
    refused(row.table, id);
    return false;
  }
  const withMac = <T>(value: T, row: AuthenticatedRow): T & { mac: string | null } => ({
    ...value,
    mac: vault.authenticate(row),
  });

  const writtenIntegration = (settings: IntegrationSettings) => withMac(settings, integrationRow(settings));
  const writtenCaller = (caller: Caller) => withMac(caller, callerRow(caller));
  const writtenKey = (key: CallerKey) => withMac(key, callerKeyRow(key));

  const readIntegration = (integration: Integration): Integration =>
    verified(integrationRow(integration), integration.mac) ? integration : { ...integration, isAuthentic: false };
  const isGenuineConsole = (session: ConsoleSession): boolean =>
    verified(consoleSessionRow(session), session.mac, session.id);
  const isGenuineAgent = (session: AgentSession): boolean =>
    verified(agentSessionRow(session), session.mac, session.id);
  const isGenuine = (session: ConnectSession): boolean =>
    !isOpen(session) || verified(sessionRow(session), session.mac);
  const genuine = <S extends ConnectSession>(session: S | undefined): S | undefined =>
    session && isGenuine(session) ? session : undefined;

  const isGenuineJob = (job: Job): boolean => hasEnded(job) || verified(jobRow(job), job.mac);

  /** Whether `keys rotate` has moved the database on since this process started. */
  async function learnStage(): Promise<void> {
    if (!isLatest(vault.stage())) vault.learn(await store.keyChecks());
  }

  // In the middle of an operation: not reported, as the callers are when they are read into memory.
  store.judgeCallersBy((caller) => vault.isAuthentic(callerRow(caller), caller.mac));

  return {
    ...store,

    putIntegration: (settings, audit, receivers, expected) =>
      store.putIntegration(writtenIntegration(settings), audit, receivers, expected),
    async integration(id) {
      const integration = await store.integration(id);
      return integration && readIntegration(integration);
    },
    async integrations(page) {
      const { data, next } = await store.integrations(page);
      return { data: data.map(readIntegration), next };
    },

    async callers() {
      await learnStage();
      const all = await store.callers();
      return all
        .filter(({ caller }) => verified(callerRow(caller), caller.mac))
        .map(({ caller, keys }) => ({
          caller,
          keys: keys.filter((key) => verified(callerKeyRow(key), key.mac, key.id)),
        }));
    },
    addCaller: (caller, key, audit) => store.addCaller(writtenCaller(caller), key && writtenKey(key), audit),
    updateCaller: (caller, ...rest) => store.updateCaller(writtenCaller(caller), ...rest),
    addCallerKey: (key, audit) => store.addCallerKey(writtenKey(key), audit),

    putDeclared: ({ integrations, callers, ...rest }) =>
      store.putDeclared({
        ...rest,
        integrations: integrations.map(({ settings, ...more }) => ({
          ...more,
          settings: writtenIntegration(settings),
        })),
        callers: callers.map(({ caller, keys, ...more }) => ({
          ...more,
          caller: writtenCaller(caller),
          keys: keys?.map(writtenKey),
        })),
      }),

    addAgentSession: (session, maker, audit) =>
      store.addAgentSession(withMac(session, agentSessionRow(session)), maker, audit),
    async agentSessionsByDigest(digests) {
      return (await store.agentSessionsByDigest(digests)).filter(isGenuineAgent);
    },
    async agentSession(id) {
      const session = await store.agentSession(id);
      return session && isGenuineAgent(session) ? session : undefined;
    },
    async agentSessions(filter, page) {
      const { data, next } = await store.agentSessions(filter, page);
      return { data: data.filter(isGenuineAgent), next };
    },

    addConsoleSession: (session, audit, replaces) =>
      store.addConsoleSession(withMac(session, consoleSessionRow(session)), audit, replaces),
    async consoleSession(digest) {
      const session = await store.consoleSession(digest);
      return session && isGenuineConsole(session) ? session : undefined;
    },
    openConsoleLink: (session, audit, replaces) =>
      store.openConsoleLink(withMac(session, consoleSessionRow(session)), audit, replaces),
    async consoleSessions(now, limit) {
      return (await store.consoleSessions(now, limit)).filter(isGenuineConsole);
    },

    addJob: (job, mostOpen, audit) => store.addJob(withMac(job, jobRow(job)), mostOpen, audit),
    async job(id) {
      const job = await store.job(id);
      return job && isGenuineJob(job) ? job : undefined;
    },
    async jobs(filter, page) {
      const { data, next } = await store.jobs(filter, page);
      return { data: data.filter(isGenuineJob), next };
    },
    async claimJob(now, leaseEnds, except) {
      for (;;) {
        const job = await store.claimJob(now, leaseEnds, except);
        if (!job || isGenuineJob(job)) return job;
        const end = { status: 'failed' as const, lastError: 'not_authentic', nextAt: null, finishedAt: now };
        await store.saveJob(job, end);
      }
    },

    addSession: (session, ...more) => store.addSession(withMac(session, sessionRow(session)), ...more),
    session: async (id) => genuine(await store.session(id)),
    async connectSessions(filter, page) {
      const { data, next } = await store.connectSessions(filter, page);
      return { data: data.filter(isGenuine), next };
    },
    sessionBySecret: async (digest) => genuine(await store.sessionBySecret(digest)),
    chooseIntegration: (session, now) => store.chooseIntegration(withMac(session, sessionRow(session)), now),
    async beginFlow(flow, now, binds) {
      const session = await store.session(flow.sessionId);
      return session && isGenuine(session) ? store.beginFlow(flow, now, binds) : 'gone';
    },
    async consumeFlow(stateDigest, browserDigest, now) {
      const consumed = await store.consumeFlow(stateDigest, browserDigest, now);
      return consumed && isGenuine(consumed.session) ? consumed : undefined;
    },
  };
}
