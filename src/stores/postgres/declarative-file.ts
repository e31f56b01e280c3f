// The declarative file in PostgreSQL: applied in one transaction, all of it or none.
import type { DeclarativeFileStore } from '../../ports/index.ts';
import { ChangedMeanwhile, orChanged } from '../shared/changed-meanwhile.ts';
import { callerRemover, callerWriter } from './callers.ts';
import type { PostgresAccess } from './client.ts';
import { integrationRemover, integrationWriter } from './integrations.ts';
import { receiverWriter } from './received-webhooks.ts';
import { deleteDeliveriesOf } from './webhook-endpoints.ts';

/** Each is locked until all are stored: always in this order, or two declarations at once would deadlock. */
const inOrder = <T>(rows: readonly T[] = [], idOf: (row: T) => string): T[] =>
  rows.toSorted((a, b) => (idOf(a) < idOf(b) ? -1 : 1));

export function createDeclarativeFileStore(access: PostgresAccess): DeclarativeFileStore {
  const putIntegration = integrationWriter(access);
  const putCaller = callerWriter(access);
  const putReceiver = receiverWriter(access);
  const integrationsToRemove = integrationRemover(access);
  const removeCaller = callerRemover(access);
  return {
    async putDeclared({ deleted, integrations, callers, receivers }) {
      const operation = access.transaction(async (orm) => {
        // Before anything is written: a refusal is no error, and rolls nothing back.
        const removed = inOrder(deleted?.integrations, ({ id }) => id);
        for (const { id } of removed) {
          const used = await integrationsToRemove.usedBy(orm, id);
          if (used) return used;
        }
        const endpoints: string[] = [];
        for (const { id, audit } of inOrder(deleted?.callers, (one) => one.id))
          endpoints.push(...((await removeCaller(orm, id, audit)) ?? []));
        for (const { id, audit } of removed) await integrationsToRemove.remove(orm, id, audit);
        for (const { settings, audit, expected } of inOrder(integrations, (one) => one.settings.id))
          if ((await putIntegration(orm, settings, audit, expected)) === 'changed') throw new ChangedMeanwhile();
        for (const one of inOrder(receivers, ({ settings }) => settings.integration)) await putReceiver(orm, one);
        for (const { caller, keys, audit, expected } of inOrder(callers, (one) => one.caller.id))
          if ((await putCaller(orm, caller, keys, audit, expected)) === 'changed') throw new ChangedMeanwhile();
        return endpoints;
      });
      const outcome = await operation.catch(orChanged);
      if (!Array.isArray(outcome)) return outcome;
      await deleteDeliveriesOf(access, outcome);
      return 'stored';
    },
  };
}
