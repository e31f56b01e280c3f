// The page of a connect link: says which app asks, for whom and at which provider, and asks for missing connection parameters
// (a subdomain, a shop). One form, whose post leads to the provider.
import { html } from 'hono/html';
import type { InputIssue } from '../../domain/errors.ts';
import type { ParamField } from '../../domain/fields.ts';
import { type Html, layout, type Site } from './layout.ts';
import { TOKEN_FIELD } from './retry.ts';
import { shownName } from './shown-name.ts';

export interface ConfirmView {
  /** Where the form is posted to: a path of this origin. */
  action: string;
  token: string;
  providerName: string;
  /** On whose behalf; null: it does not say. */
  displayOwner: string | null;
  fields: Record<string, ParamField>;
  /** The previous input, shown again. */
  values: Record<string, string>;
  /** As `fieldIssues` finds them (`params.<name>`); empty the first time. */
  issues: InputIssue[];
}

/** Only the server validates: messages of native validation vanish and are seldom read out by screen readers. */
export function confirmPage(
  site: Site,
  { action, token, providerName, displayOwner, fields, values, issues }: ConfirmView,
): Html {
  const { appName } = site;
  const heading = `Connect your ${providerName} account to ${appName}`;
  const problem = (name: string) => issues.find((issue) => issue.path === `params.${name}`)?.message;
  const asked = Object.entries(fields);
  return layout(site, {
    title: issues.length > 0 ? `Error: ${heading}` : heading,
    body: html`
      <div class="part">
        <h1>${heading}</h1>
        <p class="lead">${appName} asks for access to your ${providerName} account${
          displayOwner === null ? '' : html`, on behalf of <strong>${shownName(displayOwner)}</strong>`
        }. ${providerName} asks you to sign in and to agree; after that, ${appName} can use the account ${
          displayOwner === null
            ? 'for the person who made this link'
            : html`for <strong>${shownName(displayOwner)}</strong>`
        }, also while you are away.</p>
        <p>Continue only if you started this yourself in ${appName}. If someone sent you this link, your account would be
          connected for them: close this window.</p>
        ${issues.length > 0 ? summary(issues, fields) : ''}
        <form method="post" action="${action}" novalidate>
          <input type="hidden" name="${TOKEN_FIELD}" value="${token}">
          ${asked.length > 0 ? html`<p>${providerName} needs to know where to find your account.</p>` : ''}
          ${asked.map(([name, field]) => input(name, field, values[name] ?? field.default ?? '', problem(name)))}
          <button class="action" type="submit">Continue to ${providerName}</button>
        </form>
      </div>
      <dl class="stub">
        <div><dt>Who asks</dt><dd>${appName}</dd></div>
        ${displayOwner === null ? '' : html`<div><dt>On behalf of</dt><dd>${shownName(displayOwner)}</dd></div>`}
        <div><dt>Account at</dt><dd>${providerName}</dd></div>
      </dl>`,
  });
}

const idOf = (name: string) => `param-${name}`;

function input(name: string, field: ParamField, value: string, problem: string | undefined): Html {
  const id = idOf(name);
  const hint = [field.description, field.example && `For example ${field.example}.`].filter(Boolean).join(' ');
  const describedBy = [hint && `${id}-hint`, problem && `${id}-error`].filter(Boolean).join(' ');
  const about = html`${field.optional ? '' : html` required`}${problem ? html` aria-invalid="true"` : ''}${
    describedBy ? html` aria-describedby="${describedBy}"` : ''
  }`;
  return html`
    <div class="field">
      <label for="${id}">${field.title}${field.optional ? html` <span class="quiet">(optional)</span>` : ''}</label>
      ${hint ? html`<p class="hint" id="${id}-hint">${hint}</p>` : ''}
      ${problem ? html`<p class="error" id="${id}-error">Error: ${problem}</p>` : ''}
      ${
        field.options
          ? choice(id, name, Object.keys(field.options), value, about)
          : html`
        <input id="${id}" name="${name}" type="text" value="${value}" autocomplete="off" autocapitalize="none"
          spellcheck="false"${about}>`
      }
    </div>`;
}

const choice = (id: string, name: string, options: string[], value: string, about: Html): Html => html`
  <select id="${id}" name="${name}"${about}>
    ${options.map((option) => html`<option${option === value ? html` selected` : ''}>${option}</option>`)}
  </select>`;

const summary = (issues: InputIssue[], fields: Record<string, ParamField>): Html => html`
  <div class="summary" role="alert" tabindex="-1" autofocus aria-labelledby="summary-title">
    <h2 id="summary-title">Please check what you entered</h2>
    <ul>
      ${issues.map(({ path, message }) => {
        const name = path.replace(/^params\./, '');
        return Object.hasOwn(fields, name)
          ? html`<li><a href="#${idOf(name)}">${message}</a></li>`
          : html`<li>${message}</li>`;
      })}
    </ul>
  </div>`;
