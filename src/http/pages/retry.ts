// The form that offers another try, and the field by which a form of ours is known.
import { html } from 'hono/html';
import type { Html } from './layout.ts';

/** The field of the forms that shows that this browser was shown the page. No connection parameter can have this name. */
export const TOKEN_FIELD = 'form-token';

export interface RetryForm {
  /** Where the form is posted to: a path of this origin. */
  action: string;
  token: string;
}

export const retryForm = ({ action, token }: RetryForm): Html => html`<form method="post" action="${action}">
          <input type="hidden" name="${TOKEN_FIELD}" value="${token}">
          <button class="action" type="submit">Try again</button>
        </form>`;
