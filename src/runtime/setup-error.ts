// A deployment that is set up wrongly.

/** `issues` name the setting and what is wrong with it, each in a line for the operator. */
export class SetupError extends Error {
  override name = 'SetupError';
  readonly issues: string[];
  constructor(issues: string[]) {
    super(issues.join('\n'));
    this.issues = issues;
  }

  /** All issues at once, in lines for the operator. */
  get report(): string {
    return `Valetkey cannot start:\n${this.issues.map((issue) => `  - ${issue}`).join('\n')}`;
  }
}
