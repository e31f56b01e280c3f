// `npm run simulate`: the whole refresh engine over many connections with tokens of an hour, by virtual time, with a provider
// that has outages. Prints the report that docs/capacity.md shows; with `--json` one JSON object.
import { optionsOf } from './options.ts';
import { pageOf } from './report.ts';
import { simulate } from './simulate.ts';

const cleanUps: (() => unknown)[] = [];
const cleanUp = async () => {
  for (const one of cleanUps.splice(0).reverse()) await one();
};
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => void cleanUp().finally(() => process.exit(130)));

const options = readOptions();
try {
  const summary = await simulate(options, (one) => void cleanUps.push(one));
  console.log(options.json ? JSON.stringify(summary) : pageOf(summary));
} finally {
  await cleanUp();
}
process.exit();

function readOptions() {
  try {
    return optionsOf(process.argv.slice(2));
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exit(2);
  }
}
