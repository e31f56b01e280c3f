// The connect link in a browser: what it shows, what its form does, and another try after a failure.
//
// A link is opened by more than its reader: previews, mail scanners, prefetch. So opening it binds nothing: the posted form
// does, or, in a two-phase session that has nothing to ask, the authorization response.
import { isCode } from '../../../domain/auth-modes.ts';
import { Refusal } from '../../../domain/errors.ts';
import { asMeant, fieldIssues, type Values } from '../../../domain/fields.ts';
import { type ConnectSession, RETRIED } from '../../../domain/integration.ts';
import { connectionFields, unprovenFields } from '../../../domain/provider.ts';
import type { ResolvedIntegration } from '../../integrations/index.ts';
import { digest } from '../../secrets/index.ts';
import { askedCredentials, createEnterCredentials } from '../entered-credentials/enter-credentials.ts';
import { existingFor, isGone } from '../received-grant/store-grant.ts';
import { createBegin } from './begin.ts';
import { cookieFor, formToken, isBoundTo, secretOfForm } from './browser-cookies.ts';
import { createComplete } from './complete.ts';
import { createOutcome } from './outcome.ts';
import {
  type BrowserRequest,
  type ConnectStep,
  type CredentialTrouble,
  type FlowParts,
  isOpen,
  lacksFinish,
  origin,
  refused,
} from './steps.ts';

/** Without `token`, the browser was not shown the form. */
export interface SubmittedForm {
  token: string | undefined;
  params: Record<string, string>;
  /** What the owner has entered, where the provider does not ask them itself. */
  credentials?: Record<string, string> | undefined;
  /** The integration, of a session that has several. */
  choice?: string | undefined;
}

export function createOpen(parts: FlowParts) {
  const { store, targets, access, clock, log } = parts;
  const begin = createBegin(parts);
  const outcome = createOutcome(parts);
  const complete = createComplete(parts);
  const entering = createEnterCredentials(parts);

  return {
    open: (secret: string, request: BrowserRequest) => visit(secret, request),
    submit: (secret: string, request: BrowserRequest, form: SubmittedForm) => visit(secret, request, form),

    /** Only for errors that another try may end otherwise (`RETRIED`), and before the app is told of them at `return_url`. */
    async retry(id: string, request: BrowserRequest, token: string | undefined): Promise<ConnectStep> {
      const session = await store.sessionOfPage(id);
      if (!session) return refused('invitation_used');
      request.about?.(session);
      if (!isBoundTo(session, request)) return refused('invitation_used');
      const secret = secretOfForm('retry', session, request, token);
      if (secret === undefined) return outcome.of(session, request);
      if (session.returnUrl === null && RETRIED.includes(session.error ?? '')) {
        const { integration, owner, connectionId } = session;
        const subject = { integration, owner, connectionId, detail: session.id };
        const by = access.recordBrowser(origin(request), 'connect_session.reopened', subject);
        await store.reopenSession(id, session.error ?? '', clock.now(), by);
      }
      // A second click finds it open already, and its error gone.
      const current = await store.session(id);
      if (!current) return refused('invitation_used');
      if (!isOpen(current, clock.now())) return outcome.of(current, request);
      return go(current, request, secret, {}, session.error !== 'account_unknown');
    },
  };

  async function visit(linkSecret: string, request: BrowserRequest, form?: SubmittedForm): Promise<ConnectStep> {
    const stored = await store.sessionBySecret(digest(linkSecret));
    if (!stored) return refused('not_found');
    request.about?.(stored);
    if (!isOpen(stored, clock.now())) return outcome.ofLink(stored, request);
    // Before anything is shown or fails for this session. `beginFlow` decides when two browsers come at once.
    if (stored.browserDigest !== null && !isBoundTo(stored, request)) return refused('other_browser');
    const integration = chosenBy(stored, form);
    if (integration === undefined) return choose(stored, request, form);
    const session = { ...stored, integration };
    request.about?.(session);
    const found = await targets.find(integration);
    if (found instanceof Refusal) return refused('integration_misconfigured');
    if (lacksFinish(session, found)) return refused('invitation_cancelled');

    const { auth, provider } = found;
    const { isNew, ...cookie } = cookieFor(session, request);
    const renewed = session.connectionId === null ? undefined : await existingFor(store, session);
    // Before the owner consents in vain; the session ends by itself.
    if (isGone(session, renewed)) return refused('connection_gone', provider.name);
    const all = connectionFields(provider, auth);
    const unproven = unprovenFields(provider, auth);
    const fields = without(unproven, all);
    const given = asMeant(fields, without(unproven, form?.params ?? {}));
    const params = { ...renewed?.params, ...given, ...session.params };
    const entered = form?.credentials ?? {};
    const missing = fieldIssues('params', all, params);
    // Nothing that the owner could set right.
    if (missing.some(({ path }) => Object.hasOwn(unproven, path.slice('params.'.length)))) {
      log.warn(
        { session: session.id, integration, missing },
        'connect: the session lacks params that owners are not asked',
      );
      return refused('integration_misconfigured', provider.name);
    }
    const issues = [...missing, ...(isCode(auth) ? [] : entering.issues(auth, entered))];
    const set = isNew && { cookie };
    const confirmedBy = form && secretOfForm('confirm', session, request, form.token);
    const page = (trouble: CredentialTrouble | null): ConnectStep => {
      // A choice begins with an empty form, which is not a wrong one.
      const isBlank = form !== undefined && Object.keys({ ...form.params, ...entered }).length === 0;
      const isFirst = form === undefined || (isBlank && session.integrations !== null && confirmedBy !== undefined);
      return {
        kind: 'confirm',
        provider: provider.name,
        displayOwner: session.displayOwner,
        fields: issues.length > 0 || !isCode(auth) ? fields : {},
        values: params,
        issues: isFirst ? [] : issues,
        asked: isCode(auth) ? undefined : { ...askedCredentials(found), trouble },
        choice: session.integrations === null ? null : integration,
        isAgain: !isFirst,
        lacksCookie: isNew && isOurForm(form),
        token: formToken('confirm', session, cookie.secret),
        ...set,
      };
    };
    if (confirmedBy !== undefined && issues.length === 0) {
      if (!(await isChosen(stored, session))) return outcomeOf(session, request);
      if (isCode(auth)) return go(session, request, confirmedBy, params);
      const chosen = Object.keys(given).filter((name) => given[name] !== renewed?.params[name]);
      const step = await enter(session, found, request, confirmedBy, { params, entered, chosen });
      return typeof step === 'string' ? page(step) : step;
    }
    const isAskedNothing = session.finish && session.integrations === null && isCode(auth);
    if (form === undefined && isAskedNothing && issues.length === 0)
      return { ...(await go(session, request, cookie.secret, params)), ...set };
    return page(null);
  }

  /** The page of a session of several integrations; those that are not there any more are left out. */
  async function choose(session: ConnectSession, request: BrowserRequest, form?: SubmittedForm): Promise<ConnectStep> {
    const { isNew, ...cookie } = cookieFor(session, request);
    const found = await Promise.all((session.integrations ?? []).map((id) => targets.find(id)));
    const choices = found.flatMap((one) =>
      one instanceof Refusal || lacksFinish(session, one)
        ? []
        : [{ integration: one.integration.id, provider: one.provider.name }],
    );
    if (choices.length === 0) return refused('integration_misconfigured');
    // Two integrations of one provider are told apart by what the admin has called them.
    const named = choices.map(({ integration, provider }) => {
      const isOnly = choices.filter((one) => one.provider === provider).length === 1;
      return { integration, provider: isOnly ? provider : `${provider} (${integration})` };
    });
    const { displayOwner } = session;
    const lacksCookie = isNew && isOurForm(form);
    const token = formToken('confirm', session, cookie.secret);
    return { kind: 'choose', displayOwner, choices: named, lacksCookie, token, ...(isNew && { cookie }) };
  }

  /** The session is of the integration that was chosen from now on. False: it has ended meanwhile. */
  async function isChosen(stored: ConnectSession, session: ConnectSession): Promise<boolean> {
    return stored.integration === session.integration || store.chooseIntegration(session, clock.now());
  }

  async function outcomeOf(session: ConnectSession, request: BrowserRequest): Promise<ConnectStep> {
    const current = await store.session(session.id);
    return current ? outcome.ofLink(current, request) : refused('invitation_used');
  }

  /** Why the form is shown again: nothing was stored, and the session stays open. */
  async function enter(
    session: ConnectSession,
    found: ResolvedIntegration,
    request: BrowserRequest,
    secret: string,
    { params, entered, chosen }: { params: Values; entered: Values; chosen: string[] },
  ): Promise<ConnectStep | CredentialTrouble> {
    const bound = await store.bindSession(session.id, digest(secret), clock.now());
    if (bound === 'other_browser') return refused('other_browser', found.provider.name);
    if (bound === 'gone') return outcomeOf(session, request);
    const grant = await entering.check(session, found, entered, params, chosen);
    if (typeof grant === 'string') return grant;
    const done = await complete.conclude(session, found, grant, request);
    if (done.kind === 'not_stored') return done.why === 'other' ? 'identity_mismatch' : 'unavailable';
    // Another window of this browser was faster.
    return done.kind === 'refused' && done.error === 'invitation_used' ? outcomeOf(session, request) : done;
  }

  async function go(
    session: ConnectSession,
    request: BrowserRequest,
    secret: string,
    given: Record<string, string>,
    chooseAccount = false,
  ): Promise<ConnectStep> {
    const found = await targets.find(session.integration);
    if (found instanceof Refusal) return refused('integration_misconfigured');
    // Credentials are entered at the link.
    if (!isCode(found.auth)) return outcome.ofLink(session, request);
    const renewed = await existingFor(store, session);
    const params = { ...(session.connectionId !== null && renewed?.params), ...given, ...session.params };
    const binds = !session.finish;
    const step = await begin({ session, found, renewed, params, secret, binds, chooseAccount }, request);
    return step === 'gone' ? outcomeOf(session, request) : step;
  }
}

/** One of another site has no token. */
const isOurForm = (form: SubmittedForm | undefined): boolean => form?.token !== undefined;

const without = <T>(names: object, all: Record<string, T>): Record<string, T> =>
  Object.fromEntries(Object.entries(all).filter(([name]) => !Object.hasOwn(names, name)));

/** Undefined: the owner has not chosen. One that is not offered counts as none. */
function chosenBy({ integration, integrations }: ConnectSession, form: SubmittedForm | undefined): string | undefined {
  if (integrations === null) return integration;
  return integrations.find((one) => one === form?.choice);
}
