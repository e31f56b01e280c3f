// Finds files that ship with the package and are not code. Paths start at the package's root, since a bundle is not in
// the folder of its sources.
import { findPackageJSON } from 'node:module';
import { dirname, join } from 'node:path';

const ROOT = dirname(findPackageJSON(import.meta.url)!);

/** The absolute path of a file; `path` is relative to the folder of package.json. */
export const packageFile = (path: string): string => join(ROOT, path);
