// The form of an integration's settings, for a new one and for a change: the fields of its provider and mode.
import { html } from 'hono/html';
import { isCode } from '../../../../domain/auth-modes.ts';
import { clientNeeds, type Need } from '../../../../domain/client-needs.ts';
import type { ParamField } from '../../../../domain/fields.ts';
import { UPSTREAM_RATE_SCOPES } from '../../../../domain/integration.ts';
import type { Html } from '../../../pages/layout.ts';
import { areaField, checkField, type Issues, selectField, textField } from '../../parts/fields.ts';
import {
  type Chosen,
  OVERRIDES,
  paramsOf,
  receivesWebhooks,
  type StoredIntegration,
  THEME,
  webhookOptions,
} from './settings-input.ts';

export interface FilledForm extends Chosen {
  /** What is in the fields. */
  values: URLSearchParams;
  issues: Issues;
  /** Undefined: it is a new one. */
  stored: StoredIntegration | undefined;
}

export const settingsFields = (form: FilledForm): Html => html`
  ${clientFields(form)} ${paramFields(form)} ${connectFields(form)} ${themeFields(form)} ${webhookFields(form)} ${moreFields(form)}`;

/** How a field of text is filled. */
const of = ({ values, issues }: Pick<FilledForm, 'values' | 'issues'>, name: string) => ({
  name,
  value: values.get(name) ?? '',
  error: issues.get(name),
});

function clientFields(form: FilledForm): Html | '' {
  const needs = clientNeeds(form.auth);
  if (Object.values(needs).every((need) => need === 'unused')) return '';
  const { integration } = form.stored ?? {};
  return html`<fieldset class="card">
    <legend>The client</legend>
    <p class="quiet">What the provider has given you when you registered your application there.</p>
    ${needs.clientId === 'unused' ? '' : textField({ ...of(form, 'client_id'), label: 'Client id', required: needs.clientId === 'required' })}
    ${secretField(form, 'client_secret', 'Client secret', needs.clientSecret, integration?.clientSecret)}
    ${secretField(form, 'private_key', 'Private key', needs.privateKey, integration?.privateKey)}
    ${
      needs.privateKey === 'unused'
        ? ''
        : textField({
            ...of(form, 'key_id'),
            label: 'Key id',
            hint: 'The id of the private key at the provider (kid).',
          })
    }
    ${
      needs.certificate === 'unused'
        ? ''
        : areaField({ ...of(form, 'certificate'), label: 'Certificate', hint: 'PEM, for mutual TLS.' })
    }
  </fieldset>`;
}

function secretField(
  { issues, stored }: FilledForm,
  name: 'client_secret' | 'private_key',
  label: string,
  need: Need,
  current: unknown,
): Html | '' {
  if (need === 'unused') return '';
  const isSet = stored !== undefined && current !== null;
  const pem = name === 'private_key' ? 'In PEM form. ' : '';
  const hint = isSet ? `${pem}One is set, and stays if you leave this empty. It is never shown.` : pem;
  const field = {
    name,
    label,
    hint: hint || undefined,
    error: issues.get(name),
    required: need === 'required' && !isSet,
  };
  return html`${name === 'private_key' ? areaField({ ...field, rows: 4, secret: true }) : textField({ ...field, type: 'password' })}
    ${isSet && need !== 'required' ? checkField({ name: `remove.${name}`, label: `Remove the stored ${label.toLowerCase()}`, checked: false }) : ''}`;
}

function paramFields(form: FilledForm): Html | '' {
  const all = paramsOf(form);
  if (all.length === 0) return '';
  const [first, later] = [all.filter(([, field]) => isAsked(field)), all.filter(([, field]) => !isAsked(field))];
  const given = later.some(([name]) => form.values.has(`params.${name}`) || form.issues.has(`params.${name}`));
  return html`<fieldset class="card">
    <legend>What ${form.provider.name} needs to know</legend>
    ${first.map(([name, field]) => paramField(form, name, field))}
    ${
      later.length === 0
        ? ''
        : html`<details ${given || first.length === 0 ? html`open` : ''}>
            <summary>${first.length === 0 ? 'Optional' : `${later.length} more, all optional`}</summary>
            ${later.map(([name, field]) => paramField(form, name, field))}
          </details>`
    }
  </fieldset>`;
}

const isAsked = ({ optional, default: given }: ParamField): boolean => !optional && given === undefined;

function paramField(form: FilledForm, name: string, field: ParamField): Html {
  const { title, description, example, options, default: given } = field;
  const sentence = description && (/[.!?]$/.test(description) ? description : `${description}.`);
  const hint =
    description || example || given
      ? html`${sentence ?? ''} ${example ? html`For example: <code>${example}</code>.` : ''} ${given ? html`If empty: <code>${given}</code>.` : ''}`
      : undefined;
  const base = { ...of(form, `params.${name}`), label: capital(title), hint, required: isAsked(field) };
  if (!options) return textField(base);
  const empty =
    given === undefined && !isAsked(field) ? 'not set' : given === undefined ? 'choose one' : `as is usual: ${given}`;
  return selectField({ ...base, options: [['', empty], ...Object.keys(options).map((one) => [one, one] as const)] });
}

const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);

function connectFields(form: FilledForm): Html {
  const { auth } = form;
  const defaults = 'default_scopes' in auth ? auth.default_scopes : [];
  const scopes =
    'default_scopes' in auth
      ? areaField({
          ...of(form, 'scopes'),
          label: 'Scopes',
          hint: html`What owners are asked for, separated by spaces or lines. If empty: ${defaults.length > 0 ? html`<code>${defaults.join(' ')}</code>` : 'none'}.`,
        })
      : '';
  if (!isCode(auth))
    return scopes === '' ? html`` : html`<fieldset class="card"><legend>Scopes</legend>${scopes}</fieldset>`;
  return html`<fieldset class="card">
    <legend>How owners connect</legend>
    ${scopes}
    ${areaField({
      ...of(form, 'return_origins'),
      label: 'Return origins',
      rows: 2,
      hint: 'Origins of your applications that owners may be sent back to, one in each line. For example: https://app.example.com',
    })}
    ${checkField({
      name: 'require_finish',
      label: 'Only two-phase sessions',
      hint: 'Your application, which knows who is signed in, finishes each connection. It protects owners from links that others have sent to them.',
      checked: form.values.has('require_finish'),
      error: form.issues.get('require_finish'),
    })}
  </fieldset>`;
}

function themeFields(form: FilledForm): Html {
  const isOpen = THEME.some((name) => form.values.has(`theme.${name}`) || form.issues.has(`theme.${name}`));
  return html`<details class="card" ${isOpen ? html`open` : ''}>
    <summary>Look of its connect pages</summary>
    <p class="quiet">Over the look of the deployment. A logo is set by the API or the declarative file.</p>
    ${textField({ ...of(form, 'theme.name'), label: 'Name', hint: 'Who asks owners to connect.' })}
    ${textField({ ...of(form, 'theme.accent_light'), label: 'Accent on light pages', hint: 'For example: #0f5a47' })}
    ${textField({ ...of(form, 'theme.accent_dark'), label: 'Accent on dark pages', hint: 'For example: #7fd6b8' })}
    ${textField({ ...of(form, 'theme.radius'), label: 'Radius of corners', type: 'number', hint: 'In pixels, 0 to 24.' })}
  </details>`;
}

function webhookFields(form: FilledForm): Html | '' {
  const { provider, values, issues, stored } = form;
  if (!receivesWebhooks(provider)) return '';
  const endpoints = Object.values(provider.webhooks).filter(({ receiver }) => receiver === 'webhooks');
  const secrets = endpoints.flatMap(({ verify }) => ('key' in verify && verify.key ? [verify.key] : []));
  const needsHook = endpoints.some(({ verify }) => verify.scheme === 'none');
  const count = stored?.webhook?.secretCount ?? 0;
  const options = webhookOptions(provider);
  const isOpen = values.has('webhook') || [...issues.keys()].some((name) => name.startsWith('webhook'));
  const secretHint = html`${secrets.map(({ what, where }) => html`The ${what}${where ? html` (${where})` : ''}. `)}
    ${count > 0 ? `${count === 1 ? 'One is' : `${count} are`} set, and stay if you leave both fields empty; otherwise they are replaced.` : ''}`;
  return html`<details class="card" ${isOpen ? html`open` : ''}>
    <summary>Webhooks of ${provider.name}</summary>
    ${checkField({ name: 'webhook', label: 'Receive webhooks', checked: values.has('webhook'), error: issues.get('webhook') })}
    ${areaField({ name: 'webhook.secrets', label: 'Secret', hint: secretHint, rows: 2, secret: true, error: issues.get('webhook.secrets') })}
    <label for="f-second-secret">A second secret <span class="quiet">(optional)</span></label>
    <p class="hint">Both are accepted while you rotate them.</p>
    <textarea id="f-second-secret" name="webhook.secrets" rows="2" autocomplete="off" spellcheck="false"></textarea>
    ${checkField({
      name: 'webhook.hook',
      label: 'A secret part in the URL',
      hint: needsHook
        ? 'This provider signs nothing: without it, webhooks are not taken. The URL is shown once, after saving.'
        : 'For senders that sign nothing. The URL is shown once, after saving.',
      checked: values.has('webhook.hook'),
    })}
    ${
      options.length === 0
        ? ''
        : html`${selectField({ ...of(form, 'webhook.scheme'), label: 'How the sender signs', options: [['', 'as is usual'], ...options.map((one) => [one, one] as const)] })}
            ${textField({ ...of(form, 'webhook.header'), label: 'Header of the signature', hint: 'For hmac.' })}
            ${selectField({ ...of(form, 'webhook.hash'), label: 'Hash', hint: 'For hmac.', options: ['', 'sha1', 'sha256', 'sha384', 'sha512'].map((one) => [one, one || 'as is usual'] as const) })}
            ${selectField({ ...of(form, 'webhook.encoding'), label: 'Encoding', hint: 'For hmac.', options: ['', 'hex', 'base64', 'base64url'].map((one) => [one, one || 'as is usual'] as const) })}`
    }
  </details>`;
}

function moreFields(form: FilledForm): Html {
  const { provider, values, issues } = form;
  const hosts = Object.keys(provider.api.other_hosts).map((alias) => `host.${alias}`);
  const names = [...OVERRIDES, ...hosts].map((name) => `overrides.${name}`);
  const isOpen = [...names, 'rate.requests', 'rate.window'].some((name) => values.has(name) || issues.has(name));
  const { rate_limits: limits } = provider;
  const documented = limits?.rate
    ? ` If empty: ${limits.rate.requests} in ${limits.rate.window} seconds, as the catalogue has it.`
    : '';
  return html`<details class="card" ${isOpen ? html`open` : ''}>
    <summary>Limits and other endpoints</summary>
    <h2>How often its API is called through the proxy</h2>
    <p class="quiet">By all replicas together.${documented}</p>
    <div class="cards">
      ${textField({ ...of(form, 'rate.requests'), label: 'Calls', type: 'number' })}
      ${textField({ ...of(form, 'rate.window'), label: 'In so many seconds', type: 'number' })}
      ${selectField({ ...of(form, 'rate.per'), label: 'Counted together', options: UPSTREAM_RATE_SCOPES.map((one) => [one, one === 'integration' ? 'all of the integration' : `those of each ${one}`] as const) })}
    </div>
    <h2>Endpoints that replace those of the catalogue</h2>
    <p class="quiet">For a sandbox, or an instance of your own. Secrets that are stored are not sent elsewhere: they have to be given again.</p>
    ${names.map((name) => textField({ ...of(form, name), label: name.slice('overrides.'.length) }))}
  </details>`;
}
