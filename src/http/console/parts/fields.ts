// Fields of forms: a label, what it is for, and what is wrong with it, beside it; and the list of all that is wrong.
import { html } from 'hono/html';
import type { Html } from '../../pages/layout.ts';

interface Field {
  name: string;
  label: string;
  hint?: Html | string | undefined;
  value?: string | undefined;
  error?: string | undefined;
  required?: boolean;
  /** Nothing is said of what need not be filled in. */
  isFilter?: boolean;
}

/** The id of a field's element: what a message links to. */
export const fieldId = (name: string): string => `f-${name.replace(/[^a-zA-Z0-9]+/g, '-')}`;

const described = ({ name, hint, error }: Field): Html => {
  const ids = [...(hint ? [`${fieldId(name)}-hint`] : []), ...(error ? [`${fieldId(name)}-error`] : [])];
  return html`${ids.length > 0 ? html` aria-describedby="${ids.join(' ')}"` : ''}${error ? html` aria-invalid="true"` : ''}`;
};
const labelOf = ({ name, label, required, isFilter }: Field): Html =>
  html`<label for="${fieldId(name)}">${label}${required || isFilter ? '' : html` <span class="quiet">(optional)</span>`}</label>`;
const notes = ({ name, hint, error }: Field): Html => html`
  ${hint ? html`<p class="hint" id="${fieldId(name)}-hint">${hint}</p>` : ''}
  ${error ? html`<p class="error" id="${fieldId(name)}-error">${error}</p>` : ''}`;

/** `type`: `password` for secrets, which are never filled in. */
export const textField = (
  field: Field & { type?: 'text' | 'password' | 'number' | 'search' | 'date' | 'datetime-local'; list?: string },
): Html => {
  const { name, value = '', type = 'text', required = false, list } = field;
  const secret = type === 'password';
  return html`<div class="field">
    ${labelOf(field)}${notes(field)}
    <input id="${fieldId(name)}" name="${name}" type="${type}" value="${secret ? '' : value}" autocomplete="${secret ? 'new-password' : 'off'}"
      spellcheck="false" ${required ? html`required` : ''} ${list === undefined ? '' : html`list="${list}"`}${described(field)}>
  </div>`;
};

/** Several lines. `secret`: never filled in. */
export const areaField = (field: Field & { rows?: number; secret?: boolean }): Html => {
  const { name, value = '', rows = 3, secret = false, required = false } = field;
  return html`<div class="field">
    ${labelOf(field)}${notes(field)}
    <textarea id="${fieldId(name)}" name="${name}" rows="${rows}" autocomplete="off" spellcheck="false" ${required ? html`required` : ''}${described(field)}>
${secret ? '' : value}</textarea>
  </div>`;
};

/** `options`: from values to words. */
export const selectField = (field: Field & { options: readonly (readonly [value: string, word: string])[] }): Html => {
  const { name, value = '', options } = field;
  return html`<div class="field">
    ${labelOf({ ...field, required: true })}${notes(field)}
    <select id="${fieldId(name)}" name="${name}"${described(field)}>
      ${options.map(([one, word]) => html`<option value="${one}" ${one === value ? html`selected` : ''}>${word}</option>`)}
    </select>
  </div>`;
};

/** `id`: where several have one name. */
export const checkField = (
  field: Omit<Field, 'required' | 'label'> & { label: Html | string; checked: boolean; id?: string },
): Html => {
  const { name, label, value = '1', checked, id = name } = field;
  const named = { ...field, name: id, label: '' };
  return html`<div class="field check">
    <label><input type="checkbox" id="${fieldId(id)}" name="${name}" value="${value}" ${checked ? html`checked` : ''}${described(named)}><span>${label}</span></label>
    ${notes(named)}
  </div>`;
};

/** What is wrong, by the name of the field; a message of no field has the name that the broker gives it. */
export type Issues = ReadonlyMap<string, string>;
export const NO_ISSUES: Issues = new Map();

/** From paths of members (`scopes.0`) to the fields of a form, the longest name that fits. */
export function issuesOf(issues: readonly { path: string; message: string }[], names: readonly string[]): Issues {
  const all = new Map<string, string>();
  for (const { path, message } of issues) {
    const name = names
      .filter((one) => path === one || path.startsWith(`${one}.`))
      .reduce((longest, one) => (one.length > longest.length ? one : longest), '');
    const known = all.get(name || path);
    all.set(name || path, known === undefined || known === message ? message : `${known}; ${message}`);
  }
  return all;
}

/** Above a form that was refused. `isField`: whether there is something to link to. */
export const issueSummary = (issues: Issues, isField: (name: string) => boolean): Html | '' =>
  issues.size === 0
    ? ''
    : html`<div class="notice notice-failed" role="alert">
        <p><strong>Nothing was saved. ${issues.size === 1 ? 'One thing is' : `${issues.size} things are`} not right yet:</strong></p>
        <ul>
          ${[...issues].map(([name, message]) =>
            isField(name)
              ? html`<li><a href="#${fieldId(name)}">${name}</a>: ${message}</li>`
              : html`<li><strong>${name}</strong>: ${message}</li>`,
          )}
        </ul>
      </div>`;
