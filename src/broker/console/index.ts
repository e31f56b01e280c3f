// The console room: who uses the browser console. What they see and do there is in the other rooms, by the permissions of
// their role.
import type { Access, StrangerLog } from '../audit/index.ts';
import { mayNotDelegate, undelegable } from '../callers/index.ts';
import { type ConsoleSessions, createConsoleSessions } from './console-sessions.ts';
import { type ConsoleSettings, createSignIn, type SignIn } from './sign-in.ts';

export type { ConsoleSessions, ConsoleVisit } from './console-sessions.ts';
export { type SignIn, type SignInFailure, signInTag } from './sign-in.ts';

export interface Console {
  /** What browsers call the console by, without `/console`. */
  url: string;
  sessions: ConsoleSessions;
  signIn: SignIn;
}

interface Parts
  extends Omit<Parameters<typeof createConsoleSessions>[0], 'mayNotDelegate' | 'mayPassOn' | 'isIssuer'>,
    Omit<Parameters<typeof createSignIn>[0], 'noteStranger' | 'settings'> {
  access: Access;
  strangers: Pick<StrangerLog, 'note'>;
  /** Undefined: only links sign in. */
  settings: ConsoleSettings | undefined;
}

export function createConsole(parts: Parts): Console {
  const { access, strangers, settings, url } = parts;
  const signIn = createSignIn({
    ...parts,
    noteStranger: ({ address, requestId }, presented) => {
      const { integration = null } = settings ?? {};
      const request = {
        action: 'console_session.refused',
        reason: 'no_role',
        presented,
        integration,
        address,
      } as const;
      strangers.note(request, requestId);
    },
  });
  const sessions = createConsoleSessions({
    ...parts,
    mayNotDelegate: (call, permissions) => mayNotDelegate(access, call, permissions),
    mayPassOn: (own, wanted) => undelegable(own, wanted) === undefined,
    isIssuer: signIn.isIssuer,
  });
  return { url, sessions, signIn };
}
