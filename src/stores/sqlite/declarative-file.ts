// The declarative file in SQLite: applied in one operation, all of it or none.
import type { DeclarativeFileStore } from '../../ports/index.ts';
import { ChangedMeanwhile, orChanged } from '../shared/changed-meanwhile.ts';
import { callerRemover, callerWriter } from './callers.ts';
import type { SqliteAccess } from './client.ts';
import { integrationRemover, integrationWriter } from './integrations.ts';
import { receiverWriter } from './received-webhooks.ts';
import { deleteDeliveriesOf } from './webhook-endpoints.ts';

export function createDeclarativeFileStore(access: SqliteAccess): DeclarativeFileStore {
  const putIntegration = integrationWriter(access);
  const putCaller = callerWriter(access);
  const putReceiver = receiverWriter(access);
  const integrationsToRemove = integrationRemover(access);
  const removeCaller = callerRemover(access);
  return {
    async putDeclared({ deleted, integrations, callers, receivers = [] }) {
      const operation = access.write(() => {
        // Before anything is written: a refusal is no error, and rolls nothing back.
        for (const { id } of deleted?.integrations ?? []) {
          const used = integrationsToRemove.usedBy(id);
          if (used) return used;
        }
        const endpoints = (deleted?.callers ?? []).flatMap(({ id, audit }) => removeCaller(id, audit) ?? []);
        for (const { id, audit } of deleted?.integrations ?? []) integrationsToRemove.remove(id, audit);
        for (const { settings, audit, expected } of integrations)
          if (putIntegration(settings, audit, expected) === 'changed') throw new ChangedMeanwhile();
        receivers.forEach(putReceiver);
        for (const { caller, keys, audit, expected } of callers)
          if (putCaller(caller, keys, audit, expected) === 'changed') throw new ChangedMeanwhile();
        return endpoints;
      });
      const outcome = await operation.catch(orChanged);
      if (!Array.isArray(outcome)) return outcome;
      await deleteDeliveriesOf(access, outcome);
      return 'stored';
    },
  };
}
