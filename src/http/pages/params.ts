// Asks for connection parameters (a subdomain, a shop), then links to the provider.
//
// Browsers apply `form-action` to every redirect after a submit, and the provider's host depends on the input. So a valid
// submit is answered with `continuePage`, a plain link, never with a redirect.
import { html } from 'hono/html';
import type { InputIssue } from '../../domain/errors.ts';
import type { ParamField } from '../../domain/fields.ts';
import { type Html, layout } from './layout.ts';

export interface ParamsView {
  /** Where the form is posted to: a path of this origin. */
  action: string;
  providerName: string;
  fields: Record<string, ParamField>;
  /** The previous input, shown again. */
  values: Record<string, string>;
  /** As `fieldIssues` finds them (`params.<name>`); empty the first time. */
  issues: InputIssue[];
}

/** Only the server validates: messages of native validation vanish and are seldom read out by screen readers. */
export function paramsPage({ action, providerName, fields, values, issues }: ParamsView): Html {
  const heading = `Connect your ${providerName} account`;
  const problem = (name: string) => issues.find((issue) => issue.path === `params.${name}`)?.message;
  return layout({
    title: issues.length > 0 ? `Error: ${heading}` : heading,
    body: html`
      <div class="part">
        <h1>${heading}</h1>
        <p class="lead">${providerName} needs to know where to find your account.</p>
        ${issues.length > 0 ? summary(issues, fields) : ''}
        <form method="post" action="${action}" novalidate>
          ${Object.entries(fields).map(([name, field]) =>
            input(name, field, values[name] ?? field.default ?? '', problem(name)),
          )}
          <button class="action" type="submit">Next</button>
        </form>
      </div>`,
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

/** `href` is the authorization URL; throws unless it is http or https, which escaping alone does not ensure. */
export function continuePage({ providerName, href }: { providerName: string; href: string }): Html {
  const url = new URL(href);
  if (url.protocol !== 'https:' && url.protocol !== 'http:')
    throw new Error('the authorization URL is neither http nor https');
  return layout({
    title: `Continue to ${providerName}`,
    body: html`
      <div class="part">
        <h1>Continue to ${providerName}</h1>
        <p class="lead">You will be asked to sign in and to grant access. Then you will come back here.</p>
        <a class="action" href="${href}" rel="noreferrer">Continue to ${providerName}</a>
      </div>
      <dl class="stub"><div><dt>Where this leads</dt><dd>${url.host}</dd></div></dl>`,
  });
}
