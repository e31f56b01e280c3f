// The built-in providers, parsed and checked at build time. Only the bundle has them: `build.ts` replaces this file, so
// that a start does not read and check one file for each provider.
import type { Provider } from '../domain/provider.ts';

export const bundled: ReadonlyMap<string, Provider> | undefined = undefined;
