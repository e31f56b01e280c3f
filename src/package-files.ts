// Files that are no code but ship with the package. They are found from its root, since a bundle does not lie where the
// sources do.
import { findPackageJSON } from 'node:module';
import { dirname, join } from 'node:path';

const ROOT = dirname(findPackageJSON(import.meta.url)!);

/** The absolute path of what lies at `path` below the folder of package.json. */
export const packaged = (path: string): string => join(ROOT, path);
