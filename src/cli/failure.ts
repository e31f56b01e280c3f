// How a command ends when it does not end well: words for whoever typed it, and a code for scripts.

export const EXIT = { refused: 1, changes: 2, usage: 64, unreachable: 69, interrupted: 130 } as const;

export const EXIT_CODES = `Exit codes:
  0    done
  1    refused: the broker, or what was given, does not allow it
  2    apply --dry-run --exit-code: there is something to change
  64   the command line is not valid
  69   no broker answers at the URL
  78   serve, migrate, keys rotate: the configuration is not valid
  130  stopped by Ctrl-C`;

/** The person at the keyboard can mend it. Without a message, the code is all that is told. */
export class Failure extends Error {
  readonly code: number;
  /** The broker's problem (RFC 9457), for `--json`. */
  readonly problem: Record<string, unknown> | undefined;
  constructor(message: string, code: number = EXIT.refused, problem?: Record<string, unknown>) {
    super(message);
    this.code = code;
    this.problem = problem;
  }
}

export const misused = (message: string): Failure => new Failure(message, EXIT.usage);
