// The declarative file in SQLite: applied in one operation, all of it or none.
import type { DeclarativeFileStore } from '../../ports/index.ts';
import { callerWriter } from './callers.ts';
import type { SqliteAccess } from './client.ts';
import { integrationWriter } from './integrations.ts';

export function createDeclarativeFileStore(access: SqliteAccess): DeclarativeFileStore {
  const putIntegration = integrationWriter(access);
  const putCaller = callerWriter(access);
  return {
    putDeclared: ({ integrations, callers }) =>
      access.write(() => {
        for (const { settings, audit } of integrations) putIntegration(settings, audit);
        for (const { caller, keys, audit } of callers) putCaller(caller, keys, audit);
      }),
  };
}
