// Receiving webhooks: verified, stored with an fsync, answered, and then processed by the same process.
import { createHmac, randomBytes } from 'node:crypto';
import { experiment, interleave, startShipped, tally } from '../harness.ts';
import { seed } from '../seed.ts';

const PATH = '/webhooks/bench-0';
const CONNECTIONS = 64;

/** By Standard Webhooks 1.0.0; each is another event. */
function signed(key: Buffer): string {
  const id = `msg_${randomBytes(12).toString('hex')}`;
  const at = Math.floor(Date.now() / 1_000);
  const body = JSON.stringify({ type: 'invoice.paid', id, data: { text: 'x'.repeat(900) } });
  const mac = createHmac('sha256', key).update(`${id}.${at}.${body}`).digest('base64');
  const headers = [
    'host: 127.0.0.1',
    'content-type: application/json',
    `content-length: ${body.length}`,
    `webhook-id: ${id}`,
    `webhook-timestamp: ${at}`,
    `webhook-signature: v1,${mac}`,
  ];
  return `POST ${PATH} HTTP/1.1\r\n${headers.join('\r\n')}\r\n\r\n${body}`;
}

export const webhooks = experiment({
  figures: {
    webhooks: {
      title: 'Webhooks received: verified and durable',
      baseline: '`node:http` reading the same bodies',
      better: 'higher',
      floor: 0.06,
      goal: 0.12,
    },
  },
  async run({ load, plain, defer, rounds, sliceMs, quick }) {
    const perRound = quick ? 1_500 : 8_000;
    const seeded = await seed({ connections: 1 });
    defer(seeded.remove);
    const adminKey = randomBytes(32).toString('base64url');
    const broker = await startShipped({ env: { ...seeded.env, VALETKEY_ADMIN_KEY: adminKey } });
    defer(broker.stop);
    const key = randomBytes(32);
    const at = new URL('/v1/integrations/bench-0', broker.url);
    const headers = { authorization: `Bearer ${adminKey}`, 'content-type': 'application/json' };
    const { provider, client_id, params } = (await (await fetch(at, { headers })).json()) as Record<string, unknown>;
    const webhook = { secrets: [`whsec_${key.toString('base64')}`] };
    const put = await fetch(at, {
      method: 'PUT',
      headers,
      body: JSON.stringify({ provider, client_id, params, webhook }),
    });
    if (!put.ok) throw new Error(`no integration: ${await put.text()}`);

    const plainUrl = await plain.ask('answer', { headers: { 'content-length': '0' }, body: '' });
    const tallies = { ours: tally(load, broker.pid), plain: tally(load, plain.pid) };
    const perSecond = async (name: keyof typeof tallies, url: string, count?: number) => {
      if (count !== undefined) {
        const requests = Array.from({ length: count + CONNECTIONS }, () => signed(key));
        await load.ask('prepare', { name: 'webhooks', requests });
      }
      const ms = count === undefined ? sliceMs : 60_000;
      const job = { url, requests: 'webhooks', connections: CONNECTIONS, ms, ...(count !== undefined && { count }) };
      const { answered, seconds } = await tallies[name].drive(job);
      return answered / seconds;
    };
    const measured = await interleave(rounds + 1, {
      ours: () => perSecond('ours', broker.url, perRound),
      baseline: () => perSecond('plain', plainUrl),
    });
    const notes = [
      `bodies of about 1 kB, ${CONNECTIONS} connections; the same process finds their connections and hands them on meanwhile`,
      ...tallies.ours.against(tallies.plain),
      ...tallies.ours.notes('webhooks'),
      ...tallies.plain.notes('node:http'),
    ];
    return {
      webhooks: { ours: measured.ours.slice(1), baseline: measured.baseline.slice(1), unit: 'requests/s', notes },
    };
  },
});
