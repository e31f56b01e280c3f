// The pages of one integration, and what admins do there.

import { type Context, Hono } from 'hono';
import { html } from 'hono/html';
import type { AuditLog, Call } from '../../../../broker/audit/index.ts';
import type { CallerAdmin } from '../../../../broker/callers/index.ts';
import type { ReadHourlyHistory } from '../../../../broker/counts/index.ts';
import type { IntegrationAdmin } from '../../../../broker/integrations/index.ts';
import type { ReadStatus } from '../../../../broker/maintenance/index.ts';
import type { ReceivingAdmin, WebhookAdmin } from '../../../../broker/webhooks/index.ts';
import { modeName } from '../../../../domain/auth-modes.ts';
import { HOUR } from '../../../../domain/durations.ts';
import { Refusal, refuse } from '../../../../domain/errors.ts';
import { hourOf } from '../../../../domain/hourly-counts.ts';
import type { Integration } from '../../../../domain/integration.ts';
import type { Provider } from '../../../../domain/provider.ts';
import type { Clock } from '../../../../ports/index.ts';
import type { Html, PlainSite } from '../../../pages/layout.ts';
import { type Place, refusedPage, seeOther, shown, unconfirmed } from '../../answers.ts';
import type { ConsoleEnv } from '../../environment.ts';
import { field, tokenField } from '../../forms.ts';
import { consolePage } from '../../layout.ts';
import { type Issues, issueSummary, NO_ISSUES, selectField } from '../../parts/fields.ts';
import { onlyFor } from '../../roles.ts';
import { integrationPage, type SecretAges } from './integration-page.ts';
import { type SavedIntegration, saveSettings } from './save-settings.ts';
import { setUpPage } from './set-up.ts';
import { settingsFields } from './settings-form.ts';
import {
  type Chosen,
  chosenMode,
  differencesOf,
  fieldNames,
  putRequest,
  type StoredIntegration,
  storedFields,
  webhookSecretsIn,
} from './settings-input.ts';
import { modeOptions } from './words.ts';

export interface IntegrationPageParts {
  integrations: IntegrationAdmin;
  receiving: Pick<ReceivingAdmin, 'put'>;
  webhooks: Pick<WebhookAdmin, 'view' | 'openHandshake'>;
  callers: Pick<CallerAdmin, 'list'>;
  readStatus: ReadStatus;
  readHourlyHistory: ReadHourlyHistory;
  auditLog: AuditLog;
  catalogue: ReadonlyMap<string, Provider>;
  clock: Clock;
  site: PlainSite;
  publicUrl: string;
  callersUrl: string;
}

/** Changes of one integration that are looked through for when its secrets were set. */
const CHANGES_READ = 50;
const HANDSHAKE_MINUTES = 10;

export function integrationRoutes(parts: IntegrationPageParts): Hono<ConsoleEnv> {
  const {
    integrations,
    receiving,
    webhooks,
    callers,
    readStatus,
    readHourlyHistory,
    auditLog,
    catalogue,
    clock,
    site,
  } = parts;
  const place: Place = { site, section: 'integrations' };
  const path = `${site.base}/console/integrations`;
  const page = (c: Context<ConsoleEnv>, id: string, title: string, body: Html, notice = c.req.query('done')) =>
    consolePage(site, c.get('visit'), {
      title,
      section: 'integrations',
      crumbs: [{ href: path, text: 'Integrations' }, ...(title === id ? [] : [{ href: `${path}/${id}`, text: id }])],
      notice,
      body,
    });

  const chosenOf = ({ provider, params }: Integration): Chosen | undefined => {
    const known = catalogue.get(provider);
    return known && chosenMode(known, params.mode ?? '');
  };
  /** With its provider and mode, as what changes it needs. */
  async function found(c: Context<ConsoleEnv>): Promise<(StoredIntegration & { chosen: Chosen }) | Refusal> {
    const integration = await integrations.get(c.get('visit').call, c.req.param('id') ?? '');
    if (integration instanceof Refusal) return integration;
    const chosen = chosenOf(integration);
    if (chosen) return { integration, chosen, webhook: await webhooks.view(integration) };
    const detail = `the catalogue has no provider "${integration.provider}" with this mode`;
    return refuse({ code: 'integration_misconfigured', integration: integration.id, detail });
  }

  async function secretAges(call: Call, integration: string): Promise<SecretAges> {
    const read = async (action: string) => {
      const entries = await auditLog(
        call,
        { integration, action, outcome: 'ok' },
        { limit: CHANGES_READ, after: undefined },
      );
      return entries instanceof Refusal ? [] : entries.data;
    };
    const all = (
      await Promise.all(
        ['integration.put', 'integration.declared', 'integration.webhook_set', 'integration.webhook_key_received'].map(
          read,
        ),
      )
    ).flat();
    const last = (name: string): number | null =>
      all.reduce<number | null>(
        (latest, { at, changed }) => (changed?.split(' ').includes(name) && at > (latest ?? 0) ? at : latest),
        null,
      );
    return { clientSecret: last('client_secret'), privateKey: last('private_key'), webhook: last('webhook.secrets') };
  }

  const routes = new Hono<ConsoleEnv>();
  routes.get('/console/integrations/:id', async (c) => {
    const { call } = c.get('visit');
    const integration = await integrations.get(call, c.req.param('id'));
    if (integration instanceof Refusal) return refusedPage(c, place, integration);
    const { id } = integration;
    const now = clock.now();
    const from = hourOf(now) - 23 * HOUR;
    const [all, broker, hours, ages, webhook] = await Promise.all([
      callers.list(call),
      readStatus(call),
      readHourlyHistory(call, { from, to: now, integration: id }),
      secretAges(call, id),
      webhooks.view(integration),
    ]);
    if (all instanceof Refusal) return refusedPage(c, place, all);
    if (hours instanceof Refusal) return refusedPage(c, place, hours);
    return shown(c, place, broker, (known) => {
      const facts = {
        integration,
        chosen: chosenOf(integration),
        webhook,
        ages,
        callers: all,
        broker: known,
        hours,
        from,
        now,
      };
      const body = integrationPage(site.base, c.get('visit'), {
        ...facts,
        publicUrl: parts.publicUrl,
      });
      return c.html(page(c, id, id, body));
    });
  });

  routes.get('/console/integrations/:id/set-up', async (c) =>
    shown(c, place, await found(c), ({ integration, chosen, webhook }) => {
      const setUp = { ...chosen, integration, webhook, publicUrl: parts.publicUrl, callersUrl: parts.callersUrl };
      return c.html(page(c, integration.id, `Set up ${integration.id}`, setUpPage(site.base, c.get('visit'), setUp)));
    }),
  );

  function editPage(
    c: Context<ConsoleEnv>,
    stored: StoredIntegration,
    chosen: Chosen,
    values: URLSearchParams,
    issues: Issues,
  ) {
    const { integration } = stored;
    const { id, version } = integration;
    const options = modeOptions(chosen.provider);
    const mode = modeName(chosen.auth);
    const names = new Set(fieldNames(chosen));
    const body = html`
      ${issueSummary(issues, (name) => names.has(name))}
      ${
        options.length < 2
          ? ''
          : html`<form method="get" class="card" action="${path}/${id}/edit">
              ${selectField({ name: 'mode', label: 'Connects by', value: mode, options, hint: 'Connections that exist were made in the mode that is stored now.' })}
              <div class="row"><button class="button button-quiet">Show the fields of this mode</button></div>
            </form>`
      }
      <form method="post" action="${path}/${id}/edit">
        ${tokenField(c.get('visit'))}
        <input type="hidden" name="mode" value="${mode}"><input type="hidden" name="version" value="${version}">
        ${settingsFields({ ...chosen, values, issues, stored })}
        <div class="row"><button class="button">Save</button><a class="button button-quiet" href="${path}/${id}">Leave it as it is</a></div>
      </form>`;
    return c.html(page(c, id, `Change ${id}`, body), issues.size > 0 ? 422 : 200);
  }

  /** What is stored from now on; or the page that says why nothing was. */
  async function save(
    c: Context<ConsoleEnv>,
    stored: StoredIntegration,
    chosen: Chosen,
    form: URLSearchParams,
  ): Promise<SavedIntegration | Response> {
    const { id, version } = stored.integration;
    const asked = putRequest(form, chosen, stored);
    if ('issues' in asked) return editPage(c, stored, chosen, form, asked.issues);
    const saved = await saveSettings(receiving, c.get('visit').call, id, asked, chosen, version);
    if (saved instanceof Refusal) return refusedPage(c, place, saved);
    return 'issues' in saved ? editPage(c, stored, chosen, form, saved.issues) : saved;
  }

  routes.get('/console/integrations/:id/edit', onlyFor('admin', place), async (c) =>
    shown(c, place, await found(c), ({ chosen, ...stored }) => {
      const asked = chosenMode(chosen.provider, c.req.query('mode') ?? modeName(chosen.auth)) ?? chosen;
      return editPage(c, stored, asked, storedFields(stored), NO_ISSUES);
    }),
  );

  routes.post('/console/integrations/:id/edit', onlyFor('admin', place), async (c) => {
    const form = c.get('form');
    const one = await found(c);
    if (one instanceof Refusal) return refusedPage(c, place, one);
    const { chosen: before, ...stored } = one;
    const chosen = chosenMode(before.provider, field(form, 'mode') ?? '') ?? before;
    const { id, version } = stored.integration;
    if (field(form, 'version') !== String(version))
      return editPage(c, stored, chosen, form, differencesOf(form, stored, fieldNames(chosen)));
    const saved = await save(c, stored, chosen, form);
    if (saved instanceof Response) return saved;
    if (!saved.webhook?.hookSet || stored.webhook?.hookSet)
      return seeOther(c, site, `/integrations/${id}`, 'integration_saved');
    const setUp = { ...chosen, ...saved, publicUrl: parts.publicUrl, callersUrl: parts.callersUrl };
    return c.html(page(c, id, `Set up ${id}`, setUpPage(site.base, c.get('visit'), setUp), 'integration_created_hook'));
  });

  routes.post('/console/integrations/:id/secrets', onlyFor('admin', place), async (c) => {
    const form = c.get('form');
    const one = await found(c);
    if (one instanceof Refusal) return refusedPage(c, place, one);
    const { chosen, ...stored } = one;
    const { id } = stored.integration;
    const secrets = webhookSecretsIn(form);
    if (field(form, 'client_secret') === undefined && field(form, 'private_key') === undefined && !secrets)
      return seeOther(c, site, `/integrations/${id}`, 'nothing_given');
    // Everything else is sent as it is stored.
    const settings = storedFields(stored);
    for (const name of ['client_secret', 'private_key', 'key_id']) {
      const given = field(form, name);
      if (given !== undefined) settings.set(name, given);
    }
    for (const secret of secrets ?? []) settings.append('webhook.secrets', secret);
    const saved = await save(c, stored, chosen, settings);
    return saved instanceof Response ? saved : seeOther(c, site, `/integrations/${id}`, 'secrets_replaced');
  });

  routes.post('/console/integrations/:id/handshake', onlyFor('admin', place), async (c) => {
    const id = c.req.param('id');
    const opened = await webhooks.openHandshake(c.get('visit').call, id, HANDSHAKE_MINUTES);
    return shown(c, place, opened, () => seeOther(c, site, `/integrations/${id}`, 'handshake_opened'));
  });

  routes.post('/console/integrations/:id/delete', onlyFor('admin', place), async (c) => {
    const id = c.req.param('id');
    const refused = unconfirmed(c, place, c.get('form'), id, `/integrations/${id}`);
    if (refused) return refused;
    const removed = await integrations.remove(c.get('visit').call, id);
    return removed instanceof Refusal
      ? refusedPage(c, place, removed)
      : seeOther(c, site, '/integrations', 'integration_deleted');
  });
  return routes;
}
