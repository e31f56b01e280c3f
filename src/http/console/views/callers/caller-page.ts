// One caller: what it may do, its keys and workload identities, and what admins can change.
import { html } from 'hono/html';
import type { CallerWithKeys } from '../../../../broker/callers/index.ts';
import type { CallerKey, Permission, Workload } from '../../../../domain/caller.ts';
import type { Html } from '../../../pages/layout.ts';
import { may, type Visit } from '../../environment.ts';
import { tokenField } from '../../forms.ts';
import { dangerousAction } from '../../parts/actions.ts';
import { copied, facts } from '../../parts/facts.ts';
import { NO_ISSUES } from '../../parts/fields.ts';
import { status } from '../../parts/status.ts';
import { table } from '../../parts/table.ts';
import { when } from '../../parts/when.ts';
import { expiryField, fingerprint } from './caller-input.ts';
import { mayIt } from './may-it.ts';
import { isPowerful, permissionWords } from './words.ts';

interface CallerPage {
  found: CallerWithKeys;
  /** Of the tester. */
  query: URLSearchParams;
  now: number;
}

/** What is typed to remove the grant at this place. */
export const grantName = (index: number): string => `grant ${index + 1}`;

export function callerPage(base: string, visit: Visit, { found, query, now }: CallerPage): Html {
  const { caller, keys, warnings } = found;
  const path = `${base}/console/callers/${caller.id}`;
  const isAdmin = may(visit, 'admin');
  const { rateLimit } = caller;
  return html`
    ${
      warnings.length === 0
        ? ''
        : html`<div class="notice notice-failed"><p>An earlier version has accepted what this one would refuse:</p>
            <ul>${warnings.map(({ path: at, message }) => html`<li><strong>${at}</strong>: ${message}</li>`)}</ul></div>`
    }
    <section class="card" aria-label="Facts">
      ${facts([
        ['Id', copied(caller.id, 'the id')],
        [
          'Rate limit',
          rateLimit
            ? `${rateLimit.requests.toLocaleString('en')} requests in ${rateLimit.window} s`
            : 'as the deployment has it',
        ],
        ...(caller.maxSessionTtl == null ? [] : [['Its sessions last', `${caller.maxSessionTtl} s at most`] as const]),
        ['Made', when(caller.createdAt, now)],
      ])}
      <div class="row">
        ${isAdmin ? html`<a class="button button-quiet" href="${path}/edit">Change its name or rate limit</a>` : ''}
        <a class="button button-quiet" href="${base}/console/audit?${new URLSearchParams({ actor: caller.id })}">What it has done</a>
        <a class="button button-quiet" href="${base}/console/sessions?${new URLSearchParams({ caller_id: caller.id })}">Its agent sessions</a>
      </div>
    </section>
    ${grants(path, visit, found)} ${mayIt(query, caller.permissions)} ${keysOf(path, visit, keys, now)}
    ${workloads(path, visit, found)}
    ${
      isAdmin
        ? html`<section class="card" aria-labelledby="delete"><h2 id="delete">Delete it</h2>
            ${dangerousAction(visit, {
              action: `${path}/delete`,
              label: 'Delete the caller',
              id: caller.id,
              consequence: 'Its keys and workload tokens are refused at once, everywhere. Connections stay.',
            })}</section>`
        : ''
    }`;
}

function grants(path: string, visit: Visit, { caller }: CallerWithKeys): Html {
  const isAdmin = may(visit, 'admin');
  return html`<section class="card" aria-labelledby="grants">
    <h2 id="grants">What it may do</h2>
    ${caller.permissions.length === 0 ? html`<p>Nothing: it has no grants.</p>` : ''}
    <ol class="grants">
      ${caller.permissions.map(
        (grant, index) => html`<li id="grant-${index + 1}">
          <p>${powerful(grant)}${permissionWords(grant)}</p>
          ${
            isAdmin
              ? html`<div class="row">
                  <a class="button button-quiet" href="${path}/grants/${index + 1}">Change<span class="hidden"> grant ${index + 1}</span></a>
                  ${dangerousAction(visit, {
                    action: `${path}/grants/${index + 1}/delete`,
                    label: `Remove grant ${index + 1}`,
                    id: grantName(index),
                    fields: html`<input type="hidden" name="was" value="${fingerprint(caller)}">`,
                    consequence: `${permissionWords(grant)} It may not any more, at once and everywhere.`,
                  })}
                </div>`
              : ''
          }
        </li>`,
      )}
    </ol>
    ${isAdmin ? html`<div class="row"><a class="button" href="${path}/grants/new">Add a grant</a></div>` : ''}
  </section>`;
}

const powerful = (grant: Permission): Html | '' => (isPowerful(grant) ? html`${status('busy', 'powerful')} ` : '');

function keysOf(path: string, visit: Visit, keys: readonly CallerKey[], now: number): Html {
  const isAdmin = may(visit, 'admin');
  return html`<div>
    ${table<CallerKey>({
      caption: 'Keys',
      columns: [
        { heading: 'Begins with', isName: true, cell: ({ prefix }) => html`<code>${prefix}…</code>` },
        {
          heading: 'State',
          cell: ({ expiresAt }) =>
            expiresAt !== null && expiresAt <= now ? status('off', 'expired') : status('good', 'valid'),
        },
        { heading: 'Made', cell: ({ createdAt }) => when(createdAt, now) },
        { heading: 'Last used', cell: ({ lastUsedAt }) => when(lastUsedAt, now, 'never') },
        { heading: 'Expires', cell: ({ expiresAt }) => when(expiresAt, now, 'never') },
        ...(isAdmin
          ? [
              {
                heading: 'Delete',
                cell: ({ id, prefix }: CallerKey) =>
                  dangerousAction(visit, {
                    action: `${path}/keys/${id}/delete`,
                    label: `Delete ${prefix}…`,
                    id,
                    consequence:
                      'Requests with this key are refused at once, everywhere. Look at when it was last used.',
                  }),
              },
            ]
          : []),
      ],
      rows: keys,
      empty: 'It has no keys.',
    })}
    ${
      isAdmin
        ? html`<details class="card"><summary>Add a key</summary>
            <p>To rotate: add a key, deploy it, wait until the old one is not used any more, and delete the old one.</p>
            <form method="post" action="${path}/keys">
              ${tokenField(visit)}${expiryField(new URLSearchParams(), NO_ISSUES)}
              <div class="row"><button class="button">Add a key</button></div>
            </form></details>`
        : ''
    }
  </div>`;
}

function workloads(path: string, visit: Visit, { caller }: CallerWithKeys): Html {
  const isAdmin = may(visit, 'admin');
  return html`<div>
    ${table<Workload>({
      caption: 'Workload identities',
      columns: [
        { heading: 'Issuer', isName: true, cell: ({ issuer }) => issuer },
        { heading: 'Audience', cell: ({ audience }) => audience },
        {
          heading: 'Claims',
          cell: ({ claims }) =>
            html`${Object.entries(claims).map(([name, value]) => html`<div><code>${name}=${value}</code></div>`)}`,
        },
        {
          heading: 'Largest age',
          cell: ({ maxAge }) => (maxAge === undefined ? 'as the issuer has it' : `${maxAge} s`),
        },
        ...(isAdmin
          ? [
              {
                heading: 'Remove',
                cell: ({ id }: Workload) =>
                  dangerousAction(visit, {
                    action: `${path}/workloads/${id}/delete`,
                    label: 'Remove',
                    id,
                    fields: html`<input type="hidden" name="was" value="${fingerprint(caller)}">`,
                    consequence: 'Tokens of this workload are refused at once, everywhere.',
                  }),
              },
            ]
          : []),
      ],
      rows: caller.workloads,
      empty: 'It has no workload identities: tokens of its platform are no credentials here.',
    })}
    ${isAdmin ? html`<div class="row"><a class="button button-quiet" href="${path}/workloads/new">Add a workload identity</a></div>` : ''}
  </div>`;
}

/** Shown once: only the digest of a key is stored. */
export const keyPage = (base: string, caller: { id: string; name: string }, secret: string): Html => html`
  <div class="card verdict busy">
    ${status('busy', 'Shown once')}
    <div>
      <p class="lead">This is the key of ${caller.name}. Copy it now, into the secrets of the service: it is stored nowhere, and never shown again.</p>
      ${facts([['Key', copied(secret, 'the key')]])}
      <p><a class="button" href="${base}/console/callers/${caller.id}">I have it</a></p>
    </div>
  </div>`;
