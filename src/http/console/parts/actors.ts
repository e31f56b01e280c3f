// Who did something, as people know them: callers by their names, and people by who they are.
import { html } from 'hono/html';
import type { CallerAdmin } from '../../../broker/callers/index.ts';
import { Refusal } from '../../../domain/errors.ts';
import type { Html, PlainSite } from '../../pages/layout.ts';
import { shownName } from '../../pages/shown-name.ts';
import type { Visit } from '../environment.ts';

/** By id. Of those that were deleted, only the id is known. */
export type CallerNames = ReadonlyMap<string, string>;

/** None, for those who may not see callers. */
export async function callerNames(callers: Pick<CallerAdmin, 'list'>, { call }: Visit): Promise<CallerNames> {
  const all = await callers.list(call);
  return new Map(all instanceof Refusal ? [] : all.map(({ caller }) => [caller.id, caller.name]));
}

/** `actor`: as the audit log has it. */
export function actorWords({ base }: Pick<PlainSite, 'base'>, actor: string, names: CallerNames): Html {
  if (actor === 'system') return html`the broker`;
  if (actor === 'browser') return html`the owner, in a browser`;
  if (actor === 'clr_admin') return html`the admin key`;
  // Who came by a link is the caller that made it, at this broker.
  const [, linked] = /^user:(clr_\w+)@/.exec(actor) ?? [];
  if (linked !== undefined) return html`${actorWords({ base }, linked, names)}, in the console`;
  if (!actor.startsWith('clr_')) return shownName(actor.replace(/^user:/, ''));
  return html`<a href="${base}/console/callers/${encodeURIComponent(actor)}">${shownName(names.get(actor) ?? actor)}</a>`;
}
