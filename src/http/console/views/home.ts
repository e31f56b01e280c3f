// Home: one sentence of health, then each integration.
import { Hono } from 'hono';
import { html } from 'hono/html';
import type { BrokerStatus, IntegrationStatus, ReadStatus } from '../../../broker/maintenance/index.ts';
import type { Html, Site } from '../../pages/layout.ts';
import { type Place, shown } from '../answers.ts';
import type { ConsoleEnv } from '../environment.ts';
import { consolePage } from '../layout.ts';
import { CIRCUIT_TONES, CIRCUIT_WORDS, status } from '../parts/status.ts';
import { table } from '../parts/table.ts';

export interface HomeParts {
  readStatus: ReadStatus;
  site: Site;
}

export function homeView({ readStatus, site }: HomeParts): Hono<ConsoleEnv> {
  const place: Place = { site, section: '' };
  return new Hono<ConsoleEnv>().get('/console', async (c) => {
    const visit = c.get('visit');
    const now = await readStatus(visit.call);
    return shown(c, place, now, (broker) =>
      c.html(
        consolePage(site, visit, {
          title: 'Home',
          section: '',
          notice: c.req.query('done'),
          body: html`<section id="home" data-live="15">${health(broker)}${integrations(site, broker)}</section>`,
        }),
      ),
    );
  });
}

function health({ isHealthy, integrations: all }: BrokerStatus): Html {
  const total = all.reduce((sum, { connections: c }) => sum + c.active + c.needsReauth + c.onHold, 0);
  const owners = all.reduce((sum, { connections: c }) => sum + c.needsReauth, 0);
  const open = all.filter(({ circuit }) => circuit === 'open').map(({ id }) => id);
  const sentences = [
    owners === 0
      ? `All ${total.toLocaleString('en')} connections have what they need from their owners.`
      : `${owners.toLocaleString('en')} of ${total.toLocaleString('en')} connections need their owner.`,
    ...(open.length > 0 ? [`Refreshes at ${open.join(', ')} are paused: the provider fails or refuses.`] : []),
  ];
  const tone = isHealthy ? (owners > 0 ? 'busy' : 'good') : 'bad';
  return html`<div class="card verdict ${tone}">
    ${status(tone, isHealthy ? 'Running' : 'Needs attention')}
    <p class="lead">${sentences.join(' ')}</p>
  </div>`;
}

const integrations = ({ base }: Site, { integrations: all }: BrokerStatus): Html =>
  table<IntegrationStatus>({
    caption: 'Integrations',
    columns: [
      {
        heading: 'Integration',
        isName: true,
        cell: ({ id }) => html`<a href="${base}/console/integrations/${encodeURIComponent(id)}">${id}</a>`,
      },
      { heading: 'Active', isNumber: true, cell: ({ connections: c }) => c.active.toLocaleString('en') },
      {
        heading: 'Need their owner',
        isNumber: true,
        cell: ({ id, connections: c }) =>
          html`<a href="${base}/console/connections?${new URLSearchParams({ integration: id, status: 'needs_reauth' })}"
            >${c.needsReauth.toLocaleString('en')}</a
          >`,
      },
      { heading: 'On hold', isNumber: true, cell: ({ connections: c }) => c.onHold.toLocaleString('en') },
      { heading: 'Circuit', cell: ({ circuit }) => status(CIRCUIT_TONES[circuit], CIRCUIT_WORDS[circuit]) },
    ],
    rows: all,
    empty: html`No integration is set up yet. <a href="${base}/console/integrations/new">Set up the first one</a>.`,
  });
