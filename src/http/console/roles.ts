// Pages and actions that only some roles have. The role is judged before what was sent is looked at: others see no form.
import type { MiddlewareHandler } from 'hono';
import type { Action } from '../../domain/caller.ts';
import { refuse } from '../../domain/errors.ts';
import { type Place, refusedPage } from './answers.ts';
import { type ConsoleEnv, may } from './environment.ts';

export const onlyFor =
  (action: Action, place: Place): MiddlewareHandler<ConsoleEnv> =>
  async (c, next) => {
    if (may(c.get('visit'), action)) return next();
    const missing = { action, integration: '*', owner: '*' };
    return refusedPage(c, place, refuse({ code: 'forbidden', missing }));
  };
