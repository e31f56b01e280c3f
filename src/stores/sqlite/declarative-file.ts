// What a deployment declares, in SQLite: one sentence, so that half of it never stands there.
import type { Store } from '../../ports/index.ts';
import { callerPutter } from './callers.ts';
import type { SqliteAccess } from './client.ts';
import { integrationPutter } from './integrations.ts';

export function declaredStore(access: SqliteAccess): Pick<Store, 'putDeclared'> {
  const putIntegration = integrationPutter(access);
  const putCaller = callerPutter(access);
  return {
    putDeclared: ({ integrations, callers }) =>
      access.write(() => {
        for (const { settings, by } of integrations) putIntegration(settings, by);
        for (const { caller, keys, by } of callers) putCaller(caller, keys, by);
      }),
  };
}
