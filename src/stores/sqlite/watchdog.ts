// How long commits wait for one thing that is under way: an fsync, or a commit of the thread.
import { startDeadline } from '../../domain/deadline.ts';

export interface Watchdog {
  /** One has begun: the only one until it ends. */
  begin(): void;
  /** It has ended, or nothing waits for it any more. */
  end(): void;
  isUnderWay(): boolean;
  /** It has been under way for `giveUpMs`: what comes now would only pile up behind it. */
  isSilent(): boolean;
  /** It is under way, and not for `giveUpMs` and `unsyncedAfterMs` yet: then commits no longer wait for it. */
  holdsCommits(): boolean;
}

interface Parts {
  giveUpMs: number;
  /** After `giveUpMs`. */
  unsyncedAfterMs: number;
  onSilent(): void;
  /** Commits no longer wait for it. */
  onPassed(): void;
}

export function createWatchdog({ giveUpMs, unsyncedAfterMs, onSilent, onPassed }: Parts): Watchdog {
  let state: 'idle' | 'under way' | 'silent' | 'passed' = 'idle';
  let cancel: (() => void) | undefined;

  function beSilent(): void {
    state = 'silent';
    cancel = startDeadline(unsyncedAfterMs, bePassed);
    onSilent();
  }

  function bePassed(): void {
    state = 'passed';
    onPassed();
  }

  return {
    begin() {
      state = 'under way';
      cancel = startDeadline(giveUpMs, beSilent);
    },
    end() {
      state = 'idle';
      cancel?.();
    },
    isUnderWay: () => state !== 'idle',
    isSilent: () => state === 'silent' || state === 'passed',
    holdsCommits: () => state === 'under way' || state === 'silent',
  };
}
