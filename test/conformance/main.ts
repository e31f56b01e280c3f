// `npm run conformance`: the MCP conformance suite with a broker as the client. Prints the outcome of each scenario of
// authorization that a revision requires, and exits non-zero if one of them fails.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { json } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';
import { createLogger } from '../../src/adapters/telemetry/logger.ts';
import { start } from '../../src/runtime/app.ts';
import { parseConfig } from '../../src/runtime/config.ts';
import { type Broker, runScenario, type Scenario } from './agent.ts';

const REVISIONS = ['2026-07-28', '2025-11-25'];
const SUITE_TIMEOUT_MS = 120_000;
/** The suite starts all scenarios at once; they wait here, since the broker shares its process with those that call it. */
const AT_A_TIME = 6;

const installed = dirname(createRequire(import.meta.url).resolve('@modelcontextprotocol/conformance/package.json'));
const cli = join(installed, 'dist/index.js');
const relay = fileURLToPath(new URL('relay.ts', import.meta.url));

interface Check {
  id: string;
  description: string;
  status: 'SUCCESS' | 'FAILURE' | 'WARNING' | 'INFO' | 'SKIPPED';
}

/** The scenarios of authorization that a revision requires of clients, as the suite has them. */
function requiredScenarios(revision: string): string[] {
  const set = readFileSync(join(installed, 'requirements', `${revision}.yaml`), 'utf8');
  return (parse(set) as { client: string[] }).client.filter((name) => name.startsWith('auth/'));
}

async function startBroker(): Promise<Broker & { stop(): Promise<void> }> {
  const adminKey = 'conformance'.repeat(4);
  const parsed = parseConfig(
    {
      VALETKEY_PORT: '0',
      VALETKEY_DATABASE_URL: 'file::memory:',
      VALETKEY_ADMIN_KEY: adminKey,
      VALETKEY_OUTBOUND_ALLOW: '127.0.0.1,localhost',
    },
    () => '{}',
  );
  if (!parsed.ok) throw new Error(parsed.issues.join('\n'));
  const { url, stop } = await start(parsed.config, createLogger('silent'));
  return { url, adminKey, stop };
}

const inWords = (error: unknown): string =>
  error instanceof Error && error.cause !== undefined ? `${error}: ${error.cause}` : String(error);

/** Runs scenarios that the relay posts. */
async function startControl(broker: Broker) {
  let scenarios = 0;
  const lanes: Promise<unknown>[] = Array(AT_A_TIME).fill(Promise.resolve());
  const refusals = new Map<string, string>();
  const server = createServer(async (request, response) => {
    const scenario = (await json(request)) as Scenario;
    try {
      if (!scenario.name.startsWith('auth/')) throw new Error('no scenario of authorization');
      const id = `scenario-${++scenarios}`;
      const lane = scenarios % AT_A_TIME;
      const run = lanes[lane]!.then(() => runScenario(broker, scenario, id));
      lanes[lane] = run.catch(() => undefined);
      await run;
      response.end();
    } catch (error) {
      refusals.set(`${scenario.revision} ${scenario.name}`, inWords(error));
      response.writeHead(500).end(inWords(error));
    }
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return { url, refusals, close: () => server.closeAllConnections() ?? server.close() };
}

/** Runs all scenarios of the revision at the same time; the checks of each, by its name. */
async function runSuite(revision: string, control: string, results: string): Promise<Map<string, Check[]>> {
  // A shell reads it.
  const command = [process.execPath, relay, control].map((word) => `'${word}'`).join(' ');
  const args = [
    cli,
    'client',
    '--command',
    command,
    '--requirements',
    revision,
    '--output-dir',
    results,
    '--timeout',
    `${SUITE_TIMEOUT_MS}`,
  ];
  const suite = spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'ignore'], timeout: SUITE_TIMEOUT_MS });
  await once(suite, 'exit');
  return new Map(
    globSync('auth/*/checks.json', { cwd: results }).map((path) => [
      dirname(path).replace(/-\d{4}-\d\d-\d\dT[\dZ-]+$/, ''),
      JSON.parse(readFileSync(join(results, path), 'utf8')) as Check[],
    ]),
  );
}

const results = mkdtempSync(join(tmpdir(), 'valetkey-conformance-'));
const broker = await startBroker();
const control = await startControl(broker);
let failed = 0;
for (const revision of REVISIONS) {
  const checks = await runSuite(revision, control.url, join(results, revision));
  const required = requiredScenarios(revision);
  console.log(`\nMCP ${revision}: ${required.length} required scenarios of authorization`);
  for (const name of required) {
    const all = checks.get(name) ?? [];
    const wrong = all.filter(({ status }) => status === 'FAILURE' || status === 'WARNING');
    const passed = all.filter(({ status }) => status === 'SUCCESS').length;
    const ok = wrong.length === 0 && passed > 0;
    if (!ok) failed++;
    console.log(`${ok ? 'passed' : 'FAILED'}  ${name}  (${passed} checks)`);
    for (const { id, description } of wrong) console.log(`        ${id}: ${description}`);
    const refusal = ok ? undefined : control.refusals.get(`${revision} ${name}`);
    if (refusal !== undefined) console.log(`        the client ended with: ${refusal}`);
  }
}
control.close();
await broker.stop();
rmSync(results, { recursive: true, force: true });
console.log(failed === 0 ? '\nAll required scenarios pass.' : `\n${failed} required scenarios fail.`);
process.exitCode = failed === 0 ? 0 : 1;
