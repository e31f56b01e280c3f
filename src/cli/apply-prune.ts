// What the broker has and a declarative file does not name: for `apply`, which names it, and `apply --prune`, which deletes it.
import { visibleText } from '../domain/visible-text.ts';
import type { Broker, Json } from './broker.ts';

export interface NotInFile {
  kind: 'integration' | 'caller';
  id: string;
  /** Of a caller; null for an integration. */
  name: string | null;
}

interface Named {
  id?: unknown;
  name?: unknown;
}

/**
 * Of the lists that the file has: a file of callers alone says nothing of integrations. A caller without an id is known by
 * its name. The caller itself is left out: it could not finish.
 */
export async function notInFile(broker: Broker, declared: Json): Promise<NotInFile[]> {
  const found: NotInFile[] = [];
  const { integrations, callers } = declared as { integrations?: Named[]; callers?: Named[] };
  if (Array.isArray(callers)) {
    const me = await broker.ask('GET', '/v1/whoami');
    const isNamed = ({ id, name }: Json) =>
      callers.some((one) => (one.id === undefined ? one.name === name : one.id === id));
    for await (const row of broker.all('/v1/callers'))
      if (row.id !== me.id && !isNamed(row)) found.push({ kind: 'caller', id: String(row.id), name: String(row.name) });
  }
  if (Array.isArray(integrations)) {
    const named = new Set(integrations.map(({ id }) => id));
    for await (const { id } of broker.all('/v1/integrations'))
      if (!named.has(id)) found.push({ kind: 'integration', id: String(id), name: null });
  }
  return found;
}

/** As a declaration names what is to be deleted. */
export const deletionOf = (surplus: readonly NotInFile[]): Json => {
  const idsOf = (kind: NotInFile['kind']) => surplus.filter((one) => one.kind === kind).map(({ id }) => id);
  return { integrations: idsOf('integration'), callers: idsOf('caller') };
};

export const inWords = ({ kind, id, name }: NotInFile): string =>
  [kind, id, name === null ? '' : `(${visibleText(name)})`].filter(Boolean).join(' ');
