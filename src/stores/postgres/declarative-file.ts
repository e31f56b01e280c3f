// The declarative file in PostgreSQL: applied in one transaction, all of it or none.
import type { DeclarativeFileStore } from '../../ports/index.ts';
import { callerWriter } from './callers.ts';
import type { PostgresAccess } from './client.ts';
import { integrationWriter } from './integrations.ts';
import { receiverWriter } from './received-webhooks.ts';

export function createDeclarativeFileStore(access: PostgresAccess): DeclarativeFileStore {
  const putIntegration = integrationWriter(access);
  const putReceiver = receiverWriter(access);
  const putCaller = callerWriter(access);
  return {
    putDeclared: ({ integrations, receivers = [], callers }) =>
      access.transaction(async (orm) => {
        for (const { settings, audit } of integrations) await putIntegration(orm, settings, audit);
        for (const one of receivers) await putReceiver(orm, one);
        for (const { caller, keys, audit } of callers) await putCaller(orm, caller, keys, audit);
      }),
  };
}
