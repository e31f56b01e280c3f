// The cause for which something does not work, with who can fix it and how.

/**
 * `admin`: of the integration, at the vendor and here. `owner`: of the account. `vendor`: no one here. `operator`: of this
 * deployment. `no_one`: it is over.
 */
export type FixableBy = 'admin' | 'owner' | 'vendor' | 'operator' | 'no_one';

/** `{provider}` stands for the provider's name, or "The provider", so it begins a sentence. */
export interface Cause {
  summary: string;
  fixableBy: FixableBy;
  how: string;
}
