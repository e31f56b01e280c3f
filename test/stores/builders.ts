// Rows for the store's tests: every field set to something that is not the default, with new ids each time.

import type { AgentSession } from '../../src/domain/agent-session.ts';
import type { AuditEntry } from '../../src/domain/audit.ts';
import { type AuditSeal, HEAD, sealId } from '../../src/domain/audit-seal.ts';
import type { Caller, CallerKey } from '../../src/domain/caller.ts';
import type { Ciphertext, Connection, EncryptedCredentials } from '../../src/domain/connection.ts';
import type { ConsoleSession } from '../../src/domain/console.ts';
import type { NewEvent } from '../../src/domain/events.ts';
import type { Candidate, ConnectSession, Flow, Integration } from '../../src/domain/integration.ts';
import type { Job } from '../../src/domain/job.ts';
import type { PortalSessionRow } from '../../src/domain/portal-session.ts';
import type { ReceivedItem, ReceivedWebhook } from '../../src/domain/received-webhook.ts';
import type { SigningKey } from '../../src/domain/signing-key.ts';
import type { WebhookEndpoint } from '../../src/domain/webhook-endpoint.ts';
import type {
  CapturedCallRow,
  PendingRevocation,
  RefreshedFields,
  Store,
  UnreadableResponse,
} from '../../src/ports/index.ts';
import { storedReads } from './stored-reads.ts';

export const NOW = 1_800_000_000_000;

let made = 0;
/** In order, as the real ones are by time. */
const anId = (prefix: string) => `${prefix}_${String(++made).padStart(8, '0')}`;
export const aCiphertext = (name: string) => `v3.test.${name}.${++made}` as Ciphertext;

export const anIntegration = (given: Partial<Omit<Integration, 'version'>> = {}): Omit<Integration, 'version'> => ({
  id: 'slack',
  provider: 'slack',
  clientId: 'client-1',
  clientSecret: aCiphertext('client_secret'),
  privateKey: aCiphertext('private_key'),
  keyId: 'kid-1',
  certificate: '-----BEGIN CERTIFICATE-----',
  scopes: ['chat:write', 'users:read'],
  params: { mode: 'oauth2_code' },
  overrides: { token_url: 'https://sandbox.example/token' },
  scopesNamed: true,
  returnOrigins: ['https://app.example'],
  requireFinish: true,
  rate: { requests: 600, window: 60, per: 'connection' },
  theme: { name: 'Acme', accent_light: '#0f5a47', radius: 8 },
  createdAt: NOW,
  updatedAt: NOW + 1,
  mac: 'm1.test.integration',
  ...given,
});

export const aConnection = (given: Partial<Connection> = {}): Connection => ({
  id: anId('con'),
  integration: 'slack',
  owner: anId('user'),
  label: '',
  status: 'active',
  reason: null,
  scopes: ['chat:write', 'users:read'],
  metadata: { plan: 'pro', seats: 3, nested: { é: [true, null] } },
  params: { shop: 'acme' },
  captured: { team: { id: 'T1' } },
  identity: { issuer: 'https://op.example', subject: 'sub-1' },
  account: { issuer: 'https://op.example', id: 'sub-1', name: 'Ada' },
  tokenType: 'Bearer',
  issuedAt: NOW,
  expiresAt: NOW + 3_600_000,
  nextRefreshAt: NOW + 3_300_000,
  reauthDueAt: NOW + 90 * 86_400_000,
  lastRefreshedAt: NOW - 5,
  lastRefreshError: { code: 'timeout', detail: 'no answer', at: NOW - 10, retryAt: NOW + 10 },
  lastCheckedAt: NOW - 5,
  lastCheckError: 'forbidden',
  failures: 2,
  generation: 1,
  upstreamRevocation: null,
  createdAt: NOW,
  updatedAt: NOW + 1,
  ...given,
});

export const someCredentials = (given: Partial<EncryptedCredentials> = {}): EncryptedCredentials => ({
  accessToken: aCiphertext('access_token'),
  refreshToken: aCiphertext('refresh_token'),
  idToken: aCiphertext('id_token'),
  credentials: aCiphertext('credentials'),
  ...given,
});

export const someRefreshedFields = (given: Partial<RefreshedFields> = {}): RefreshedFields => ({
  scopes: ['chat:write'],
  tokenType: 'bot',
  issuedAt: NOW + 100,
  expiresAt: NOW + 7_200_000,
  nextRefreshAt: NOW + 6_900_000,
  reauthDueAt: NOW + 91 * 86_400_000,
  lastRefreshedAt: NOW + 100,
  captured: { team: { id: 'T2' } },
  identity: { issuer: 'https://op.example', subject: 'sub-2' },
  account: { issuer: 'https://op.example', id: 'sub-2', name: null },
  updatedAt: NOW + 101,
  ...given,
});

export const aCaller = (given: Partial<Caller> = {}): Caller => ({
  id: anId('clr'),
  name: 'mailer',
  permissions: [{ actions: ['token', 'connections:read'], integrations: ['slack'], owners: ['user:*'] }],
  workloads: [{ id: 'wl_1', issuer: 'https://op.example', audience: 'valetkey', claims: { sub: 'mailer' } }],
  rateLimit: { requests: 100, window: 60 },
  maxSessionTtl: 900,
  audiences: ['https://api.example'],
  createdAt: NOW,
  mac: 'm1.test.caller',
  ...given,
});

export const aKey = (callerId: string, given: Partial<CallerKey> = {}): CallerKey => ({
  id: anId('key'),
  callerId,
  digest: anId('digest'),
  prefix: 'vk_abcd',
  createdAt: NOW,
  expiresAt: NOW + 1000,
  lastUsedAt: NOW + 5,
  mac: 'm1.test.key',
  ...given,
});

export const anAgentSession = (given: Partial<AgentSession> = {}): AgentSession => ({
  id: anId('ses'),
  digest: anId('digest'),
  callerId: 'clr_1',
  createdWith: 'key_1',
  parentId: null,
  ancestors: [],
  owner: 'user:1',
  integrations: ['slack'],
  actions: ['proxy', 'sessions'],
  scopes: ['chat:*'],
  methods: ['GET'],
  paths: ['/repos/*'],
  tools: ['read_*'],
  purpose: 'summarise the week',
  agent: { id: 'agent-1', name: 'Summariser' },
  maxUses: null,
  audience: 'https://api.example',
  counted: [],
  createdAt: NOW,
  expiresAt: NOW + 900_000,
  uses: 0,
  lastUsedAt: null,
  endedAt: null,
  endReason: null,
  mac: 'm1.test.session',
  ...given,
});

export const aPortalSession = (given: Partial<PortalSessionRow> = {}): PortalSessionRow => ({
  id: anId('ps'),
  secretDigest: anId('secret'),
  owner: 'user:1',
  browserDigest: null,
  content: aCiphertext('content'),
  createdAt: NOW,
  expiresAt: NOW + 600_000,
  ...given,
});

export const aSession = (given: Partial<ConnectSession> = {}): ConnectSession => ({
  id: anId('cs'),
  secretDigest: anId('secret'),
  integration: 'slack',
  owner: 'user:1',
  label: 'work',
  scopes: ['chat:write'],
  replaceScopes: true,
  params: { shop: 'acme' },
  metadata: { from: 'settings' },
  returnUrl: 'https://app.example/done',
  connectionId: null,
  account: null,
  status: 'pending',
  error: null,
  pageError: null,
  browserDigest: null,
  finish: false,
  displayOwner: 'Ada Lovelace',
  codeChallenge: 'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM',
  integrations: ['slack', 'github'],
  uiLocales: 'pt-BR de',
  display: 'popup',
  isStepUp: true,
  finishDigest: null,
  wrongAttempts: 0,
  createdBy: 'clr_1',
  createdWith: 'key_1',
  createdAt: NOW,
  expiresAt: NOW + 600_000,
  mac: 'm1.test.session',
  ...given,
});

export const aCandidate = (sessionId: string): Candidate => ({
  sessionId,
  receivedGrant: aCiphertext('received_grant'),
  createdAt: NOW + 3,
});

export const aFlow = (sessionId: string, given: Partial<Flow> = {}): Flow => ({
  stateDigest: anId('state'),
  sessionId,
  integration: 'slack',
  browserDigest: 'browser-1',
  verifier: aCiphertext('verifier'),
  nonce: aCiphertext('nonce'),
  issuer: 'https://op.example',
  redirectUri: 'https://broker.example/oauth2/callback/slack',
  scopes: ['chat:write'],
  params: { shop: 'acme' },
  accountPrompt: null,
  source: null,
  expiresAt: NOW + 700_000,
  ...given,
});

export const aRevocation = (given: Partial<PendingRevocation> = {}): PendingRevocation => ({
  id: anId('rev'),
  connectionId: 'con_elsewhere',
  integration: 'slack',
  owner: 'user:1',
  label: 'work',
  account: { issuer: 'https://op.example', id: 'sub-1', name: 'Ada' },
  params: { shop: 'acme' },
  captured: { uid: '42' },
  accessToken: aCiphertext('access_token'),
  refreshToken: aCiphertext('refresh_token'),
  credentials: null,
  attempts: 1,
  nextAt: NOW,
  claimedUntil: null,
  createdAt: NOW - 1,
  ...given,
});

export const anUnreadableResponse = (given: Partial<UnreadableResponse> = {}): UnreadableResponse => ({
  id: anId('unr'),
  integration: 'slack',
  connectionId: anId('con'),
  sessionId: anId('cs'),
  status: 200,
  contentType: 'text/html',
  extent: 'whole',
  receivedAt: NOW,
  body: aCiphertext('body'),
  ...given,
});

export const aCapturedCall = (given: Partial<CapturedCallRow> = {}): CapturedCallRow => ({
  id: anId('cap'),
  connectionId: anId('con'),
  at: NOW,
  content: aCiphertext('content'),
  ...given,
});

export function aConsoleSession(given: Partial<ConsoleSession> = {}): ConsoleSession {
  const id = anId('cse');
  return {
    id,
    digest: `digest of ${id}`,
    issuer: 'http://localhost:8080',
    subject: 'clr_admin',
    name: 'Ada',
    role: 'admin',
    providerSession: null,
    address: '192.0.2.1',
    createdAt: NOW,
    openedAt: NOW,
    lastSeenAt: NOW,
    expiresAt: NOW + 60_000,
    mac: null,
    ...given,
  };
}

export const aReceivedItem = (given: Partial<ReceivedItem> = {}): ReceivedItem => ({
  index: 0,
  eventId: anId('msg'),
  providerEventId: 'Ev1',
  providerType: 'tokens_revoked',
  ...given,
});

export const aReceivedWebhook = (given: Partial<ReceivedWebhook> = {}): ReceivedWebhook => ({
  id: anId('whr'),
  kind: 'webhook',
  integration: 'slack',
  status: 'received',
  reason: null,
  receivedAt: NOW,
  method: 'POST',
  contentType: 'application/json',
  path: '/webhooks/slack',
  headers: { 'user-agent': 'sender' },
  digest: 'd'.repeat(64),
  size: 42,
  body: aCiphertext('body'),
  items: [aReceivedItem()],
  attempts: 0,
  nextAt: NOW,
  processedAt: null,
  ...given,
});

export const anAuditSeal = (given: Partial<AuditSeal> = {}): AuditSeal => ({
  id: sealId(1),
  previous: 'a'.repeat(64),
  fromPosition: 0,
  toPosition: 1,
  entries: 1,
  lastId: 'evt_1',
  digest: 'b'.repeat(64),
  sealedAt: NOW,
  hash: 'c'.repeat(64),
  ciphertext: aCiphertext('seal'),
  ...given,
});

/** Of the admin key of the settings, which may hear all. */
export const anEndpoint = (given: Partial<WebhookEndpoint> = {}): WebhookEndpoint => ({
  id: anId('whe'),
  callerId: 'clr_admin',
  url: 'https://app.example/hooks',
  types: null,
  integrations: null,
  owners: null,
  ordered: false,
  headers: aCiphertext('headers'),
  description: 'what it is for',
  enabled: true,
  disabledReason: null,
  secret: aCiphertext('secret'),
  previousSecret: aCiphertext('previous_secret'),
  previousUntil: NOW + 5,
  failingSince: null,
  createdAt: NOW,
  updatedAt: NOW + 1,
  ...given,
});

export const anEvent = (given: Partial<NewEvent> = {}): NewEvent => ({
  id: anId('msg'),
  type: 'webhook.received',
  at: NOW,
  integration: 'slack',
  owner: 'user:1',
  connectionId: 'con_1',
  callerId: null,
  endpointId: null,
  data: { provider: 'slack', 'é\u0000': [1, null] },
  body: aCiphertext('body'),
  ...given,
});

export const aSigningKey = (given: Partial<SigningKey> = {}): SigningKey => ({
  id: anId('sgk'),
  purpose: 'webhook',
  privateKey: aCiphertext('private_key'),
  publicKey: { kty: 'OKP', crv: 'Ed25519', x: 'x' },
  createdAt: NOW,
  signingSince: NOW,
  retiredAt: null,
  ...given,
});

export const anEntry = (given: Partial<AuditEntry> = {}): AuditEntry => ({
  id: anId('evt'),
  at: NOW,
  action: 'integration.put',
  outcome: 'ok',
  actor: 'clr_1',
  keyId: 'key_1',
  subject: 'mailer',
  integration: 'slack',
  owner: 'user:1',
  connectionId: 'con_1',
  address: '192.0.2.1',
  requestId: 'req-1',
  clientRequestId: 'theirs-1',
  traceId: '0af7651916cd43dd8448eb211c80319c',
  changed: 'scopes',
  session: 'ses_1',
  agentId: 'agent-1',
  agentName: 'Summariser',
  purpose: 'summarise the week',
  detail: 'as asked',
  count: 1,
  ...given,
});

/** Stores the integration `slack` if need be, and a connection of it. */
export async function connected(store: Store, given: Partial<Connection> = {}, credentials = someCredentials()) {
  const connection = aConnection(given);
  if (!(await store.integration(connection.integration)))
    await store.putIntegration(anIntegration({ id: connection.integration }), anEntry());
  const outcome = await store.addConnection(connection, credentials, null, anEntry());
  if (outcome !== 'added') throw new Error(`not added: ${JSON.stringify(outcome)}`);
  return { connection, credentials };
}

/** At least one row a table, and in one of them a value in every column. */
async function addedSession(store: Store, given: Partial<ConnectSession>): Promise<ConnectSession> {
  const session = aSession(given);
  await store.addSession(session, anEntry());
  return session;
}

export async function fill(store: Store): Promise<void> {
  await store.putIntegration(anIntegration(), anEntry());
  const caller = aCaller();
  await store.addCaller(caller, aKey(caller.id), anEntry());
  await connected(store, { status: 'needs_reauth', reason: 'grant_expired', upstreamRevocation: 'failed' });
  const { connection } = await connected(store);
  const claimed = await store.claim(connection.id, { attempt: 'att_1', generation: 1, now: NOW, monotonic: 0 });
  if (typeof claimed !== 'object') throw new Error(`not claimed: ${claimed}`);
  const { connection: suspended } = await connected(store);
  await store.hold(suspended.id, 'account_disabled', NOW, anEntry());
  const session = aSession({ connectionId: connection.id, account: connection.account });
  await store.addSession(session, anEntry());
  const [flow, consumed] = [
    aFlow(session.id, { accountPrompt: 'login', source: aCiphertext('source') }),
    aFlow(session.id),
  ];
  for (const one of [flow, consumed])
    if ((await store.beginFlow(one, NOW)) !== 'begun') throw new Error('no flow begun');
  if (!(await store.consumeFlow(consumed.stateDigest, consumed.browserDigest, NOW))) throw new Error('not consumed');
  await store.failSession(session.id, 'access_denied', anEntry(), 'provider_error');
  const { id } = await addedSession(store, { finish: true });
  await store.awaitFinish(aCandidate(id), { finishDigest: 'd', expiresAt: NOW + 60_000, account: null }, anEntry());
  const portal = aPortalSession();
  await store.addPortalSession(portal, anEntry());
  const { content, expiresAt } = portal;
  await store.enterPortalSession(portal.id, { content, expiresAt, browserDigest: anId('browser') }, anEntry());
  const maker = { callerId: undefined, keyId: null, mostLive: 10, mostBelow: 10 };
  const agent = anAgentSession({ maxUses: 3, parentId: null, ancestors: ['ses_0'] });
  await store.addAgentSession(agent, maker, anEntry());
  await store.addAgentSession(anAgentSession({ parentId: agent.id }), maker, anEntry());
  await store.countSessionUse([agent.id], NOW);
  await store.endAgentSessions([agent.id], 'revoked', anEntry());
  await store.addPendingRevocation(
    aRevocation({ claimedUntil: NOW + 60_000, credentials: aCiphertext('credentials') }),
  );
  const registration = { id: 'slack/abc', integration: 'slack', issuer: 'https://as.example' };
  for (const version of [0, 1]) {
    const bounds = { most: 10, mostNew: 10, since: NOW };
    await store.claimRegistration({ ...registration, version }, { by: 'reg_1', now: NOW, until: NOW + 60_000 }, bounds);
    if (version === 0) await store.storeRegistration(registration.id, 'reg_1', aCiphertext('client'), NOW, anEntry());
  }
  await store.addUnreadableResponse(anUnreadableResponse(), { ofOne: 3, ofIntegration: 100 });
  await store.startCapture({ connectionId: connection.id, startedAt: NOW, until: NOW + 1 }, anEntry());
  await store.addCapturedCall(aCapturedCall({ connectionId: connection.id }), 200);
  const done = {
    total: 3,
    done: 1,
    position: 'con_1',
    attempts: 1,
    lastError: 'store',
    startedAt: NOW,
    finishedAt: NOW,
  };
  await store.addJob(aJob({ ...done, mac: 'm1.test.mac' }), 20, anEntry());
  await store.addConsoleSession(aConsoleSession({ providerSession: 'sid', mac: 'm1.test.mac' }), anEntry());
  const settings = { integration: 'slack', webhook: aCiphertext('webhook'), signals: aCiphertext('signals') };
  await store.putReceiverSettings({ ...settings, updatedAt: NOW }, anEntry());
  const webhook = aReceivedWebhook();
  await store.receive(webhook, { 0: anId('digest') }, 10);
  const settled = { status: 'located', reason: 'none', processedAt: NOW, nextAt: null } as const;
  await store.settleReceived(webhook.id, settled, [connection.id], []);
  await store.receive(aReceivedWebhook(), { 0: anId('digest') }, 10);
  await store.addAuditSeal(anAuditSeal(), anAuditSeal({ id: HEAD, previous: sealId(1) }));
  await fillDeliveries(store, connection.id);
  await store.swapSigningKeys('webhook', [], [aSigningKey(), aSigningKey({ retiredAt: NOW })], []);
  await store.setIntegrationFault('slack', 'invalid_client', anEntry({ action: 'integration.misconfigured' }));
  const [ending] = await store.endingConnections(Number.MAX_SAFE_INTEGER, undefined, 1);
  await store.putReauthNotice(ending!, 1, undefined);
  await store.addKeyCheck({ kid: 'test', ciphertext: aCiphertext('check') });
  await store.addHourlyCounts([{ hour: NOW, integration: 'slack', metric: 'refresh', outcome: 'ok', count: 2 }]);
  const reads = [1, 2].map(() => anEntry({ action: 'token.read', detail: null, changed: null }));
  await store.appendAudit(storedReads(reads));
  await store.takeFromBucket('slack', 1, { perSecond: 1, burst: 8, reserve: 0 });
  await store.blockBucket('slack', 60_000);
}

/** One delivery is under way, one has failed, and one is done. */
async function fillDeliveries(store: Store, connectionId: string): Promise<void> {
  const endpoint = anEndpoint({ types: ['webhook.received'] });
  await store.addWebhookEndpoint(endpoint, anEntry());
  const disabled = { enabled: false, disabledReason: 'failing', failingSince: NOW } as const;
  await store.addWebhookEndpoint(anEndpoint({ ...disabled, integrations: ['slack'], owners: ['user:*'] }), anEntry());
  const own = anEvent({ type: 'test.ping', connectionId: null, callerId: 'clr_1', endpointId: endpoint.id });
  await store.addEvents([...Array.from({ length: 3 }, () => anEvent({ connectionId })), own], undefined);
  const [failed, done] = await store.claimDeliveries(endpoint.id, NOW + 1, NOW + 60_000, 3);
  const outcome = { at: NOW + 2, httpStatus: 500, response: aCiphertext('last_response') };
  await store.settleDeliveries([
    { id: failed!.delivery.id, outcome: { ...outcome, status: 'failing', error: 'status_500', nextAt: NOW + 9 } },
    { id: done!.delivery.id, outcome: { ...outcome, status: 'delivered', error: null, nextAt: null } },
  ]);
}

/** Whether this entry is in the audit log: an operation that changed something writes one. */
export async function recorded(store: Store, entry: Pick<AuditEntry, 'id'>): Promise<boolean> {
  const { data } = await store.audit({}, { limit: 500, after: undefined });
  return data.some(({ id }) => id === entry.id);
}

export const FIRST = { limit: 500, after: undefined };

/** For many items, so that none waits for a connection of the pool for longer than the store's own limit. */
export async function inBatches<T>(items: readonly T[], work: (item: T) => Promise<unknown>): Promise<void> {
  for (let i = 0; i < items.length; i += 10) await Promise.all(items.slice(i, i + 10).map(work));
}

export const aJob = (given: Partial<Job> = {}): Job => ({
  id: anId('job'),
  kind: 'connections.revoke',
  input: { kind: 'connections.revoke', integration: 'acme', owner: null },
  actor: {
    id: 'clr_1',
    name: 'ops',
    credential: { kind: 'key', id: 'key_1', expiresAt: null },
    permissions: null,
    address: '192.0.2.1',
    requestId: 'req_1',
  },
  callerId: 'clr_1',
  status: 'pending',
  total: 3,
  done: 0,
  counts: {},
  position: null,
  attempts: 0,
  lastError: null,
  nextAt: NOW,
  fence: 0,
  createdAt: NOW,
  startedAt: null,
  finishedAt: null,
  mac: null,
  ...given,
});
