// The form that offers another try, and the fields by which a form of ours is known.
import { html } from 'hono/html';
import type { Html } from './layout.ts';
import type { Texts } from './texts/index.ts';

/** The field of the forms that shows that this browser was shown the page. No connection parameter can have this name. */
export const TOKEN_FIELD = 'form-token';
/** The integration that the owner has chosen. */
export const CHOICE_FIELD = 'chosen-integration';
/** What the names of credentials begin with. */
export const CREDENTIAL_PREFIX = 'credential-';

export interface RetryForm {
  /** Where the form is posted to: a path of this origin. */
  action: string;
  token: string;
}

export const retryForm = (
  { form }: Pick<Texts, 'form'>,
  { action, token }: RetryForm,
): Html => html`<form method="post" action="${action}">
          <input type="hidden" name="${TOKEN_FIELD}" value="${token}">
          <button class="action" type="submit">${form.tryAgain}</button>
        </form>`;
