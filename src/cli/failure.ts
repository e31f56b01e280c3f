// How a command fails: a message for people, and an exit code for scripts.

export const EXIT = {
  refused: 1,
  changes: 2,
  usage: 64,
  unreachable: 69,
  misconfigured: 78,
  interrupted: 130,
} as const;

export const EXIT_CODES = `Exit codes:
  0    success
  1    the request was rejected, or the input is not valid
  2    apply --dry-run --exit-code: there are changes
  64   the command line is not valid
  69   no broker answers at the URL
  78   commands for this machine: the configuration is not valid
  130  interrupted by Ctrl-C`;

/** An error that the user can fix. With an empty message, only the exit code is set. */
export class Failure extends Error {
  readonly code: number;
  /** The broker's problem (RFC 9457), for `--json`. */
  readonly problem: Record<string, unknown> | undefined;
  /** It may pass: the same request may succeed later. */
  readonly isTransient: boolean;
  /** Seconds after which it is to be sent again, if the server has said so. */
  readonly retryAfter: number | undefined;
  constructor(
    message: string,
    code: number = EXIT.refused,
    problem?: Record<string, unknown>,
    isTransient = false,
    retryAfter?: number,
  ) {
    super(message);
    this.code = code;
    this.problem = problem;
    this.isTransient = isTransient;
    this.retryAfter = retryAfter;
  }
}

/** With `--json`: what the broker has said, or a problem of the command itself, whose `code` tells the exit code. */
export function problemOf({ problem, code, message }: Failure): Record<string, unknown> {
  return problem ?? ownProblem(code, message);
}

function ownProblem(exitCode: number, detail: string): Record<string, unknown> {
  const { name, title } = OWN_PROBLEMS.get(exitCode) ?? FAILED;
  return { type: `urn:valetkey:problem:${name}`, title, detail, code: name };
}

const FAILED = { name: 'failed', title: 'The command failed' };
const OWN_PROBLEMS = new Map<number, typeof FAILED>([
  [EXIT.usage, { name: 'usage', title: 'The command line is not valid' }],
  [EXIT.unreachable, { name: 'unreachable', title: 'No broker answers at the URL' }],
  [EXIT.misconfigured, { name: 'misconfigured', title: 'The configuration is not valid' }],
  [EXIT.interrupted, { name: 'interrupted', title: 'Interrupted by Ctrl-C' }],
]);

/** A `SetupError`: each issue is `SETTING: what is wrong with it`. With `--json`, they are listed as the broker lists its own. */
export function misconfigured({ report, issues }: { report: string; issues: string[] }): Failure {
  const problem = ownProblem(EXIT.misconfigured, issues.join('; '));
  return new Failure(report, EXIT.misconfigured, { ...problem, issues: issues.map(issueOf) });
}

function issueOf(issue: string): { path: string; message: string } {
  const [, path = '', message = issue] = /^(\w+): (.*)$/s.exec(issue) ?? [];
  return { path, message };
}

export const misused = (message: string): Failure => new Failure(message, EXIT.usage);
