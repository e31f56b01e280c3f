// Whether the new token may use what the callback names: the parameters of the callback come from the browser, which can name an
// installation, or a company, that is someone else's.
import type { CodeMode } from '../../domain/auth-modes.ts';
import type { CallbackConfirmation } from '../../domain/dialect.ts';
import { fill, placeholders, type Values } from '../../domain/fields.ts';
import type { Target } from '../../domain/target.ts';
import { LOOKUP_DEADLINE_MS } from '../../domain/time-limits.ts';
import type { TokenResponse } from '../../ports/index.ts';
import type { Outbound } from '../outbound/outbound.ts';
import { tokenHeaders } from './lookups.ts';

interface Grant {
  accessToken: string;
  /** That were asked for, or granted. */
  scopes: readonly string[];
}

/** `undecided`: an answer that says neither. `unavailable`: none, and there may be one later. */
type Verdict = 'confirmed' | 'denied' | 'undecided' | 'unavailable';

/**
 * Asks as the catalogue says, a second time if the provider is unavailable. `named`: what was captured from the callback.
 * Undefined: confirmed, or there is nothing to confirm. Never rejects.
 */
export async function confirmCallback(
  outbound: Outbound,
  target: Target<CodeMode>,
  grant: Grant,
  named: Values,
): Promise<TokenResponse['unconfirmed']> {
  const { confirm } = target.auth.callback;
  if (confirm === undefined || !names(target, confirm).some((name) => Object.hasOwn(named, name))) return undefined;
  const url = confirmationUrl(target, confirm, named);
  const canAsk = confirm.any_scope?.some((scope) => grant.scopes.includes(scope)) ?? true;
  // Who asks for the connection chooses its scopes: that it cannot be asked proves nothing.
  if (!canAsk) return { why: 'unavailable', outcome: 'drop' };
  const ask = async () => (url === undefined ? 'undecided' : askAt(url, outbound, target, grant, confirm));
  const first = await ask();
  const verdict = first === 'unavailable' ? await ask() : first;
  if (verdict === 'confirmed') return undefined;
  return verdict === 'denied'
    ? { why: 'denied', outcome: confirm.if_denied }
    : { why: 'unavailable', outcome: confirm.otherwise };
}

/** The values of the callback that the request has. */
const names = ({ auth, apiBase = '' }: Target<CodeMode>, { path }: CallbackConfirmation): string[] =>
  placeholders(apiBase + path).filter((name) => Object.hasOwn(auth.callback.capture, name));

/** Below the API's base URL, whose host has no value of the callback (`src/catalogue/check.ts`). */
function confirmationUrl(
  { apiBase, values }: Target<CodeMode>,
  { path }: CallbackConfirmation,
  named: Values,
): string | undefined {
  const encoded = Object.fromEntries(Object.entries(named).map(([name, value]) => [name, encodeURIComponent(value)]));
  const base = apiBase === undefined ? undefined : fill(apiBase, { ...values, ...encoded });
  const rest = fill(path, { ...values, ...named }, encodeURIComponent);
  return base === undefined || rest === undefined ? undefined : base.replace(/\/+$/, '') + rest;
}

async function askAt(
  url: string,
  outbound: Outbound,
  { values }: Target<CodeMode>,
  { accessToken }: Grant,
  { headers, denied }: CallbackConfirmation,
): Promise<Verdict> {
  const request = { headers: tokenHeaders(headers, { ...values, access_token: accessToken }) };
  try {
    const { ok, status } = await outbound(url, { ...request, timeoutMs: LOOKUP_DEADLINE_MS, cutOffAt: 0 });
    if (ok) return 'confirmed';
    if (denied.includes(status)) return 'denied';
    return status >= 500 || status === 429 ? 'unavailable' : 'undecided';
  } catch {
    return 'unavailable';
  }
}
