// The fields of a form: connection parameters and credentials, each with its label, its hint and what is wrong with it.
import { html } from 'hono/html';
import type { InputIssue } from '../../domain/errors.ts';
import type { CredentialField, ParamField } from '../../domain/fields.ts';
import { english, type Html, type Site } from './layout.ts';
import { CREDENTIAL_PREFIX } from './retry.ts';
import { filled } from './texts/index.ts';

/** A field of either kind. Its `title` and the like are the catalogue's, in English. */
export interface FormField {
  /** The path of its issues: `params.<name>`, `credentials.<name>`. */
  path: string;
  /** In the posted form. */
  name: string;
  title: string;
  description: string | undefined;
  example: string | undefined;
  optional: boolean;
  options: string[] | undefined;
  value: string;
  /** A secret is not shown while it is entered; `lines`: a document. */
  kind: 'text' | 'secret' | 'lines';
}

export const paramField = (name: string, field: ParamField, value: string | undefined): FormField => ({
  path: `params.${name}`,
  name,
  title: field.title,
  description: field.description,
  example: field.example,
  optional: field.optional,
  options: field.options && Object.keys(field.options),
  value: value ?? field.default ?? '',
  kind: 'text',
});

/** What was entered before is not shown again. */
export const credentialField = (name: string, field: CredentialField, isSecret: boolean): FormField => ({
  path: `credentials.${name}`,
  name: `${CREDENTIAL_PREFIX}${name}`,
  title: field.title,
  description: field.description,
  example: undefined,
  optional: field.optional,
  options: undefined,
  value: '',
  kind: field.format !== 'text' ? 'lines' : isSecret ? 'secret' : 'text',
});

const idOf = ({ path }: Pick<FormField, 'path'>) => path.replace('params.', 'param-').replace('.', '-');

/** Only the server validates: messages of native validation vanish and are seldom read out by screen readers. */
export function formField(site: Site, field: FormField, issues: readonly InputIssue[]): Html {
  const { form } = site.texts;
  const { name, title, description, example, optional, options, value, kind } = field;
  const issue = issues.find(({ path }) => path === field.path);
  const id = idOf(field);
  const hints = [
    ...(description ? [english(site, description)] : []),
    ...(example ? [filled(form.example, { example: english(site, example) })] : []),
  ];
  const describedBy = [hints.length > 0 && `${id}-hint`, issue && `${id}-error`].filter(Boolean).join(' ');
  const about = html`${optional ? '' : html` required`}${issue ? html` aria-invalid="true"` : ''}${
    describedBy ? html` aria-describedby="${describedBy}"` : ''
  }`;
  const typing = html` autocomplete="off" autocapitalize="none" spellcheck="false"`;
  const input = options
    ? html`
      <select id="${id}" name="${name}"${about}>
        ${options.map((option) => html`<option${option === value ? html` selected` : ''}>${option}</option>`)}
      </select>`
    : kind === 'lines'
      ? html`
      <textarea id="${id}" name="${name}" rows="6"${typing}${about}></textarea>`
      : html`
      <input id="${id}" name="${name}" type="${kind === 'secret' ? 'password' : 'text'}" value="${value}"${typing}${about}>`;
  return html`
    <div class="field">
      <label for="${id}">${english(site, title)}${optional ? html` <span class="quiet">${form.optional}</span>` : ''}</label>
      ${hints.length > 0 ? html`<p class="hint" id="${id}-hint">${hints.map((hint, i) => html`${i > 0 ? ' ' : ''}${hint}`)}</p>` : ''}
      ${issue ? html`<p class="error" id="${id}-error">${filled(form.error, { message: issueText(site, field, issue) })}</p>` : ''}${input}
    </div>`;
}

/** What is wrong, in the owner's language: the broker's own words are for callers. */
function issueText(site: Site, { title, example, options, value, kind }: FormField, { message }: InputIssue): Html {
  const { form } = site.texts;
  const field = english(site, title);
  const shown = options?.join(', ') ?? example;
  const isMissing = kind === 'text' ? value === '' : / is required\b/.test(message);
  if (shown === undefined) return filled(isMissing ? form.required : form.invalid, { field });
  return filled(isMissing ? form.requiredExample : form.invalidExample, { field, example: english(site, shown) });
}

/** Why the page is shown again to a browser that keeps no cookies. */
export const cookieNotice = ({ texts }: Site): Html =>
  html`<div class="summary" role="alert"><p>${texts.form.noCookie}</p></div>`;

/** Everything that is wrong, focused when the page is shown. `trouble`: what concerns all fields. */
export function summary(
  site: Site,
  issues: readonly InputIssue[],
  fields: readonly FormField[],
  trouble?: string | undefined,
): Html | '' {
  if (issues.length === 0 && trouble === undefined) return '';
  const { form } = site.texts;
  const known = issues.map((issue) => ({ issue, field: fields.find(({ path }) => path === issue.path) }));
  return html`
  <div class="summary" role="alert" tabindex="-1" autofocus aria-labelledby="summary-title">
    <h2 id="summary-title">${form.check}</h2>
    ${trouble === undefined ? '' : html`<p>${trouble}</p>`}
    ${
      issues.length === 0
        ? ''
        : html`<ul>
      ${known.map(({ issue, field }) =>
        field
          ? html`<li><a href="#${idOf(field)}">${issueText(site, field, issue)}</a></li>`
          : html`<li>${english(site, issue.message)}</li>`,
      )}
    </ul>`
    }
  </div>`;
}
