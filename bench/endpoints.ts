// Webhook endpoints of a benchmarked broker, and events for them that are written past it, thousands at once.
import { randomBytes } from 'node:crypto';
import Sqlite from 'better-sqlite3';
import type { Seeded } from './seed.ts';

const ALL_OF_LOOPBACK = '127.0.0.0/8';

export interface Admin {
  /** Of a broker that the admin key is for. */
  env: Record<string, string>;
  /** Throws when the answer is not a success. */
  ask(url: string, method: string, path: string, body?: object): Promise<Record<string, unknown>>;
}

export function createAdmin(seeded: Seeded): Admin {
  const key = randomBytes(32).toString('base64url');
  return {
    env: { ...seeded.env, VALETKEY_ADMIN_KEY: key, VALETKEY_OUTBOUND_ALLOW: `${ALL_OF_LOOPBACK},localhost` },
    async ask(url, method, path, body) {
      const response = await fetch(new URL(path, url), {
        method,
        headers: { authorization: `Bearer ${key}`, ...(body && { 'content-type': 'application/json' }) },
        ...(body && { body: JSON.stringify(body) }),
      });
      const text = await response.text();
      if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
      return text === '' ? {} : JSON.parse(text);
    },
  };
}

/** The URL of the nth host: each has an address of its own. */
export const hostOf = (n: number, port: number, path: string): string =>
  `http://127.0.${1 + (n >> 8)}.${n & 255}:${port}${path}`;

/** Creates an endpoint for each URL, in this order; returns their ids. */
export async function addEndpoints(admin: Admin, broker: string, urls: string[]): Promise<string[]> {
  const ids: string[] = [];
  const next = urls.entries();
  const work = async () => {
    for (const [i, url] of next)
      ids[i] = String((await admin.ask(broker, 'POST', '/v1/webhook-endpoints', { url })).id);
  };
  await Promise.all(Array.from({ length: 16 }, work));
  return ids;
}

/** Writes `count` events, each with a delivery to each of these endpoints that is due now. Returns how many deliveries. */
export function addUndelivered({ database }: Seeded, endpoints: string[], count: number): number {
  const client = new Sqlite(database, { timeout: 10_000 });
  const now = Date.now();
  const run = randomBytes(6).toString('hex');
  const event = client.prepare(
    `insert into events (id, position, type, at, data)
     values (?, (select 1 + coalesce(max(position), 0) from events), 'integration.recovered', ?, ?) returning position`,
  );
  const delivery = client.prepare(
    `insert into deliveries (id, event_id, endpoint_id, position, status, attempts, next_at, created_at)
     values (?, ?, ?, ?, 'pending', 0, ?, ?)`,
  );
  const data = JSON.stringify({ integration: { id: 'bench-0' }, error: null });
  client.transaction(() => {
    for (let n = 0; n < count; n++) {
      const id = `msg_${run}${String(n).padStart(14, '0')}`;
      const { position } = event.get(id, now, data) as { position: number };
      for (const endpoint of endpoints)
        delivery.run(`dlv_${id.slice(4)}${endpoint.slice(4)}`, id, endpoint, position, now, now);
    }
  })();
  client.pragma('wal_checkpoint(PASSIVE)');
  client.close();
  return count * endpoints.length;
}

/** How many deliveries are open. */
export function countOpen({ database }: Seeded): number {
  const client = new Sqlite(database, { readonly: true, timeout: 10_000 });
  const { open } = client.prepare('select count(*) as open from deliveries where next_at is not null').get() as {
    open: number;
  };
  client.close();
  return open;
}

/** Deletes all deliveries, in commits that a broker can write between. */
export function removeDeliveries({ database }: Seeded): void {
  const client = new Sqlite(database, { timeout: 10_000 });
  const some = client.prepare('delete from deliveries where id in (select id from deliveries limit 5000)');
  while (some.run().changes > 0);
  client.pragma('wal_checkpoint(PASSIVE)');
  client.close();
}
