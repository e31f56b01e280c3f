// How long what is to be committed waits for the disk, or for the thread that waits for it: first it is refused, then it no longer
// waits.
import { startDeadline } from '../../domain/deadline.ts';

export interface DiskWait {
  /** Something waits: the time runs, if it does not yet. */
  begin(): void;
  /** Nothing is left to wait for. */
  end(): void;
  /** For `giveUpMs`, and until the end: what comes now would only pile up. */
  isSilent(): boolean;
  /** For `unsyncedAfterMs` after that: commits do not wait for the one before them to be on the disk. */
  isAhead(): boolean;
}

interface Parts {
  giveUpMs: number;
  unsyncedAfterMs: number;
  onSilent(): void;
  onAhead(): void;
}

export function createDiskWait({ giveUpMs, unsyncedAfterMs, onSilent, onAhead }: Parts): DiskWait {
  let state: 'answers' | 'silent' | 'ahead' = 'answers';
  let cancel: (() => void) | undefined;

  function beSilent(): void {
    state = 'silent';
    cancel = startDeadline(unsyncedAfterMs, () => {
      state = 'ahead';
      onAhead();
    });
    onSilent();
  }

  return {
    begin() {
      cancel ??= startDeadline(giveUpMs, beSilent);
    },
    end() {
      cancel?.();
      cancel = undefined;
      state = 'answers';
    },
    isSilent: () => state !== 'answers',
    isAhead: () => state === 'ahead',
  };
}
