// The second half of the catalogue's providers, by name.
import { vendorSuite } from './vendor-suite.ts';

await vendorSuite((id) => id >= 'm');
