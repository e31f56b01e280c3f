// A deployment that is set up wrongly.

/** `issues` name the setting and what is wrong with it, each in a line for the operator. */
export class SetupError extends Error {
  override name = 'SetupError';
  readonly issues: string[];
  constructor(issues: string[]) {
    super(`Valetkey cannot start:\n${issues.map((issue) => `  - ${issue}`).join('\n')}`);
    this.issues = issues;
  }
}
