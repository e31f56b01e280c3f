// The deployment in words: whether something of it needs someone, its figures, and its keys.

import { html } from 'hono/html';
import type { SystemState } from '../../../../broker/maintenance/index.ts';
import { CHANGE_FEED_LATE_MS } from '../../../../domain/time-limits.ts';
import type { Html, PlainSite } from '../../../pages/layout.ts';
import { may, type Visit } from '../../environment.ts';
import { dangerousAction } from '../../parts/actions.ts';
import { copied, facts } from '../../parts/facts.ts';
import { status } from '../../parts/status.ts';
import { table } from '../../parts/table.ts';
import { inWords, when } from '../../parts/when.ts';

const number = (value: number): string => value.toLocaleString('en');
/** A feed that was not read for so long, in ms, is behind. */

/** What needs someone, each in one sentence. */
function troubles({ metrics, auditChain, keys, protection }: SystemState): string[] {
  const { storeUp, rescued, changeFeedLagMs, audit, deliveries } = metrics;
  const strange = keys.filter(({ inRing }) => !inRing).map(({ kid }) => kid);
  return [
    ...(storeUp ? [] : ['The database does not take writes.']),
    ...(rescued > 0 ? [`${number(rescued)} answers of providers wait in the rescue file to be stored.`] : []),
    ...(changeFeedLagMs > CHANGE_FEED_LATE_MS ? ['This replica is behind with the changes of others.'] : []),
    ...(auditChain.fault === null
      ? []
      : [`The audit chain is broken: ${auditChain.fault}. Run valetkey audit verify.`]),
    ...(audit.lost > 0 ? [`${number(audit.lost)} audit entries of reads were lost since the start.`] : []),
    ...(strange.length > 0 ? [`The key ring of this replica lacks ${strange.join(', ')}.`] : []),
    ...(protection === 'enforced' ? [] : ['Rows of an earlier release are accepted: rotate the keys once.']),
    ...(deliveries && deliveries.dead > 0 ? [`${number(deliveries.dead)} deliveries were given up.`] : []),
  ];
}

export function statePart({ base }: PlainSite, state: SystemState, now: number): Html {
  const { metrics: m, auditChain: chain } = state;
  const all = troubles(state);
  const tone = all.length === 0 ? 'good' : m.storeUp && chain.fault === null ? 'busy' : 'bad';
  const waiting = (open: number, oldestMs: number): string =>
    open === 0 ? 'nothing waits' : `${number(open)} wait, the oldest since ${inWords(now - oldestMs, now)}`;
  return html`
    <div class="card verdict ${tone}">
      ${status(tone, all.length === 0 ? 'All is well' : 'Needs a look')}
      <p class="lead">${all.join(' ') || 'The database takes writes, the audit chain is whole, and nothing is stuck.'}</p>
    </div>
    <div class="cards">
      <div class="card">
        <h2>The broker</h2>
        ${facts([
          ['Version', state.version],
          ['Replicas alive', number(state.replicas)],
          ['Database', `${state.database}, ${m.storeUp ? 'takes writes' : 'does not take writes'}`],
          ['Changes of other replicas', state.changeFeed === 'pushed' ? 'pushed' : 'asked for'],
          ['Behind with them by', `${number(Math.round(m.changeFeedLagMs))} ms`],
        ])}
      </div>
      <div class="card">
        <h2>What waits</h2>
        ${facts([
          [
            'Events to endpoints',
            html`<a class="count" href="${base}/console/events/deliveries"><span class="hidden">Events to endpoints: </span>${m.deliveries ? waiting(m.deliveries.open, m.deliveries.oldestMs) : 'not known'}</a>`,
          ],
          [
            'Deliveries given up',
            html`<a class="count" href="${base}/console/events/deliveries?status=dead"><span class="hidden">Deliveries given up: </span>${m.deliveries ? number(m.deliveries.dead) : 'not known'}</a>`,
          ],
          [
            'Received webhooks',
            html`<a class="count" href="${base}/console/events/received?status=received"><span class="hidden">Received webhooks: </span>${waiting(m.inbox.open, m.inbox.oldestMs)}</a>`,
          ],
          [
            'Revocations at providers',
            state.dueRevocations.length === 0 ? 'none is due' : `due at ${state.dueRevocations.slice(0, 5).join(', ')}`,
          ],
          ['Rescue file', m.rescued === 0 ? 'empty' : `${number(m.rescued)} answers`],
        ])}
      </div>
      <div class="card">
        <h2>The audit log</h2>
        ${facts([
          ['Chain', chain.fault === null ? status('good', 'whole at its end') : status('bad', 'broken')],
          [
            'Last audit seal',
            chain.last ? html`number ${number(Number(chain.last.id))}, ${when(chain.last.sealedAt, now)}` : 'none yet',
          ],
          ['Entries not written yet', number(m.audit.waiting)],
          ['Lost since the start', number(m.audit.lost)],
        ])}
        <p class="quiet"><code>valetkey audit verify</code> reads all of it.</p>
      </div>
    </div>`;
}

type Key = SystemState['keys'][number];

function keyStatus({ encrypts, inRing, isProven }: Key): Html {
  if (!inRing) return status('bad', 'not in the ring of this replica');
  if (encrypts) return status('good', 'encrypts');
  return isProven
    ? status('busy', 'decrypts what it has encrypted')
    : status('off', 'protects nothing: it can be removed');
}

const JWT_KEY_STATES = {
  signing: status('good', 'signs'),
  published: status('busy', 'published, will sign'),
  retired: status('off', 'replaced'),
} as const;

export const keysPart = (
  { base }: PlainSite,
  visit: Visit,
  { keys, keysCountedAt, signingKeys, jwtKeys }: SystemState,
  now: number,
): Html => html`
  <h2>Keys</h2>
  ${table<Key>({
    caption: 'Keys that encrypt what is stored',
    columns: [
      { heading: 'Key', isName: true, cell: ({ kid }) => html`<code>${kid}</code>` },
      { heading: 'State', cell: keyStatus },
      {
        heading: 'Secrets that it encrypts',
        cell: ({ secrets }) => (secrets === null ? 'being counted: look again in a moment' : number(secrets)),
      },
    ],
    rows: keys,
    empty: 'There is none.',
  })}
  <p>
    ${keysCountedAt === null ? '' : html`Counted ${when(keysCountedAt, now)}, over all tables.`} Rotating re-encrypts every secret
    with the key that encrypts. It is done beside the daily work, and its job below says how far it is. Then the other keys
    protect nothing and can be removed.
  </p>
  ${
    may(visit, 'admin')
      ? html`<div class="row">
        ${dangerousAction(visit, {
          action: `${base}/console/system/rotate-keys`,
          label: 'Rotate the keys',
          id: 'rotate',
          consequence:
            'Every secret that another key protects is re-encrypted with the key that encrypts now. It can be cancelled and done again; nothing stops meanwhile.',
        })}
      </div>`
      : html`<p class="quiet">An admin rotates them, here or by <code>valetkey keys rotate</code>.</p>`
  }
  ${table<SystemState['signingKeys'][number]>({
    caption: 'Keys that sign deliveries',
    columns: [
      { heading: 'Key', isName: true, cell: ({ id }) => copied(id, 'the id of the key') },
      {
        heading: 'State',
        cell: ({ retiredAt }) =>
          retiredAt === null ? status('good', 'signs') : status('off', 'replaced, still published'),
      },
      { heading: 'Created', cell: ({ createdAt }) => when(createdAt, now) },
      { heading: 'Replaced', cell: ({ retiredAt }) => when(retiredAt, now) },
    ],
    rows: signingKeys,
    empty: 'No key signs deliveries yet: the first one is made when an event is delivered.',
  })}
  ${table<SystemState['jwtKeys'][number]>({
    caption: 'Keys that sign JWTs',
    columns: [
      { heading: 'Key', isName: true, cell: ({ id }) => copied(id, 'the id of the key') },
      { heading: 'Algorithm', cell: ({ algorithm }) => algorithm },
      { heading: 'State', cell: ({ state }) => JWT_KEY_STATES[state] },
      { heading: 'Created', cell: ({ createdAt }) => when(createdAt, now) },
      { heading: 'Replaced', cell: ({ retiredAt }) => when(retiredAt, now) },
    ],
    rows: jwtKeys,
    empty: 'No key signs JWTs yet: the first one is made when it is asked for.',
  })}
  <p class="quiet">They are rotated on time. <code>valetkey signing-keys rotate</code> does it now, and withdraws a key that has leaked.</p>`;
