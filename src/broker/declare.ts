// The declarative file: integrations and callers as the deployment wants them, applied at start.
import { createHash } from 'node:crypto';
import type { CallerGrant } from '../domain/caller.ts';
import { Refusal } from '../domain/errors.ts';
import type { Clock, Store } from '../ports.ts';
import type { Access } from './access.ts';
import { keyOf } from './callers.ts';
import type { Integrations, Setup } from './integrations.ts';

export interface Declared {
  integrations: { id: string; setup: Setup }[];
  callers: { id?: string | undefined; name: string; grants: CallerGrant[]; keys: string[] }[];
}

interface Parts {
  store: Store;
  integrations: Integrations;
  access: Pick<Access, 'recordOwn'>;
  clock: Clock;
}

/** What cannot be applied, in words; empty when all of it was. What the file does not name is left as it is. */
export async function applyDeclared(
  declared: Declared,
  { store, integrations, access, clock }: Parts,
): Promise<string[]> {
  const issues: string[] = [];
  for (const { id, setup } of declared.integrations) {
    const by = access.recordOwn('integration.declared', { integration: id, detail: setup.provider });
    const saved = await integrations.save(id, setup, by);
    if (!(saved instanceof Refusal)) continue;
    const { fault } = saved;
    const told = fault.code === 'invalid_request' ? (fault.issues ?? [{ path: '', message: fault.detail }]) : [];
    issues.push(...told.map(({ path, message }) => `VALETKEY_CONFIG: integration ${id}: ${path}: ${message}`));
    if (told.length === 0) issues.push(`VALETKEY_CONFIG: integration ${id}: ${fault.code}`);
  }
  for (const { id, name, grants, keys } of declared.callers) {
    const now = clock.now();
    const caller = { id: id ?? idFor(name), name, grants, createdAt: now };
    const by = access.recordOwn('caller.declared', { detail: caller.id });
    await store.putCaller(
      caller,
      keys.map((key) => keyOf(key, caller.id, now, null)),
      by,
    );
  }
  return issues;
}

/** The same name is the same caller at every start. */
const idFor = (name: string): string => `clr_${createHash('sha256').update(name).digest('hex').slice(0, 26)}`;
