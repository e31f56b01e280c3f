// Pages that only some roles may open: forms, which call no use case before they are sent.
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
