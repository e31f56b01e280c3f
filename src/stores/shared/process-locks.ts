// Process locks: which processes of this machine are alive, as the operating system knows it.

/** Each process holds a lock on a small file of its own, which the operating system releases when the process ends, however. */
export interface ProcessLocks {
  /** Names this process, in its file and in leases. */
  readonly holder: string;
  /** `unknown`: it has no file here, so it is of another machine, or has ended long ago. */
  stateOf(holder: string): 'alive' | 'dead' | 'unknown';
  /** The holders whose process is alive, this one included. */
  alive(): string[];
  /** The holders whose file is here and whose process has ended. */
  dead(): string[];
  /** Removes the file of a holder whose process has ended. False: it lives after all, or is not of this machine. */
  removeDead(holder: string): boolean;
  /** Releases the lock of this process, when it stops using the database. */
  release(): void;
  /** As if this process had been killed: another process of this machine finds it dead. */
  abandon(): void;
}
