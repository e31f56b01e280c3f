// Revoking many connections at once: of an integration, of an owner, or of an owner at an integration; first what it concerns.
import { Hono } from 'hono';
import { html } from 'hono/html';
import type { ConnectionResource } from '../../../../broker/connections/index.ts';
import type { IntegrationAdmin } from '../../../../broker/integrations/index.ts';
import type { JobAdmin } from '../../../../broker/jobs/index.ts';
import type { Connection } from '../../../../domain/connection.ts';
import { Refusal } from '../../../../domain/errors.ts';
import type { Integration } from '../../../../domain/integration.ts';
import { typeableText } from '../../../../domain/visible-text.ts';
import type { Html, PlainSite } from '../../../pages/layout.ts';
import { shownName } from '../../../pages/shown-name.ts';
import { type Place, refusedPage, seeOther, unconfirmed } from '../../answers.ts';
import type { ConsoleEnv, Visit } from '../../environment.ts';
import { field } from '../../forms.ts';
import { consolePage } from '../../layout.ts';
import { dangerousAction } from '../../parts/actions.ts';
import { CONNECTION_TONES, CONNECTION_WORDS, status } from '../../parts/status.ts';
import { table } from '../../parts/table.ts';
import { onlyFor } from '../../roles.ts';
import { type ListQuery, listQuery, toQuery } from './list-query.ts';

export interface BulkRevokeParts {
  connections: Pick<ConnectionResource, 'list' | 'counts'>;
  integrations: Pick<IntegrationAdmin, 'list'>;
  jobs: Pick<JobAdmin, 'start'>;
  site: PlainSite;
}

const PATH = '/console/connections/revoke';
const EXAMPLES = 20;
const MOST_INTEGRATIONS = 500;
const LIVE = ['active', 'needs_reauth', 'on_hold'] as const;

type Target = Pick<ListQuery, 'integration' | 'owner'>;

interface Preview {
  examples: Connection[];
  /** Null: there are more than are looked at. */
  count: number | null;
}

export function bulkRevokeView(parts: BulkRevokeParts): Hono<ConsoleEnv> {
  const { jobs, integrations, site } = parts;
  const place: Place = { site, section: 'connections' };
  const backOf = (target: Target) => `/connections/revoke?${toQuery(target)}`;

  return new Hono<ConsoleEnv>()
    .get(PATH, onlyFor('connections:write', place), async (c) => {
      const visit = c.get('visit');
      const { integration, owner } = listQuery(new URL(c.req.url).searchParams);
      const target = { integration, owner };
      const [{ data: all }, preview] = await Promise.all([
        integrations.list(visit.call, { limit: MOST_INTEGRATIONS, after: undefined }),
        integration === undefined && owner === undefined ? undefined : previewOf(parts, visit, target),
      ]);
      if (preview instanceof Refusal) return refusedPage(c, place, preview);
      return c.html(
        consolePage(site, visit, {
          title: 'Revoke many connections',
          section: 'connections',
          crumbs: [{ href: `${site.base}/console/connections`, text: 'Connections' }],
          body: html`${choose(site, target, all)} ${preview ? concerned(site, visit, target, preview) : ''}`,
        }),
      );
    })
    .post(PATH, onlyFor('connections:write', place), async (c) => {
      const form = c.get('form');
      const target = { integration: field(form, 'integration'), owner: form.get('owner') || undefined };
      // Without either, it would be all that there are.
      if (target.integration === undefined && target.owner === undefined)
        return seeOther(c, site, '/connections/revoke');
      const asked = unconfirmed(c, place, form, nameOf(target), backOf(target));
      if (asked) return asked;
      const job = await jobs.start(c.get('visit').call, { kind: 'connections.revoke', ...target });
      if (job instanceof Refusal) return refusedPage(c, place, job);
      return seeOther(c, site, `/connections/revoke/${job.id}`);
    });
}

/** What is typed to confirm it. */
const nameOf = ({ integration, owner }: Target): string =>
  [owner, integration].filter((name) => name !== undefined).join(' at ');

/** Of an integration, by its counters; of an owner, by looking at theirs. */
async function previewOf(
  { connections }: BulkRevokeParts,
  { call }: Visit,
  target: Target,
): Promise<Preview | Refusal> {
  const examples: Connection[] = [];
  let isAll = true;
  for (const one of LIVE) {
    const found = await connections.list(call, { ...target, status: one }, { limit: EXAMPLES, after: undefined });
    if (found instanceof Refusal) return found;
    examples.push(...found.data);
    isAll &&= found.next === null;
  }
  if (isAll) return { examples, count: examples.length };
  const counted = target.owner === undefined ? await connections.counts(call) : undefined;
  const ofIt =
    counted instanceof Refusal ? undefined : counted?.filter((one) => one.integration === target.integration);
  const count = ofIt?.reduce((sum, { status: is, count: more }) => (is === 'revoked' ? sum : sum + more), 0) ?? null;
  return { examples: examples.slice(0, EXAMPLES), count };
}

const choose = (
  { base }: PlainSite,
  { integration, owner }: Target,
  integrations: readonly Pick<Integration, 'id'>[],
): Html =>
  html`<form method="get" action="${base}${PATH}" class="filters">
    <div>
      <label for="integration">Integration</label>
      <select id="integration" name="integration">
        <option value="">any</option>
        ${integrations.map(({ id }) => html`<option value="${id}" ${id === integration ? 'selected' : ''}>${id}</option>`)}
      </select>
    </div>
    <div>
      <label for="owner">Owner, exactly</label>
      <input id="owner" name="owner" value="${owner ?? ''}" maxlength="255" autocomplete="off" spellcheck="false">
    </div>
    <button class="button">Show what it concerns</button>
  </form>`;

function concerned(site: PlainSite, visit: Visit, target: Target, { examples, count }: Preview): Html {
  const { integration, owner } = target;
  const all = [
    owner === undefined ? '' : ` of the owner ${typeableText(owner)}`,
    integration === undefined ? '' : ` at ${integration}`,
  ].join('');
  const many = count === null ? `more than ${EXAMPLES}` : count.toLocaleString('en');
  return html`<section class="card" aria-labelledby="concerned">
      <h2 id="concerned">${count === 1 ? '1 live connection' : `${many} live connections`}${all}</h2>
      ${
        count === 0
          ? html`<p>There is nothing to revoke. Open connect links would still be cancelled.</p>`
          : html`<p>
              The credentials of each are deleted here at once, then the providers are told in the background. Open connect links
              for them are cancelled. It cannot be undone.
            </p>`
      }
      ${dangerousAction(visit, {
        action: `${site.base}${PATH}`,
        label: count === 1 ? 'Revoke it' : 'Revoke all of them',
        id: nameOf(target),
        fields: html`${integration === undefined ? '' : html`<input type="hidden" name="integration" value="${integration}">`}${
          owner === undefined ? '' : html`<input type="hidden" name="owner" value="${owner}">`
        }`,
        consequence: `${many} ${count === 1 ? 'connection is' : 'connections are'} revoked${all}. You see how far it is, and may leave that page meanwhile.`,
      })}
    </section>
    ${
      examples.length === 0
        ? ''
        : table<Connection>({
            caption: count === examples.length ? 'Which' : `The first ${examples.length}`,
            columns: [
              {
                heading: 'Owner',
                isName: true,
                cell: (c) => html`<a href="${site.base}/console/connections/${c.id}">${shownName(c.owner)}</a>`,
              },
              { heading: 'Integration', cell: (c) => c.integration },
              { heading: 'Label', cell: (c) => shownName(c.label || '–') },
              { heading: 'Status', cell: (c) => status(CONNECTION_TONES[c.status], CONNECTION_WORDS[c.status]) },
            ],
            rows: examples,
            empty: '',
          })
    }`;
}
