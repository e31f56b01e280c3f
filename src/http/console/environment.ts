// The variables of a request to the console, and what its parts share.
import type { Call } from '../../broker/audit/index.ts';
import { type Action, allows } from '../../domain/caller.ts';
import type { ConsoleSession } from '../../domain/console.ts';
import type { Env } from '../env.ts';

/** Someone who is signed in, and their request. */
export interface Visit {
  session: ConsoleSession;
  /** The first argument of every use case: what they may do is what their role permits. */
  call: Call;
  /** What every form of theirs carries. Other sites cannot know it (CSRF). */
  token: string;
  /** They signed in a moment ago, as what destroys something demands. */
  isFresh: boolean;
}

export interface ConsoleEnv extends Env {
  Variables: Env['Variables'] & {
    visit: Visit;
    /** What was posted: of a form of ours, that this user was shown. */
    form: URLSearchParams;
  };
}

/** Whether their role has the action everywhere: what is not offered is refused as well, by the use case. */
export const may = ({ call }: Visit, action: Action): boolean =>
  allows(call.principal.caller.permissions, action, '*', '*');
