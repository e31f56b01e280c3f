// The page of a connect link: says which app asks, for whom and at which provider, and asks for what is missing: connection
// parameters (a subdomain, a shop), or the credentials themselves. One form, whose post leads to the provider or is checked there.
import { html } from 'hono/html';
import type { AskedCredentials } from '../../broker/connections/index.ts';
import type { InputIssue } from '../../domain/errors.ts';
import type { ParamField } from '../../domain/fields.ts';
import { cookieNotice, credentialField, formField, paramField, summary } from './fields.ts';
import { type Html, layout, type Site } from './layout.ts';
import { CHOICE_FIELD, TOKEN_FIELD } from './retry.ts';
import { shownName } from './shown-name.ts';
import { filled, worded } from './texts/index.ts';

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
  /** What the owner is to enter; undefined: the provider asks them itself. */
  asked?: AskedCredentials | undefined;
  /** The integration that was chosen among several; null: there was nothing to choose. */
  choice?: string | null | undefined;
  /** The form came without the cookie of the page. */
  lacksCookie: boolean;
}

export function confirmPage(site: Site, view: ConfirmView): Html {
  const { action, token, providerName: provider, displayOwner, issues, asked, choice } = view;
  const { appName: app, texts } = site;
  const { confirm, credentials, picker } = texts;
  const heading = worded(confirm.heading, { provider, app });
  const params = Object.entries(view.fields).map(([name, field]) => paramField(name, field, view.values[name]));
  const secrets = Object.entries(asked?.fields ?? {}).map(([name, field]) =>
    credentialField(name, field, !asked?.readable.includes(name)),
  );
  const fields = [...params, ...secrets];
  const trouble = asked?.trouble && worded(troubleText(site, asked.trouble), { provider });
  const isWrong = issues.length > 0 || trouble != null || view.lacksCookie;
  const lead = asked ? credentials : confirm;
  return layout(site, {
    title: isWrong ? worded(texts.form.error, { message: heading }) : heading,
    body: html`
      <div class="part">
        <h1>${heading}</h1>
        ${leadOf(lead, displayOwner, { app, provider })}
        <p>${worded(confirm.caution, { app })}</p>
        ${view.lacksCookie ? cookieNotice(site) : ''}${summary(site, issues, fields, trouble ?? undefined)}
        <form method="post" action="${action}" novalidate>
          <input type="hidden" name="${TOKEN_FIELD}" value="${token}">
          ${choice ? html`<input type="hidden" name="${CHOICE_FIELD}" value="${choice}">` : ''}
          ${params.length > 0 ? html`<p>${worded(confirm.whereIsAccount, { provider })}</p>` : ''}
          ${asked ? html`<p>${worded(credentials.checked, { provider })}</p>` : ''}
          ${asked && secrets.length > 0 ? html`<p><a class="link" href="${asked.helpUrl}" target="_blank" rel="noopener noreferrer">${worded(credentials.whereToFind, { provider })}</a></p>` : ''}
          ${fields.map((field) => formField(site, field, issues))}
          <button class="action" type="submit">${worded(asked ? credentials.go : confirm.go, { provider })}</button>
        </form>
        ${choice ? html`<p><a class="link" href="${action}">${picker.another}</a></p>` : ''}
      </div>
      ${stubOf(site, displayOwner, provider)}`,
  });
}

const troubleText = ({ texts }: Site, trouble: NonNullable<AskedCredentials['trouble']>): string =>
  trouble === 'identity_mismatch' ? texts.refusals.identity_mismatch.message : texts.credentials[trouble];

export interface PickerView {
  action: string;
  token: string;
  displayOwner: string | null;
  choices: readonly { integration: string; provider: string }[];
  lacksCookie: boolean;
}

/** The page of a session with several integrations. Each choice is a button: it confirms, too. */
export function pickerPage(site: Site, { action, token, displayOwner, choices, lacksCookie }: PickerView): Html {
  const { appName: app, texts } = site;
  const { picker, confirm } = texts;
  const heading = worded(picker.heading, { app });
  return layout(site, {
    title: heading,
    body: html`
      <div class="part">
        <h1>${heading}</h1>
        ${lacksCookie ? cookieNotice(site) : ''}${leadOf(picker, displayOwner, { app })}
        <p>${worded(confirm.caution, { app })}</p>
        <form method="post" action="${action}">
          <input type="hidden" name="${TOKEN_FIELD}" value="${token}">
          <fieldset class="choices">
            <legend>${picker.choices}</legend>
            ${choices.map(({ integration, provider }) => html`<button class="choice" type="submit" name="${CHOICE_FIELD}" value="${integration}">${shownName(provider)}</button>`)}
          </fieldset>
        </form>
      </div>
      ${stubOf(site, displayOwner)}`,
  });
}

const leadOf = (
  { lead, leadFor }: { lead: string; leadFor: string },
  displayOwner: string | null,
  names: Record<string, string>,
): Html =>
  html`<p class="lead">${
    displayOwner === null
      ? worded(lead, names)
      : filled(leadFor, { ...names, owner: html`<strong>${shownName(displayOwner)}</strong>` })
  }</p>`;

const stubOf = (
  { appName, texts: { stub } }: Site,
  displayOwner: string | null,
  provider?: string,
): Html => html`<dl class="stub">
        <div><dt>${stub.whoAsks}</dt><dd>${appName}</dd></div>
        ${displayOwner === null ? '' : html`<div><dt>${stub.onBehalfOf}</dt><dd>${shownName(displayOwner)}</dd></div>`}
        ${provider === undefined ? '' : html`<div><dt>${stub.accountAt}</dt><dd>${provider}</dd></div>`}
      </dl>`;
