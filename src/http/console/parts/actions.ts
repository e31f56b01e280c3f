// Actions: forms that are posted, and dialogs that ask before something is destroyed.
import { html } from 'hono/html';
import { typeableText } from '../../../domain/visible-text.ts';
import type { Html } from '../../pages/layout.ts';
import type { Visit } from '../environment.ts';
import { tokenField } from '../forms.ts';

interface Action {
  /** The path that the form is posted to. */
  action: string;
  /** What its button says. */
  label: string;
  /** Where the page has many with the same label: what it does, for those who hear it. */
  name?: string;
  /** More fields. */
  fields?: Html;
  /** It is not what is done most. */
  isQuiet?: boolean;
}

/** A button. */
export const actionButton = (visit: Visit, { action, label, name, fields, isQuiet }: Action): Html =>
  html`<form method="post" action="${action}" class="inline">
    ${tokenField(visit)}${fields ?? ''}<button class="button ${isQuiet ? 'button-quiet' : ''}" ${name === undefined ? '' : html`aria-label="${name}"`}>${label}</button>
  </form>`;

/** The field that the id is typed into, and that `isConfirmed` reads. */
export const CONFIRMATION_FIELD = 'confirmation';

/**
 * A button that opens a dialog, in which the id has to be typed. `consequence`: what happens, and cannot be undone. `id`: what
 * is typed, as far as it is seen; unique among the dialogs of the page.
 */
export const dangerousAction = (
  visit: Visit,
  { action, label, fields, id, consequence }: Action & { id: string; consequence: string },
): Html => {
  const dialog = `confirm-${action.replace(/[^a-z0-9]+/gi, '-')}`;
  return html`<button type="button" class="button button-danger" command="show-modal" commandfor="${dialog}">
      ${label}
    </button>
    <dialog id="${dialog}" aria-labelledby="${dialog}-title">
      <form method="post" action="${action}">
        ${tokenField(visit)}${fields ?? ''}
        <h2 id="${dialog}-title">${label}?</h2>
        <p>${consequence}</p>
        <label for="${dialog}-id">Type <code><bdi>${typeableText(id)}</bdi></code> to confirm</label>
        <input id="${dialog}-id" name="${CONFIRMATION_FIELD}" required autocomplete="off" spellcheck="false">
        <div class="row">
          <button class="button button-danger">${label}</button>
          <button type="button" class="button button-quiet" command="close" commandfor="${dialog}">Keep it</button>
        </div>
      </form>
    </dialog>`;
};
