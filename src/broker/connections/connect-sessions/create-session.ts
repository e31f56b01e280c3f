// A new connect session: what a caller asks for, with everything that is wrong with it.
import { isCode } from '../../../domain/auth-modes.ts';
import { ADMIN_ID, keyOfMaker, madeWith } from '../../../domain/caller.ts';
import type { Connection } from '../../../domain/connection.ts';
import { type InputIssue, Refusal, refuse } from '../../../domain/errors.ts';
import { asMeant, fieldIssues } from '../../../domain/fields.ts';
import type { ConnectSession, Integration, SessionDisplay } from '../../../domain/integration.ts';
import { connectionFields, identifyingFields, unprovenFields } from '../../../domain/provider.ts';
import { SESSION_TTL_MS } from '../../../domain/time-limits.ts';
import type { Clock, ResourceChallenge, Store } from '../../../ports/index.ts';
import { type Access, type Call, sees } from '../../audit/index.ts';
import type { ResolvedIntegration, Targets } from '../../integrations/index.ts';
import { type Challenges, type GrantSources, refusalOf } from '../../resources/index.ts';
import { digest, newId, newSecret } from '../../secrets/index.ts';
import { returnUrlIssues } from './return-url.ts';
import { createStepUp } from './step-up.ts';

export interface ConnectSessionRequest {
  /** With a connection to renew, it need not be named, and neither need the owner. */
  integration?: string | undefined;
  owner?: string | undefined;
  label?: string | undefined;
  scopes?: string[] | undefined;
  /** True: a renewed connection gives up the other scopes that it has. */
  replaceScopes?: boolean | undefined;
  params?: Record<string, string> | undefined;
  metadata?: Record<string, unknown> | undefined;
  returnUrl?: string | undefined;
  /** The connection to renew. */
  connectionId?: string | undefined;
  finish?: boolean | undefined;
  displayOwner?: string | undefined;
  codeChallenge?: string | undefined;
  /** In the order of preference, with spaces between. */
  uiLocales?: string | undefined;
  display?: SessionDisplay | undefined;
  /** What an API answered with the connection's token: it is authorized again, for the scopes that are wanted, too. */
  challenge?: ResourceChallenge | undefined;
  /** Instead of one integration: the owner chooses. */
  integrations?: string[] | undefined;
}

/** `url` contains the secret of the session, which is not stored: it is returned once. */
export interface CreatedSession {
  session: ConnectSession;
  url: string;
}

export interface CreateSessionParts {
  store: Pick<Store, 'addSession' | 'connection'>;
  targets: Targets;
  sources: Pick<GrantSources, 'find'>;
  challenges: Challenges;
  access: Access;
  clock: Clock;
  publicUrl: string;
  /** Origins that a `return_url` may have at every integration. */
  returnOrigins: readonly string[];
}

/** A request whose integration and owner are known. `renewed`: the connection to renew, if it is one that the caller sees. */
type Place = ConnectSessionRequest & { integration: string; owner: string; renewed?: Connection | undefined };

export type CreateSession = (
  call: Call,
  action: 'connections:write' | 'token',
  request: ConnectSessionRequest,
) => Promise<CreatedSession | Refusal>;

export function createSessionCreation(parts: CreateSessionParts): CreateSession {
  const { store, targets, sources, access, clock, publicUrl, returnOrigins } = parts;
  const stepUp = createStepUp(parts);

  /** With the connection that is to be renewed, and its integration and owner where the request names none. */
  async function placed(call: Call, request: ConnectSessionRequest): Promise<Place | Refusal> {
    const { connectionId: id } = request;
    const stored = id === undefined ? undefined : await store.connection(id);
    const renewed = stored && sees(call, stored) ? stored : undefined;
    const { integration = renewed?.integration, owner = renewed?.owner } = request;
    if (integration !== undefined && owner !== undefined) return { ...request, integration, owner, renewed };
    if (id !== undefined) return refuse({ code: 'not_found', what: 'connection', id });
    const missing = Object.entries({ integration, owner }).filter(([, value]) => value === undefined);
    return invalid(missing.map(([path]) => ({ path, message: 'is required without a connection_id' })));
  }

  /** The integration as it may be connected: what is wrong with the rest is added to `issues`. */
  async function permitted(
    call: Call,
    action: 'connections:write' | 'token',
    wanted: Place,
    issues: InputIssue[],
  ): Promise<{ params: Record<string, string>; found: ResolvedIntegration } | Refusal> {
    const { integration, owner, connectionId, renewed } = wanted;
    const denied = access.denied(call, action, integration, owner);
    if (denied) return denied;
    const found = await targets.find(integration);
    if (found instanceof Refusal) return found;
    const scopes = wanted.scopes ?? found.integration.scopes;
    const scopesDenied = access.denied(call, action, integration, owner, connectionId, { scopes });
    if (scopesDenied) return scopesDenied;
    const fields = connectionFields(found.provider, found.auth);
    const params = asMeant(fields, wanted.params ?? {});
    issues.push(...fieldIssues('params', fields, params, 'allowed'));
    const unproven = unprovenFields(found.provider, found.auth);
    // Of those that the form asks for beside credentials, an answer of the API has to prove what the owner enters, and not this.
    const identifying = isCode(found.auth) ? unproven : identifyingFields(found.provider, found.auth);
    const among = (fields: object) =>
      Object.fromEntries(Object.entries(params).filter(([name]) => Object.hasOwn(fields, name)));
    // They could name the account of an owner whom the caller must not speak for.
    const statesWhose = Object.entries(among(identifying)).some(
      ([name, value]) => renewed?.owner !== owner || renewed.params[name] !== value,
    );
    const wholeDenied = statesWhose && access.denied(call, action, integration, '*', connectionId);
    if (wholeDenied) return wholeDenied;
    // A renewed connection has them.
    if (connectionId === undefined)
      issues.push(...unaskedIssues(wanted, fieldIssues('params', unproven, among(unproven))));
    const allowed = [...returnOrigins, ...found.integration.returnOrigins];
    if (wanted.returnUrl !== undefined) issues.push(...returnUrlIssues(wanted.returnUrl, allowed, publicUrl));
    issues.push(...finishIssues(wanted, found.integration));
    return { params, found };
  }

  /** The owner chooses: the caller needs the permission for each. */
  async function ofSeveral(call: Call, request: ConnectSessionRequest): Promise<CreatedSession | Refusal> {
    const { integrations = [], owner } = request;
    const taken = { integration: 1, connectionId: 1, scopes: 1, replaceScopes: 1, params: 1, challenge: 1 };
    const issues: InputIssue[] = [
      ...(owner === undefined ? [{ path: 'owner', message: 'is required with integrations' }] : []),
      ...Object.keys(taken)
        .filter((name) => request[name as keyof typeof taken] !== undefined)
        .map((name) => ({
          path: name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
          message: 'not taken with integrations: it would be that of one of them',
        })),
    ];
    if (owner === undefined || issues.length > 0) return invalid(issues);
    for (const integration of integrations) {
      const found = await permitted(call, 'connections:write', { ...request, integration, owner }, issues);
      if (found instanceof Refusal) return found;
    }
    issues.push(...displayIssues(request));
    const distinct = issues.filter((one, i) => issues.findIndex(({ message }) => message === one.message) === i);
    if (distinct.length > 0) return invalid(distinct);
    const [only] = integrations;
    const one = integrations.length === 1 && only !== undefined ? only : '';
    return add(call, { ...request, integration: one, owner }, { params: {}, label: request.label ?? '' });
  }

  async function add(
    call: Call,
    wanted: Place,
    { params, label }: Pick<ConnectSession, 'params' | 'label'>,
  ): Promise<CreatedSession | Refusal> {
    const { integration, owner } = wanted;
    const secret = newSecret();
    const now = clock.now();
    const session: ConnectSession = {
      id: newId('cs', now),
      secretDigest: digest(secret),
      integration,
      owner,
      label,
      scopes: wanted.scopes ?? null,
      replaceScopes: wanted.replaceScopes ?? null,
      params,
      metadata: wanted.metadata ?? null,
      returnUrl: wanted.returnUrl ?? null,
      connectionId: wanted.connectionId ?? null,
      account: null,
      status: 'pending',
      error: null,
      pageError: null,
      browserDigest: null,
      finish: wanted.finish ?? null,
      displayOwner: wanted.displayOwner ?? null,
      codeChallenge: wanted.codeChallenge ?? null,
      integrations: integration === '' ? (wanted.integrations ?? []) : null,
      uiLocales: wanted.uiLocales ?? null,
      display: wanted.display ?? null,
      isStepUp: wanted.challenge !== undefined,
      finishDigest: null,
      wrongAttempts: 0,
      createdBy: call.principal.caller.id,
      createdWith: madeWith(call.principal),
      createdAt: now,
      expiresAt: now + SESSION_TTL_MS,
    };
    const about = integration === '' ? null : integration;
    const subject = { integration: about, owner, connectionId: session.connectionId, detail: session.id };
    const by = access.record(call, 'connect_session.created', subject);
    const counted = session.isStepUp ? stepUp.counted(now) : undefined;
    const added = await store.addSession(session, by, creatorOf(call), counted);
    if (added === 'exhausted') return stepUp.exhausted(session);
    if (added === 'creator_gone') return refuse({ code: 'unauthenticated', reason: 'unknown' });
    return { session, url: `${publicUrl}/connect/${secret}` };
  }

  /** Discovery is done for the caller, who is told what is wrong; params that are missing are asked for in the browser. */
  async function locate(
    found: ResolvedIntegration,
    params: Record<string, string>,
    owner: string,
    connection: Connection | undefined,
    since: number,
  ): Promise<Refusal | undefined> {
    const target = targets.targetOf(found, { params: { ...connection?.params, ...params }, captured: {} });
    if (target.resource === null) return undefined;
    // A renewal leads to where the resource is now.
    const located = await sources.find(found, target, { owner, since: connection && since });
    return located.ok ? undefined : refusalOf(found.integration.id, located.fault);
  }

  return async (call, action, request) => {
    if (request.integrations !== undefined) return ofSeveral(call, request);
    const asked = await placed(call, request);
    if (asked instanceof Refusal) return asked;
    const startedAt = clock.now();
    const wanted = await stepUp.widened(asked, isOf(asked) ? asked.renewed : undefined);
    if (wanted instanceof Refusal) return wanted;
    const issues = displayIssues(request);
    const found = await permitted(call, action, wanted, issues);
    if (found instanceof Refusal) return found;
    const renewal = wanted.connectionId === undefined ? [] : renewalIssues(wanted, wanted.connectionId);
    if (renewal instanceof Refusal) return renewal;
    issues.push(...renewal);
    if (issues.length > 0) return invalid(issues);
    const { renewed, challenge, owner } = wanted;
    const unusable =
      (renewed && challenge && (await parts.challenges.check(renewed, challenge))) ??
      (await locate(found.found, found.params, owner, renewed, startedAt));
    const label = renewed?.label ?? wanted.label ?? '';
    return unusable ?? add(call, wanted, { params: found.params, label });
  };
}

const isOf = ({ integration, owner, renewed }: Place): boolean =>
  renewed?.integration === integration && renewed.owner === owner;

/** Why it cannot be renewed. */
function renewalIssues(wanted: Place, id: string): InputIssue[] | Refusal {
  const { renewed, label } = wanted;
  if (!renewed) return refuse({ code: 'not_found', what: 'connection', id });
  if (!isOf(wanted)) return [{ path: 'connection_id', message: 'is a connection of another integration or owner' }];
  if (renewed.status === 'revoked') return refuse({ code: 'connection_revoked', connection_id: id });
  return label === undefined || label === renewed.label
    ? []
    : [{ path: 'label', message: 'a renewed connection keeps its label: leave it out' }];
}

/** What is missing, and is not asked for in the browser. */
const unaskedIssues = ({ integration, integrations }: Place, missing: InputIssue[]): InputIssue[] =>
  missing.map(({ path, message }) =>
    integrations === undefined
      ? { path, message: `${message}; owners are not asked for it` }
      : { path: 'integrations', message: `"${integration}" needs ${path}, which only a session of it alone can state` },
  );

const invalid = (issues: InputIssue[]): Refusal =>
  refuse({ code: 'invalid_request', detail: 'the connect session has invalid settings', issues });

/** What is told to a window is told to one origin. */
const displayIssues = ({ display, returnUrl }: ConnectSessionRequest): InputIssue[] =>
  display === 'popup' && returnUrl === undefined
    ? [{ path: 'return_url', message: 'is required with display: its origin is told how the session ends' }]
    : [];

/** Who must still be there when the session is stored. The admin key is in no table. */
export function creatorOf({ principal }: Call): { callerId: string; keyId: string | null } | undefined {
  const { id: callerId } = principal.caller;
  if (callerId === ADMIN_ID || principal.credential.kind === 'console') return undefined;
  return { callerId, keyId: keyOfMaker({ callerId, createdWith: madeWith(principal) }) };
}

function finishIssues(
  { finish, returnUrl, codeChallenge }: ConnectSessionRequest,
  { id, requireFinish }: Pick<Integration, 'id' | 'requireFinish'>,
): InputIssue[] {
  if (finish)
    return returnUrl === undefined
      ? [{ path: 'return_url', message: 'is required with finish: the browser takes the finish code there' }]
      : [];
  return [
    ...(requireFinish ? [{ path: 'finish', message: `must be true: integration "${id}" has require_finish` }] : []),
    ...(codeChallenge === undefined ? [] : [{ path: 'code_challenge', message: 'needs finish: true' }]),
  ];
}
