// The declarative file in SQLite: applied in one operation, all of it or none.
import type { DeclarativeFileStore } from '../../ports/index.ts';
import { callerWriter } from './callers.ts';
import type { SqliteAccess } from './client.ts';
import { integrationWriter } from './integrations.ts';
import { receiverWriter } from './received-webhooks.ts';

export function createDeclarativeFileStore(access: SqliteAccess): DeclarativeFileStore {
  const putIntegration = integrationWriter(access);
  const putReceiver = receiverWriter(access);
  const putCaller = callerWriter(access);
  return {
    putDeclared: ({ integrations, receivers = [], callers }) =>
      access.write(() => {
        for (const { settings, audit } of integrations) putIntegration(settings, audit);
        receivers.forEach(putReceiver);
        for (const { caller, keys, audit } of callers) putCaller(caller, keys, audit);
      }),
  };
}
