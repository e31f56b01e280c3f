// One integration: its state, its settings without secrets, who uses it, and what can be done with it.
import { html } from 'hono/html';
import type { CallerWithKeys } from '../../../../broker/callers/index.ts';
import type { BrokerStatus } from '../../../../broker/maintenance/index.ts';
import type { WebhookView } from '../../../../broker/webhooks/index.ts';
import { isCode } from '../../../../domain/auth-modes.ts';
import { type Action, hasAction, matches, type Permission } from '../../../../domain/caller.ts';
import { clientNeeds } from '../../../../domain/client-needs.ts';
import type { HourlyCount } from '../../../../domain/hourly-counts.ts';
import type { Integration, UpstreamRate } from '../../../../domain/integration.ts';
import type { Provider } from '../../../../domain/provider.ts';
import type { Html } from '../../../pages/layout.ts';
import { may, type Visit } from '../../environment.ts';
import { tokenField } from '../../forms.ts';
import { actionButton, dangerousAction } from '../../parts/actions.ts';
import { barChart } from '../../parts/chart.ts';
import { copied, facts } from '../../parts/facts.ts';
import { areaField, textField } from '../../parts/fields.ts';
import { CIRCUIT_WORDS, status } from '../../parts/status.ts';
import { table } from '../../parts/table.ts';
import { when } from '../../parts/when.ts';
import { listed } from '../../parts/words.ts';
import { dayOf } from '../home.ts';
import { redirectFact } from './set-up.ts';
import { type Chosen, receivesWebhooks } from './settings-input.ts';
import { modeWords } from './words.ts';

/** When a secret was last set, in ms since the epoch; null: it is not known, or longer ago than the audit log reaches. */
export interface SecretAges {
  clientSecret: number | null;
  privateKey: number | null;
  webhook: number | null;
}

export interface IntegrationPage {
  integration: Integration;
  /** Undefined: the catalogue does not have its provider, or the provider not its mode. */
  chosen: Chosen | undefined;
  webhook: WebhookView | null;
  ages: SecretAges;
  callers: readonly CallerWithKeys[];
  broker: BrokerStatus;
  /** Of this integration, in the day that begins at `from`. */
  hours: readonly HourlyCount[];
  from: number;
  publicUrl: string;
  now: number;
}

export function integrationPage(base: string, visit: Visit, page: IntegrationPage): Html {
  const { integration, chosen, publicUrl, now } = page;
  const path = `${base}/console/integrations/${integration.id}`;
  const named = Object.entries({ ...integration.params, ...integration.overrides }).filter(([name]) => name !== 'mode');
  return html`
    ${state(base, page)}
    <div class="row">
      ${chosen ? html`<a class="button" href="${path}/set-up">Set-up, try it, and code</a>` : ''}
      ${may(visit, 'admin') && chosen ? html`<a class="button button-quiet" href="${path}/edit">Change its settings</a>` : ''}
      <a class="button button-quiet" href="${base}/console/audit?${new URLSearchParams({ integration: integration.id })}">What happened</a>
    </div>
    <section class="card" aria-labelledby="settings">
      <h2 id="settings">Settings</h2>
      ${facts([
        [
          'Provider',
          chosen?.provider.name ?? `${integration.provider}: the catalogue does not have it, or not its mode`,
        ],
        ...(chosen ? [['Connects by', modeWords(chosen.auth)] as const] : []),
        ...(integration.clientId === '' ? [] : [['Client id', copied(integration.clientId, 'the client id')] as const]),
        ...(chosen && isCode(chosen.auth) ? [redirectFact(publicUrl, integration, chosen.provider)] : []),
        ['Scopes', integration.scopes.length > 0 ? html`<code>${integration.scopes.join(' ')}</code>` : 'none'],
        ...(integration.returnOrigins.length > 0
          ? [['Return origins', integration.returnOrigins.join(', ')] as const]
          : []),
        ...(integration.requireFinish ? [['Sessions', 'only two-phase'] as const] : []),
        ...named.map(([name, value]) => [name, html`<code>${value}</code>`] as const),
        ['Made', when(integration.createdAt, now)],
        [
          'Changed',
          html`${when(integration.updatedAt, now)} <span class="quiet">(version ${integration.version})</span>`,
        ],
      ])}
    </section>
    ${secrets(path, visit, page)} ${webhooks(base, path, visit, page)} ${limits(page)} ${users(base, page)}
    ${
      may(visit, 'admin')
        ? html`<section class="card" aria-labelledby="delete"><h2 id="delete">Delete it</h2>
            <p>Only an integration without connections can be deleted: revoke them first.</p>
            ${dangerousAction(visit, {
              action: `${path}/delete`,
              label: 'Delete the integration',
              id: integration.id,
              consequence: 'Its settings and secrets are deleted. Owners cannot connect with it any more.',
            })}</section>`
        : ''
    }`;
}

function state(base: string, { integration: { id }, broker, hours, from, now }: IntegrationPage): Html {
  const found = broker.integrations.find((one) => one.id === id);
  const { active = 0, failing = 0, needsReauth = 0, onHold = 0 } = found?.connections ?? {};
  const { circuit = 'closed', explanation = null, refreshesDue: due = 0 } = found ?? {};
  const isBad = circuit !== 'closed' || explanation !== null;
  const tone = isBad ? 'bad' : needsReauth > 0 ? 'busy' : 'good';
  const link = (count: number, wanted: string, word: string) =>
    html`<a href="${base}/console/connections?${new URLSearchParams({ integration: id, status: wanted })}">${count.toLocaleString('en')} ${word}</a>`;
  const lead = explanation
    ? html`${explanation.summary} ${explanation.how}`
    : html`${circuit === 'closed' ? 'Its tokens are refreshed.' : 'Refreshes are paused, and begin again by themselves once the provider answers.'}`;
  return html`<section class="card verdict ${tone}" aria-label="State">
      ${status(tone, circuit === 'closed' ? (isBad ? 'Needs attention' : 'Works') : `Circuit ${CIRCUIT_WORDS[circuit]}`)}
      <div>
        <p class="lead">${lead}</p>
        ${explanation?.since ? html`<p class="quiet">Since ${when(explanation.since, now)}.</p>` : ''}
        <p>Connections: ${link(active, 'active', 'active')}${failing > 0 ? ` (${failing.toLocaleString('en')} of them failing)` : ''},
          ${link(needsReauth, 'needs_reauth', needsReauth === 1 ? 'needs its owner' : 'need their owner')}, ${link(onHold, 'on_hold', 'on hold')}.
          ${due > 0 ? `${due.toLocaleString('en')} refreshes are due.` : ''}</p>
      </div>
    </section>
    <section class="card" aria-label="The last day">${barChart({ caption: 'Refreshes of 24 hours', bars: dayOf(hours, from).get(id) ?? [] })}</section>`;
}

const secretState = (isSet: boolean, at: number | null, now: number): Html =>
  isSet
    ? html`${status('good', 'set')} ${at === null ? html`<span class="quiet">when is not in the audit log</span>` : when(at, now)}`
    : status('off', 'not set');

function secrets(path: string, visit: Visit, { integration: i, chosen, ages, now }: IntegrationPage): Html | '' {
  const needs = chosen && clientNeeds(chosen.auth);
  const hasSecret = i.clientSecret !== null || (needs !== undefined && needs.clientSecret !== 'unused');
  const hasKey = i.privateKey !== null || (needs !== undefined && needs.privateKey !== 'unused');
  if (!hasSecret && !hasKey) return '';
  return html`<section class="card" aria-labelledby="secrets">
    <h2 id="secrets">Secrets</h2>
    ${facts([
      ...(hasSecret ? [['Client secret', secretState(i.clientSecret !== null, ages.clientSecret, now)] as const] : []),
      ...(hasKey ? [['Private key', secretState(i.privateKey !== null, ages.privateKey, now)] as const] : []),
      ...(hasKey && i.keyId !== null ? [['Key id', i.keyId] as const] : []),
    ])}
    ${
      may(visit, 'admin') && chosen
        ? html`<details>
            <summary>Replace them</summary>
            <form method="post" action="${path}/secrets">
              ${tokenField(visit)}
              <p class="quiet">What is stored is replaced at once, everywhere. It is never shown. Make the new one at the provider first, and remove the old one there afterwards.</p>
              ${hasSecret ? textField({ name: 'client_secret', label: 'New client secret', type: 'password' }) : ''}
              ${
                hasKey
                  ? html`${areaField({ name: 'private_key', label: 'New private key', hint: 'In PEM form.', secret: true })}
                    ${textField({ name: 'key_id', label: 'Its key id', hint: 'If empty, the id stays.' })}`
                  : ''
              }
              <div class="row"><button class="button">Replace</button></div>
            </form>
          </details>`
        : ''
    }
  </section>`;
}

function webhooks(base: string, path: string, visit: Visit, page: IntegrationPage): Html | '' {
  const { integration, chosen, webhook, ages, now } = page;
  if (!chosen || !receivesWebhooks(chosen.provider)) return '';
  const learns = Object.values(chosen.provider.webhooks).some(({ handshake }) =>
    handshake.some((step) => step.learns !== undefined),
  );
  if (!webhook)
    return html`<section class="card" aria-labelledby="webhooks"><h2 id="webhooks">Webhooks</h2>
      <p>It receives no webhooks.${may(visit, 'admin') ? ' Its settings switch them on: then the broker hears at once when a grant has ended.' : ''}</p></section>`;
  const { url, schemes, secretCount, hookSet, handshakeUntil } = webhook;
  return html`<section class="card" aria-labelledby="webhooks">
    <h2 id="webhooks">Webhooks</h2>
    ${facts([
      [
        'URL',
        html`${copied(url, 'the webhook URL')}${hookSet ? html`<p class="hint">And its secret part, which was shown once.</p>` : ''}`,
      ],
      ['Verified by', listed(schemes)],
      [
        'Secrets',
        html`${secretState(secretCount > 0, ages.webhook, now)}${secretCount > 1 ? ` (${secretCount} at once)` : ''}`,
      ],
      ...(handshakeUntil === null ? [] : [['Waits for a handshake until', when(handshakeUntil, now)] as const]),
    ])}
    <p><a href="${base}/console/events?${new URLSearchParams({ integration: integration.id })}">What it has received</a></p>
    ${may(visit, 'admin') && learns ? actionButton(visit, { action: `${path}/handshake`, label: 'Wait ten minutes for a handshake' }) : ''}
    ${
      may(visit, 'admin')
        ? html`<details>
            <summary>Rotate its secrets</summary>
            <form method="post" action="${path}/secrets">
              ${tokenField(visit)}
              <p class="quiet">What is stored is replaced by these. Give the old one as the second for as long as the provider still signs with it.</p>
              ${areaField({ name: 'webhook.secrets', label: 'New secret', rows: 2, secret: true, required: true })}
              <label for="f-old-secret">The old secret <span class="quiet">(optional)</span></label>
              <textarea id="f-old-secret" name="webhook.secrets" rows="2" autocomplete="off" spellcheck="false"></textarea>
              <div class="row"><button class="button">Replace</button></div>
            </form>
          </details>`
        : ''
    }
  </section>`;
}

const RATE_WORDS: Record<UpstreamRate['per'], string> = {
  integration: 'all together',
  connection: 'each connection',
  caller: 'each caller',
};

function limits({ integration: { id, rate }, chosen, broker, hours }: IntegrationPage): Html {
  const known = chosen?.provider.rate_limits;
  const waiting = broker.state.upstreamWaiting.find(({ integration }) => integration === id)?.count ?? 0;
  const hosts = broker.state.upstreamBreakers.filter(({ integration }) => integration === id);
  const countOf = (isOf: (one: HourlyCount) => boolean) =>
    hours.filter((one) => one.metric === 'call' && isOf(one)).reduce((sum, { count }) => sum + count, 0);
  const [calls, met] = [countOf(() => true), countOf(({ outcome }) => outcome === 'upstream_rate_limited')];
  const own = rate && `${rate.requests.toLocaleString('en')} calls in ${rate.window} s, ${RATE_WORDS[rate.per]}`;
  return html`<section class="card" aria-labelledby="limits">
    <h2 id="limits">Limits of its API</h2>
    ${facts([
      ['Set here', own ?? 'nothing: as the catalogue has it'],
      ['In the catalogue', rateWords(known) ?? 'nothing is known'],
      [
        'Met in 24 hours',
        met === 0 ? 'never' : `${met.toLocaleString('en')} of ${calls.toLocaleString('en')} calls were refused here`,
      ],
      ['Calls that wait now', waiting === 0 ? 'none' : status('busy', waiting.toLocaleString('en'))],
      [
        'Hosts that fail',
        hosts.length === 0
          ? status('good', 'none')
          : html`${hosts.map(({ host, state: open }) => html`${status(open === 1 ? 'bad' : 'busy', `${host}: ${open === 1 ? 'no calls are sent' : 'being tried again'}`)} `)}`,
      ],
    ])}
    ${known && known.documented.length > 0 ? html`<details><summary>As the vendor documents them</summary><ul>${known.documented.map((line) => html`<li>${line}</li>`)}</ul></details>` : ''}
  </section>`;
}

const rateWords = (known: Provider['rate_limits']): string | undefined => {
  const parts = [
    ...(known?.rate ? [`${known.rate.requests} calls in ${known.rate.window} s`] : []),
    ...(known?.concurrency === undefined ? [] : [`${known.concurrency} at once`]),
  ];
  return parts.length > 0 ? listed(parts) : known ? 'only what its answers tell' : undefined;
};

/** More have one link: the list of callers. */
const MOST_CALLERS = 50;
const USES: readonly Action[] = [
  'token',
  'proxy',
  'connections:read',
  'connections:write',
  'webhooks',
  'events',
  'admin',
];

function users(base: string, { integration: { id }, callers }: IntegrationPage): Html {
  const reaching = callers.flatMap(({ caller, keys }) => {
    const grants = caller.permissions.filter(({ integrations }) =>
      integrations.some((pattern) => matches(pattern, id)),
    );
    return grants.length === 0 ? [] : [{ caller, keys, grants }];
  });
  return html`${table({
    caption: 'Who may use it',
    columns: [
      {
        heading: 'Caller',
        isName: true,
        cell: ({ caller }) => html`<a href="${base}/console/callers/${caller.id}">${caller.name}</a>`,
      },
      { heading: 'May', cell: ({ grants }) => usesOf(grants) },
      {
        heading: 'For owners',
        cell: ({ grants }) =>
          html`<code>${[...new Set(grants.flatMap(({ owners }) => owners))].slice(0, 5).join(', ')}</code>`,
      },
    ],
    rows: reaching.slice(0, MOST_CALLERS),
    empty: html`No caller may use it yet. <a href="${base}/console/callers">Callers</a>`,
  })}
  ${reaching.length > MOST_CALLERS ? html`<p>And ${reaching.length - MOST_CALLERS} more: <a href="${base}/console/callers">all callers</a>.</p>` : ''}`;
}

const usesOf = (grants: readonly Permission[]): string =>
  listed(USES.filter((action) => grants.some((grant) => hasAction(grant, action)))) || 'nothing of its connections';
