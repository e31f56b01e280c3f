// The built-in providers, read and checked beforehand. Only the bundle has them: `build.ts` puts them in the place of this
// file, so that a start does not have to read and check one file for each.
import type { Provider } from '../domain/provider.ts';

export const bundled: readonly Provider[] | undefined = undefined;
