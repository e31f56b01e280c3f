// The connect link in a browser: what it shows, what its form does, and another try after a failure.
//
// A link is opened by more than its reader: previews, mail scanners, prefetch. So opening it binds nothing: the posted form
// does, or, in a two-phase session that has nothing to ask, the authorization response.
import { Refusal } from '../../../domain/errors.ts';
import { asMeant, fieldIssues } from '../../../domain/fields.ts';
import { type ConnectSession, RETRIED } from '../../../domain/integration.ts';
import { connectionFields } from '../../../domain/provider.ts';
import { digest } from '../../secrets/index.ts';
import { existingFor } from '../received-grant/store-grant.ts';
import { createBegin } from './begin.ts';
import { cookieFor, formToken, isBoundTo, secretOfForm } from './browser-cookies.ts';
import { createOutcome } from './outcome.ts';
import {
  type BrowserRequest,
  type ConnectStep,
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
}

export function createOpen(parts: FlowParts) {
  const { store, targets, access, clock } = parts;
  const begin = createBegin(parts);
  const outcome = createOutcome(parts);

  return {
    open: (secret: string, request: BrowserRequest) => visit(secret, request),
    submit: (secret: string, request: BrowserRequest, form: SubmittedForm) => visit(secret, request, form),

    /** Only for errors that another try may end otherwise (`RETRIED`), and before the app is told of them at `return_url`. */
    async retry(id: string, request: BrowserRequest, token: string | undefined): Promise<ConnectStep> {
      const session = await store.sessionOfPage(id);
      if (!session || !isBoundTo(session, request)) return refused('invitation_used');
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
    const session = await store.sessionBySecret(digest(linkSecret));
    if (!session) return refused('not_found');
    if (!isOpen(session, clock.now())) return outcome.ofLink(session, request);
    // Before anything is shown or fails for this session. `beginFlow` decides when two browsers come at once.
    if (session.browserDigest !== null && !isBoundTo(session, request)) return refused('other_browser');
    const found = await targets.find(session.integration);
    if (found instanceof Refusal) return refused('integration_misconfigured');
    if (lacksFinish(session, found)) return refused('invitation_cancelled');

    const { isNew, ...cookie } = cookieFor(session, request);
    const renewed = session.connectionId === null ? undefined : await existingFor(store, session);
    const fields = connectionFields(found.provider, found.auth);
    const params = { ...renewed?.params, ...asMeant(fields, form?.params ?? {}), ...session.params };
    const issues = fieldIssues('params', fields, params);
    const set = isNew && { cookie };
    const confirmedBy = form && secretOfForm('confirm', session, request, form.token);
    if (confirmedBy !== undefined && issues.length === 0) return go(session, request, confirmedBy, params);
    if (form === undefined && session.finish && issues.length === 0)
      return { ...(await go(session, request, cookie.secret, params)), ...set };
    return {
      kind: 'confirm',
      provider: found.provider.name,
      displayOwner: session.displayOwner,
      fields: issues.length > 0 ? fields : {},
      values: params,
      issues: form ? issues : [],
      token: formToken('confirm', session, cookie.secret),
      ...set,
    };
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
    const renewed = await existingFor(store, session);
    const params = { ...(session.connectionId !== null && renewed?.params), ...given, ...session.params };
    const binds = !session.finish;
    const step = await begin({ session, found, renewed, params, secret, binds, chooseAccount }, request);
    if (step !== 'gone') return step;
    const current = await store.session(session.id);
    return current ? outcome.ofLink(current, request) : refused('invitation_used');
  }
}
