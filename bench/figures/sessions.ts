// Warm token reads with the tokens of agent sessions, against the same reads with the key of their caller.
import { randomBytes } from 'node:crypto';
import { experiment, type FigureSpec, interleave, request, startShipped, tally } from '../harness.ts';
import { seed } from '../seed.ts';

/** As in reads.ts. */
const TOKEN = 940;
/** Each has an owner of its own, and two sessions. */
const CONNECTIONS = 100;
/** Creations in flight. */
const AT_ONCE = 10;

const figure = (title: string, floor: number): FigureSpec => ({
  ...{ title, floor, goal: 0.97 },
  baseline: 'the same read with an API key',
  better: 'higher',
});

export const sessions = experiment({
  figures: {
    session: figure('warm token read by id with an agent session, 32 connections', 0.9),
    'session-jwt': figure('the same with a session whose token is a JWT', 0.7),
  },
  async run({ load, rounds, sliceMs, defer }) {
    const seeded = await seed({ connections: CONNECTIONS, token: TOKEN });
    defer(seeded.remove);
    const adminKey = randomBytes(32).toString('hex');
    const broker = await startShipped({ env: { ...seeded.env, VALETKEY_ADMIN_KEY: adminKey } });
    defer(broker.stop);
    const { idOf, integrationOf, ownerOf } = seeded;

    async function post(path: string, key: string, body: object): Promise<Record<string, string>> {
      const response = await fetch(new URL(path, broker.url), {
        method: 'POST',
        headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
        body: JSON.stringify(body),
      });
      const text = await response.text();
      if (response.status !== 201) throw new Error(`${path}: ${response.status} ${text}`);
      return JSON.parse(text);
    }
    const grants = [{ actions: ['token', 'sessions'], integrations: ['bench-*'], owners: ['user_*'] }];
    const made = await post('/v1/callers', adminKey, { name: 'app', grants, audiences: [broker.url] });
    const callerKey = String(made.key);
    const tokensOf = async (more: object) => {
      const tokens: string[] = [];
      for (let from = 0; from < CONNECTIONS; from += AT_ONCE)
        tokens.push(
          ...(await Promise.all(
            Array.from({ length: AT_ONCE }, async (_, i) => {
              const one = { owner: ownerOf(from + i), integrations: [integrationOf(from + i)], purpose: 'bench' };
              return String((await post('/v1/sessions', callerKey, { ...one, actions: ['token'], ...more })).token);
            }),
          )),
        );
      return tokens;
    };
    const credentials = {
      key: Array.from({ length: CONNECTIONS }, () => callerKey),
      session: await tokensOf({}),
      jwt: await tokensOf({ format: 'jwt', audience: broker.url }),
    };
    for (const [name, ofAll] of Object.entries(credentials)) {
      const requests = ofAll.map((credential, n) => request('GET', `/v1/connections/${idOf(n)}/token`, credential));
      await load.ask('prepare', { name, requests });
    }
    const drive = (name: keyof typeof credentials) => {
      const counted = tally(load, broker.pid);
      const slice = async () => {
        const job = { url: broker.url, requests: name, connections: 32, ms: sliceMs };
        const { answered, seconds } = await counted.drive(job);
        return answered / seconds;
      };
      return { counted, slice };
    };
    const [key, session, jwt] = [drive('key'), drive('session'), drive('jwt')];
    const sides = { key: key.slice, session: session.slice, jwt: jwt.slice };
    // Warm-up: for the compiler and the caches.
    await interleave(1, sides);
    const measured = await interleave(rounds, sides);
    const notes = (name: string, { counted }: typeof key) => [
      `${CONNECTIONS} connections in rotation, each read with its own session`,
      ...counted.against(key.counted),
      ...counted.notes(name),
      ...key.counted.notes('API key'),
    ];
    const baseline = measured.key;
    const unit = 'requests/s';
    return {
      session: { ours: measured.session, baseline, unit, notes: notes('opaque token', session) },
      'session-jwt': { ours: measured.jwt, baseline, unit, notes: notes('JWT', jwt) },
    };
  },
});
