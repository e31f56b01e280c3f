// The views of the console over many connections: how long the slowest of them takes.
import { createAdmin } from '../endpoints.ts';
import { type Bench, experiment, median } from '../harness.ts';
import { startServer } from '../postgres.ts';
import { type Seeded, seed } from '../seed.ts';
import type { Broker } from '../servers/broker.ts';
import { startRemote } from '../servers/remote.ts';

const INTEGRATIONS = 20;
const BOUND_MS = 100;
/** What an admin opens first, and searches of every kind: a rare hit, many hits, none. */
const viewsOf = ({ idOf, ownerOf }: Seeded, connections: number): string[] => [
  '',
  '/connections',
  `/connections?q=${idOf(connections - 1)}`,
  `/connections?q=${ownerOf(connections >> 1)}`,
  '/connections?q=user_1',
  '/connections?q=no+such+owner',
  `/connections?owner=${ownerOf(7)}`,
  '/connections?integration=bench-3&status=active',
  '/connections?status=failing',
  '/connections?status=needs_reauth',
  '/connections?reason=consent_withdrawn',
  '/connections?due=soon',
  '/connections?due=grant',
  `/connections/${idOf(connections - 2)}`,
  '/integrations',
  '/integrations/new',
  '/integrations/bench-0',
  '/callers',
  '/events',
  '/events/deliveries',
  '/events/received',
  '/limits',
  '/audit',
  '/system',
];

/** Signs in with a link; returns what fetches a page and how long that took, in ms. */
async function signIn(url: string, link: string): Promise<(view: string) => Promise<number>> {
  const { pathname } = new URL(link);
  const headers = { 'sec-fetch-site': 'same-origin', 'content-type': 'application/x-www-form-urlencoded' };
  const opened = await fetch(new URL(pathname, url), { method: 'POST', headers, body: '', redirect: 'manual' });
  const cookie = opened.headers
    .getSetCookie()
    .map((line) => line.split(';')[0])
    .join('; ');
  return async (view) => {
    const began = performance.now();
    const response = await fetch(new URL(`/console${view}`, url), { headers: { cookie }, redirect: 'manual' });
    await response.text();
    const took = performance.now() - began;
    if (response.status !== 200) throw new Error(`/console${view}: ${response.status}`);
    return took;
  };
}

async function measure({ defer, rounds }: Bench, seeded: Seeded, env: Record<string, string>, connections: number) {
  const admin = createAdmin(seeded);
  const broker = await startRemote<Broker>('broker', { env: { ...admin.env, ...env } });
  defer(broker.stop);
  const url = await broker.ask('url', null);
  const link = await admin.ask(url, 'POST', '/v1/console-links', { role: 'admin' });
  const open = await signIn(url, String(link.url));
  const views = viewsOf(seeded, connections);
  const times = new Map(views.map((view) => [view, [] as number[]]));
  for (let round = 0; round <= rounds; round++)
    for (const view of views) {
      const took = await open(view);
      // The first of each compiles statements and templates.
      if (round > 0) times.get(view)!.push(took);
    }
  const slowest = views.toSorted((a, b) => median(times.get(b)!) - median(times.get(a)!)).slice(0, 4);
  const inWords = slowest.map((view) => `/console${view} ${median(times.get(view)!).toFixed(1)} ms`).join(', ');
  return {
    ours: times.get(slowest[0]!)!,
    baseline: times.get(slowest[0]!)!.map(() => BOUND_MS),
    unit: 'ms',
    notes: [`${connections} connections, ${views.length} views, with the time of the request; the slowest: ${inWords}`],
  };
}

const spec = { baseline: `${BOUND_MS} ms`, better: 'lower', floor: 1, goal: 0.5 } as const;

export const consoleViews = experiment({
  figures: {
    'console-views': { title: 'the slowest view of the console with 1,000,000 connections, SQLite', ...spec },
  },
  async run(bench) {
    const connections = bench.quick ? 20_000 : 1_000_000;
    const seeded = await seed({ connections, integrations: INTEGRATIONS });
    bench.defer(seeded.remove);
    return { 'console-views': await measure(bench, seeded, {}, connections) };
  },
});

export const consoleViewsPostgres = experiment({
  figures: {
    'console-views-postgres': { title: 'the same with 200,000 connections, PostgreSQL', ...spec },
  },
  async run(bench) {
    const connections = bench.quick ? 5_000 : 200_000;
    const server = await startServer();
    bench.defer(server.stop);
    const database = await server.database({ connections, integrations: INTEGRATIONS });
    const { VALETKEY_DATABASE_URL, VALETKEY_DATA_DIR } = database.env(0);
    const env = { VALETKEY_DATABASE_URL: VALETKEY_DATABASE_URL!, VALETKEY_DATA_DIR: VALETKEY_DATA_DIR! };
    return { 'console-views-postgres': await measure(bench, database.seeded, env, connections) };
  },
});
