// What /metrics of a running broker renders once all that it counts has happened: each metric with its kind and labels.
import Database from 'better-sqlite3';
import { startWorld, type World } from './broker-setup.ts';

export interface Family {
  name: string;
  kind: string;
  help: string;
  /** The names under which it can be asked for, and the labels of each. */
  series: Map<string, Set<string>>;
  /** Of a histogram. */
  bounds: Set<string>;
}

export async function renderedMetrics(): Promise<Family[]> {
  const world = await startWorld();
  try {
    await happen(world);
    const text = await (await fetch(new URL('/metrics', world.broker.url))).text();
    return familiesIn(text);
  } finally {
    await world.close();
  }
}

/** A refresh with life left, and one that is due; an owner who says no; a revocation; and a store that fails. */
async function happen({ broker, adopt, inSeconds, refreshes }: World): Promise<void> {
  const id = await adopt('ada', { access_token: 'a', expires_at: inSeconds(600) });
  await broker.ask('GET', `/v1/connections/${id}/token`);
  await broker.ask('POST', `/v1/connections/${id}/refresh`, {});
  if (refreshes() !== 1) throw new Error('nothing was refreshed');
  await adopt('grace');
  await decline(broker, 'alan');
  await broker.ask('DELETE', `/v1/connections/${id}`);
  const inside = new Database(broker.database);
  inside.exec('alter table connect_sessions rename to elsewhere');
  inside.close();
  await broker.ask('POST', '/v1/connect-sessions', { integration: 'acme', owner: 'edsger' });
}

async function decline({ url, ask }: World['broker'], owner: string): Promise<void> {
  const { body } = await ask('POST', '/v1/connect-sessions', { integration: 'acme', owner });
  const begun = await fetch(String(body.url), { redirect: 'manual' });
  const state = new URL(begun.headers.get('location') ?? '').searchParams.get('state');
  const cookie = begun.headers
    .getSetCookie()
    .map((one) => one.split(';')[0])
    .join('; ');
  const back = `/oauth2/callback/acme?error=access_denied&state=${state}`;
  await fetch(new URL(back, url), { headers: { cookie }, redirect: 'manual' });
}

function familiesIn(text: string): Family[] {
  const families = new Map<string, Family>();
  const helps = new Map([...text.matchAll(/^# HELP (\S+) (.*)$/gm)].map(([, name, help]) => [name!, help!]));
  for (const [, name, kind] of text.matchAll(/^# TYPE (\S+) (\S+)$/gm))
    families.set(name!, {
      name: name!,
      kind: kind!,
      help: helps.get(name!) ?? '',
      series: new Map(),
      bounds: new Set(),
    });
  for (const [, series, labels = ''] of text.matchAll(/^([a-z]\w*)(?:\{(.*)\})? \S+$/gm)) {
    const family = families.get(series!) ?? families.get(series!.replace(/_(bucket|sum|count)$/, ''));
    if (!family) throw new Error(`${series} has no type`);
    const known = family.series.get(series!) ?? new Set();
    for (const [, label] of labels.matchAll(/(\w+)="(?:[^"\\]|\\.)*"/g)) known.add(label!);
    const bound = /\ble="([^"]*)"/.exec(labels)?.[1];
    if (bound !== undefined) family.bounds.add(bound);
    family.series.set(series!, known);
  }
  return [...families.values()];
}
