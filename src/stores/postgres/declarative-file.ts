// The declarative file in PostgreSQL: applied in one transaction, all of it or none.
import type { DeclarativeFileStore } from '../../ports/index.ts';
import { ChangedMeanwhile, orChanged } from '../shared/changed-meanwhile.ts';
import { callerRemover, callerWriter } from './callers.ts';
import type { PostgresAccess } from './client.ts';
import { integrationRemover, integrationWriter } from './integrations.ts';
import { receiverWriter } from './received-webhooks.ts';
import { deleteDeliveriesOf } from './webhook-endpoints.ts';

export function createDeclarativeFileStore(access: PostgresAccess): DeclarativeFileStore {
  const putIntegration = integrationWriter(access);
  const putCaller = callerWriter(access);
  const putReceiver = receiverWriter(access);
  const integrationsToRemove = integrationRemover(access);
  const removeCaller = callerRemover(access);
  return {
    async putDeclared({ deleted, integrations, callers, receivers = [] }) {
      const operation = access.transaction(async (orm) => {
        // Before anything is written: a refusal is no error, and rolls nothing back. In one order, since each is locked.
        const removed = [...(deleted?.integrations ?? [])].sort((a, b) => (a.id < b.id ? -1 : 1));
        for (const { id } of removed) {
          const used = await integrationsToRemove.usedBy(orm, id);
          if (used) return used;
        }
        const endpoints: string[] = [];
        for (const { id, audit } of deleted?.callers ?? [])
          endpoints.push(...((await removeCaller(orm, id, audit)) ?? []));
        for (const { id, audit } of removed) await integrationsToRemove.remove(orm, id, audit);
        for (const { settings, audit, expected } of integrations)
          if ((await putIntegration(orm, settings, audit, expected)) === 'changed') throw new ChangedMeanwhile();
        for (const one of receivers) await putReceiver(orm, one);
        for (const { caller, keys, audit, expected } of callers)
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
