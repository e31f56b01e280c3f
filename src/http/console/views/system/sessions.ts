// Who is signed in to the console, and ending that.
import { html } from 'hono/html';
import type { ConsoleSession } from '../../../../domain/console.ts';
import type { Html, PlainSite } from '../../../pages/layout.ts';
import { shownName } from '../../../pages/shown-name.ts';
import { may, type Visit } from '../../environment.ts';
import { actionButton } from '../../parts/actions.ts';
import { status } from '../../parts/status.ts';
import { table } from '../../parts/table.ts';
import { when } from '../../parts/when.ts';

export function sessionList({ base }: PlainSite, visit: Visit, all: readonly ConsoleSession[], now: number): Html {
  const end = ({ id, subject, name }: ConsoleSession) =>
    id === visit.session.id
      ? html`yours`
      : actionButton(visit, {
          action: `${base}/console/system/sessions/${id}/end`,
          label: 'End',
          isQuiet: true,
          name: `End the session of ${name ?? subject}`,
        });
  return table<ConsoleSession>({
    caption: 'Sessions, and links that no one has opened',
    hideCaption: true,
    columns: [
      {
        heading: 'Who',
        isName: true,
        cell: ({ name, subject, issuer }) =>
          html`${shownName(name ?? subject)}<br><span class="quiet">${subject} at ${issuer}</span>`,
      },
      { heading: 'Role', cell: ({ role }) => role },
      {
        heading: 'State',
        cell: ({ openedAt, createdAt }) =>
          openedAt === null
            ? html`${status('busy', 'link not opened')}<br><span class="quiet">made ${when(createdAt, now)}</span>`
            : html`${status('good', 'signed in')}<br><span class="quiet">${when(openedAt, now)}</span>`,
      },
      { heading: 'From', cell: ({ address }) => address ?? '–' },
      { heading: 'Last seen', cell: ({ openedAt, lastSeenAt }) => when(openedAt === null ? null : lastSeenAt, now) },
      { heading: 'Ends', cell: ({ expiresAt }) => when(expiresAt, now) },
      ...(may(visit, 'admin') ? [{ heading: 'Sign out', cell: end }] : []),
    ],
    rows: all,
    empty: 'No one is signed in.',
  });
}
