// What a deployment declares, in PostgreSQL: one sentence, so that half of it never stands there.
import type { Store } from '../../ports/index.ts';
import { callerPutter } from './callers.ts';
import type { PostgresAccess } from './client.ts';
import { integrationPutter } from './integrations.ts';

export function declaredStore(access: PostgresAccess): Pick<Store, 'putDeclared'> {
  const putIntegration = integrationPutter(access);
  const putCaller = callerPutter(access);
  return {
    putDeclared: ({ integrations, callers }) =>
      access.write(async (orm) => {
        for (const { settings, by } of integrations) await putIntegration(orm, settings, by);
        for (const { caller, keys, by } of callers) await putCaller(orm, caller, keys, by);
      }),
  };
}
