// A new integration, step by step: its provider, its settings, and then what comes after them.
import { type Context, Hono } from 'hono';
import { html } from 'hono/html';
import type { IntegrationAdmin } from '../../../../broker/integrations/index.ts';
import type { ReceivingAdmin } from '../../../../broker/webhooks/index.ts';
import { modeName } from '../../../../domain/auth-modes.ts';
import { Refusal, refuse } from '../../../../domain/errors.ts';
import type { Provider } from '../../../../domain/provider.ts';
import type { PlainSite } from '../../../pages/layout.ts';
import { type Place, refusedPage, seeOther } from '../../answers.ts';
import type { ConsoleEnv } from '../../environment.ts';
import { field, tokenField } from '../../forms.ts';
import { consolePage } from '../../layout.ts';
import { facts } from '../../parts/facts.ts';
import { type Issues, issueSummary, NO_ISSUES, selectField, textField } from '../../parts/fields.ts';
import { onlyFor } from '../../roles.ts';
import { chooseProvider } from './choose-provider.ts';
import { saveSettings } from './save-settings.ts';
import { newRedirectFact, type SetUp, setUpPage } from './set-up.ts';
import { settingsFields } from './settings-form.ts';
import { type Chosen, chosenMode, fieldNames, idIssues, putRequest } from './settings-input.ts';
import { CONFIDENCE_WORDS, modeOptions } from './words.ts';

export interface NewIntegrationParts {
  integrations: IntegrationAdmin;
  receiving: Pick<ReceivingAdmin, 'put'>;
  catalogue: ReadonlyMap<string, Provider>;
  site: PlainSite;
  publicUrl: string;
  callersUrl: string;
}

/** Paths of the console that an integration cannot have. */
const RESERVED = 'new';
const CREATE = 'Create the integration';
const MODE = 'mode';
/** The mode whose fields are shown. */
const SHOWN = 'fields_of';
const OTHER_FIELDS = 'below are the fields of this way to connect: look at them, then create it';

export function newIntegrationRoutes(parts: NewIntegrationParts): Hono<ConsoleEnv> {
  const { integrations, receiving, catalogue, site, publicUrl, callersUrl } = parts;
  const place: Place = { site, section: 'integrations' };
  const path = `${site.base}/console/integrations`;
  const sorted = () => [...catalogue.values()].sort((a, b) => a.name.localeCompare(b.name, 'en'));

  const isFree = async (c: Context<ConsoleEnv>, id: string): Promise<boolean> => {
    const found = await integrations.get(c.get('visit').call, id);
    return found instanceof Refusal && found.fault.code === 'not_found' && id !== RESERVED;
  };
  async function freeId(c: Context<ConsoleEnv>, provider: string): Promise<string> {
    for (let n = 1; n < 10; n++) {
      const id = n === 1 ? provider : `${provider}-${n}`;
      if (await isFree(c, id)) return id;
    }
    return '';
  }
  const notKnown = (what: string, id: string) => refuse({ code: 'not_found', what, id });

  /** One form, so that nothing which was filled in is lost, whichever of its buttons is pressed; but for secrets. */
  function settingsPage(c: Context<ConsoleEnv>, chosen: Chosen, id: string, values: URLSearchParams, issues: Issues) {
    const { provider, auth } = chosen;
    const visit = c.get('visit');
    const mode = modeName(auth);
    const options = modeOptions(provider);
    const names = new Set([...fieldNames(chosen), MODE]);
    const idError = issues.get('id');
    const body = html`
      ${issueSummary(issues, (name) => names.has(name))}
      ${facts([
        [
          'Provider',
          html`${provider.name} · <a href="${provider.docs_url}" target="_blank" rel="noopener noreferrer">documentation</a>`,
        ],
        ['The catalogue entry is', CONFIDENCE_WORDS[provider.confidence]],
      ])}
      <form method="post" action="${path}/new/${provider.id}">
        ${tokenField(visit)}<button hidden>${CREATE}</button>
        <input type="hidden" name="${SHOWN}" value="${mode}">
        <div class="card">
        <h2>1. Its name, and how it connects</h2>
        ${textField({ name: 'id', label: 'Id of the integration', value: id, error: idError, required: true, hint: 'Callers name it by this, and it is in the redirect URI. It cannot be changed later.' })}
        ${options.length < 2 ? html`<input type="hidden" name="${MODE}" value="${mode}">` : selectField({ name: MODE, label: 'Connects by', value: mode, error: issues.get(MODE), options })}
        ${id === '' || idError ? '' : facts([newRedirectFact(publicUrl, id, chosen)])}
        <p class="hint">Most providers ask for the redirect URI before they give out a client id.</p>
        <div class="row"><button class="button button-quiet" formaction="${path}/new/${provider.id}/look" formnovalidate>
          ${options.length < 2 ? 'Show the redirect URI of this id' : 'Show the redirect URI and the fields'}
        </button></div>
        </div>
        <h2>2. Its settings</h2>
        ${settingsFields({ ...chosen, values, issues, stored: undefined })}
        <div class="row"><button class="button">${CREATE}</button><a class="button button-quiet" href="${path}/new">Another provider</a></div>
      </form>`;
    const page = consolePage(site, visit, {
      title: `Set up ${provider.name}`,
      section: 'integrations',
      crumbs: [
        { href: path, text: 'Integrations' },
        { href: `${path}/new`, text: 'New' },
      ],
      body,
    });
    return c.html(page, issues.size > 0 ? 422 : 200);
  }

  /** What was posted, with its provider and mode. Undefined: the catalogue has none such. */
  function posted(c: Context<ConsoleEnv>) {
    const form = c.get('form');
    const provider = catalogue.get(c.req.param('provider') ?? '');
    const chosen = provider && chosenMode(provider, field(form, MODE) ?? '');
    return chosen && { form, chosen, id: field(form, 'id') ?? '' };
  }

  const routes = new Hono<ConsoleEnv>();
  routes.get('/console/integrations/new', onlyFor('admin', place), (c) => {
    const search = { text: c.req.query('q') ?? '', category: c.req.query('category') ?? '' };
    return c.html(
      consolePage(site, c.get('visit'), {
        title: 'Set up an integration',
        section: 'integrations',
        crumbs: [{ href: path, text: 'Integrations' }],
        body: chooseProvider(site.base, sorted(), search),
      }),
    );
  });

  routes.get('/console/integrations/new/:provider', onlyFor('admin', place), async (c) => {
    const name = c.req.param('provider');
    const provider = catalogue.get(name);
    if (!provider) return refusedPage(c, place, notKnown('provider', name));
    const asked = c.req.query('id')?.trim();
    const id = asked || (await freeId(c, provider.id));
    const chosen = chosenMode(provider, c.req.query('mode') ?? '') ?? chosenMode(provider, '')!;
    const issues = asked ? await idFaults(c, asked) : NO_ISSUES;
    return settingsPage(c, chosen, id, new URLSearchParams(), issues);
  });

  async function idFaults(c: Context<ConsoleEnv>, id: string): Promise<Issues> {
    const faults = idIssues(id);
    if (faults.size > 0 || (await isFree(c, id))) return faults;
    return new Map([['id', `an integration "${id}" exists: choose another id, or change that one`]]);
  }

  routes.post('/console/integrations/new/:provider', onlyFor('admin', place), async (c) => {
    const visit = c.get('visit');
    const given = posted(c);
    if (!given) return refusedPage(c, place, notKnown('provider', c.req.param('provider')));
    const { form, chosen, id } = given;
    const faults = await idFaults(c, id);
    // Its fields were never seen.
    if (form.has(SHOWN) && field(form, SHOWN) !== modeName(chosen.auth))
      return settingsPage(c, chosen, id, form, new Map([...faults, [MODE, OTHER_FIELDS]]));
    const asked = putRequest(form, chosen, undefined);
    if ('issues' in asked || faults.size > 0)
      return settingsPage(c, chosen, id, form, new Map([...faults, ...('issues' in asked ? asked.issues : [])]));
    const saved = await saveSettings(receiving, visit.call, id, asked, chosen, 0);
    if (saved instanceof Refusal) return refusedPage(c, place, saved);
    if ('issues' in saved) return settingsPage(c, chosen, id, form, saved.issues);
    const { integration, webhook } = saved;
    // The secret part of the URL is shown this once.
    if (webhook?.hookSet) return c.html(createdPage(c, { ...chosen, integration, webhook, publicUrl, callersUrl }));
    return seeOther(c, site, `/integrations/${id}/set-up`, 'integration_created');
  });

  routes.post('/console/integrations/new/:provider/look', onlyFor('admin', place), async (c) => {
    const given = posted(c);
    if (!given) return refusedPage(c, place, notKnown('provider', c.req.param('provider')));
    const { form, chosen, id } = given;
    return settingsPage(c, chosen, id, form, await idFaults(c, id));
  });

  const createdPage = (c: Context<ConsoleEnv>, setUp: SetUp) =>
    consolePage(site, c.get('visit'), {
      title: `Set up ${setUp.integration.id}`,
      section: 'integrations',
      crumbs: [
        { href: path, text: 'Integrations' },
        { href: `${path}/${setUp.integration.id}`, text: setUp.integration.id },
      ],
      notice: 'integration_created_hook',
      body: setUpPage(site.base, c.get('visit'), setUp),
    });
  return routes;
}
