// The declarative file: integrations and callers as the deployment wants them, applied at start.
import { createHash } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import type { Caller, CallerKey } from '../domain/caller.ts';
import { Refusal } from '../domain/errors.ts';
import type { Clock, Store } from '../ports.ts';
import type { Access } from './access.ts';
import { type CallerSetup, callerOf, keyOf, workloadIssues } from './callers.ts';
import type { Integrations, Setup } from './integrations.ts';
import type { Trust } from './trust.ts';

export interface Declared {
  integrations: { id: string; setup: Setup }[];
  callers: (CallerSetup & { id?: string | undefined; keys: string[] })[];
}

interface Parts {
  store: Store;
  integrations: Integrations;
  trust: Pick<Trust, 'find'>;
  access: Pick<Access, 'recordOwn'>;
  clock: Clock;
}

/** What cannot be applied, in words; empty when all of it was. What the file does not name is left as it is. */
export async function applyDeclared(
  declared: Declared,
  { store, integrations, trust, access, clock }: Parts,
): Promise<string[]> {
  const issues: string[] = [];
  for (const { id, setup } of declared.integrations) {
    const by = access.recordOwn('integration.declared', { integration: id, detail: setup.provider });
    const saved = await integrations.save(id, setup, by, 'left');
    if (!(saved instanceof Refusal)) continue;
    const { fault } = saved;
    const told = fault.code === 'invalid_request' ? (fault.issues ?? [{ path: '', message: fault.detail }]) : [];
    issues.push(...told.map(({ path, message }) => `VALETKEY_CONFIG: integration ${id}: ${path}: ${message}`));
    if (told.length === 0) issues.push(`VALETKEY_CONFIG: integration ${id}: ${fault.code}`);
  }
  const stored = await store.callers();
  for (const { id, keys, ...setup } of declared.callers) {
    const now = clock.now();
    const { name } = setup;
    const unbound = await workloadIssues(setup, trust);
    issues.push(...unbound.map(({ path, message }) => `VALETKEY_CONFIG: caller ${name}: ${path}: ${message}`));
    if (unbound.length > 0) continue;
    const caller = callerOf(id ?? idFor(name), setup, now);
    const wanted = keys.map((key) => keyOf(key, caller.id, now, null));
    const digests = new Set(wanted.map((key) => key.digest));
    const other = stored.find((s) => s.caller.id !== caller.id && s.keys.some((key) => digests.has(key.digest)));
    if (other) {
      // After a change of name, the same key stands for the caller of the old one.
      const who = `${other.caller.id} ("${other.caller.name}")`;
      issues.push(
        `VALETKEY_CONFIG: caller ${name}: a key of it is that of ${who}: give it that id, or delete that one`,
      );
      continue;
    }
    const same = stored.find((s) => s.caller.id === caller.id);
    if (same && isDeepStrictEqual(shapeOf(same.caller, same.keys), shapeOf(caller, wanted))) continue;
    await store.putCaller(caller, wanted, access.recordOwn('caller.declared', { detail: caller.id }));
  }
  return issues;
}

const shapeOf = ({ createdAt: _, ...caller }: Caller, keys: CallerKey[]) => ({
  ...caller,
  keys: keys.map(({ digest, expiresAt }) => [digest, expiresAt]).sort(),
});

/** The same name is the same caller at every start. */
const idFor = (name: string): string => `clr_${createHash('sha256').update(name).digest('hex').slice(0, 26)}`;
