// What the forms of callers ask for: names, rate limits, workload identities and the expiry of keys.
import { html } from 'hono/html';
import { CallerPut } from '../../../../api/index.ts';
import type { CallerSetup } from '../../../../broker/callers/index.ts';
import { digest } from '../../../../broker/secrets/index.ts';
import type { Caller, Permission, RateLimit, Workload } from '../../../../domain/caller.ts';
import type { Html } from '../../../pages/layout.ts';
import { callerSetupOf } from '../../../setups.ts';
import { field, numberField } from '../../forms.ts';
import { areaField, type Issues, issuesOf, textField } from '../../parts/fields.ts';

export const CALLER_FIELDS = ['name', 'rate_limit.requests', 'rate_limit.window', 'key_expires_at'];
export const WORKLOAD_FIELDS = ['issuer', 'audience', 'claims', 'max_age'];

/** Of a stored caller, with some of it changed. */
export const setupWith = (caller: Caller, changed: Partial<CallerSetup>): CallerSetup => ({
  name: caller.name,
  grants: caller.permissions,
  workloads: caller.workloads,
  rateLimit: caller.rateLimit,
  maxSessionTtl: caller.maxSessionTtl,
  audiences: caller.audiences,
  ...changed,
});

/** By which a form says what it was made of: a change of someone else in between is not overwritten. */
export const fingerprint = ({ name, permissions, workloads, rateLimit, maxSessionTtl, audiences }: Caller): string =>
  digest(JSON.stringify([name, permissions, workloads, rateLimit, maxSessionTtl, audiences])).slice(0, 32);

/** By which a form says which grant it changes: their numbers change when one is removed. */
export const grantFingerprint = (grant: Permission): string => digest(JSON.stringify(grant)).slice(0, 32);

/** As the API would have it checked: the whole caller. */
export function checkedSetup(setup: CallerSetup, names: readonly string[]): CallerSetup | { issues: Issues } {
  const { name, grants, workloads = [], rateLimit = null, maxSessionTtl = null, audiences = null } = setup;
  const parsed = CallerPut.safeParse({
    name,
    grants,
    workloads: workloads.map(({ issuer, audience, claims, maxAge }) => ({ issuer, audience, claims, max_age: maxAge })),
    rate_limit: rateLimit,
    max_session_ttl: maxSessionTtl,
    audiences,
  });
  if (parsed.success) return callerSetupOf(parsed.data);
  const issues = parsed.error.issues.map(({ path, message }) => ({ path: path.join('.'), message }));
  return { issues: issuesOf(issues.map(ofLastWorkload(workloads.length)), names) };
}

/** The one that a form adds comes last: what is wrong with it stands beside its fields. */
export const ofLastWorkload =
  (count: number) =>
  ({ path, message }: { path: string; message: string }) => ({
    path: path.startsWith(`workloads.${count - 1}.`) ? path.slice(`workloads.${count - 1}.`.length) : path,
    message,
  });

export function namedIn(form: URLSearchParams): { name: string; rateLimit: RateLimit | null } {
  const [requests, window] = [numberField(form, 'rate_limit.requests'), numberField(form, 'rate_limit.window')];
  const isLimited = requests !== undefined || window !== undefined;
  return {
    name: field(form, 'name') ?? '',
    rateLimit: isLimited ? { requests: requests ?? Number.NaN, window: window ?? Number.NaN } : null,
  };
}

/** Undefined: no issuer is filled in. */
export function workloadIn(form: URLSearchParams): Omit<Workload, 'id'> | undefined {
  const issuer = field(form, 'issuer');
  if (issuer === undefined) return undefined;
  const claims = (form.get('claims') ?? '').split(/\r?\n/).flatMap((line) => {
    const [name = '', ...value] = line.split('=');
    return name.trim() === '' ? [] : [[name.trim(), value.join('=').trim()]];
  });
  return {
    issuer,
    audience: field(form, 'audience') ?? '',
    claims: Object.fromEntries(claims) as Record<string, string>,
    maxAge: numberField(form, 'max_age'),
  };
}

/** The end of a day in UTC, in ms since the epoch; null: never. */
export function expiryIn(form: URLSearchParams): number | null | { issues: Issues } {
  const day = field(form, 'key_expires_at');
  if (day === undefined) return null;
  const at = /^\d{4}-\d\d-\d\d$/.test(day) ? Date.parse(`${day}T23:59:59.999Z`) : Number.NaN;
  return Number.isNaN(at) ? { issues: new Map([['key_expires_at', 'must be a day, such as 2027-03-31']]) } : at;
}

const of = (values: URLSearchParams, issues: Issues) => (name: string) => ({
  name,
  value: values.get(name) ?? '',
  error: issues.get(name),
});

export function nameFields(values: URLSearchParams, issues: Issues): Html {
  const filled = of(values, issues);
  return html`<fieldset class="card">
    <legend>Who it is</legend>
    ${textField({ ...filled('name'), label: 'Name', required: true, hint: 'What people know the service by.' })}
    ${textField({ ...filled('rate_limit.requests'), label: 'Rate limit: requests', type: 'number', hint: 'If empty: as the deployment has it.' })}
    ${textField({ ...filled('rate_limit.window'), label: 'In so many seconds', type: 'number' })}
  </fieldset>`;
}

export const expiryField = (values: URLSearchParams, issues: Issues): Html =>
  textField({
    ...of(values, issues)('key_expires_at'),
    label: 'The key expires after',
    type: 'date',
    hint: 'The end of that day in UTC. If empty: never.',
  });

export function workloadFields(values: URLSearchParams, issues: Issues, required: boolean): Html {
  const filled = of(values, issues);
  return html`
    ${textField({ ...filled('issuer'), label: 'Issuer', required, hint: 'Of its tokens. It must be listed in trusted_issuers of the configuration.' })}
    ${textField({ ...filled('audience'), label: 'Audience', required, hint: 'A name that only this broker has.' })}
    ${areaField({ ...filled('claims'), label: 'Claims', required, hint: 'Which workload it is, one claim in each line: sub=system:serviceaccount:prod:mailer. A * at the end matches what begins so.' })}
    ${textField({ ...filled('max_age'), label: 'Largest age', type: 'number', hint: 'Seconds since its token was issued. If empty: as the issuer has it.' })}`;
}
