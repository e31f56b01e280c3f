// JWT verification over HTTP: distinct tokens, and the same few repeated.
import { experiment, interleave, request, sample, startShipped, tally } from '../harness.ts';
import { seed } from '../seed.ts';
import type { Provider } from '../servers/provider.ts';
import { startRemote } from '../servers/remote.ts';

const REPEATED = 100;
const BASELINE = '`node:http` reading the same request and answering the same bytes';
const PATH = '/v1/jwt/verify';
/** Rounds of distinct tokens before those that count: a process that runs for weeks is one whose code was compiled. */
const WARM_UP = { whole: 8, quick: 1 };
const unit = 'requests/s';

export const jwt = experiment({
  figures: {
    jwt: {
      title: 'JWT verification, distinct RS256 tokens',
      baseline: BASELINE,
      better: 'higher',
      floor: 0.15,
      goal: 0.22,
    },
    'jwt-repeated': {
      title: 'JWT verification, repeated tokens',
      baseline: BASELINE,
      better: 'higher',
      floor: 0.45,
      goal: 0.6,
    },
  },
  async run({ load, plain, defer, rounds, sliceMs, quick }) {
    /** Tokens per round. Limited, since signing costs far more than verifying. */
    const distinct = quick ? 800 : 4_000;
    const warmUp = quick ? WARM_UP.quick : WARM_UP.whole;
    const provider = await startRemote<Provider>('provider');
    defer(provider.stop);
    const seeded = await seed({ connections: 1, trustedIssuer: await provider.ask('url', null) });
    defer(seeded.remove);
    const broker = await startShipped(seeded);
    defer(broker.stop);
    const requests = async (count: number) =>
      (await provider.ask('tokens', count)).map((token) => request('POST', PATH, seeded.callerKey, { token }));

    await load.ask('prepare', { name: 'repeated', requests: await requests(REPEATED) });
    for (let round = 0; round < warmUp + rounds; round++)
      await load.ask('prepare', { name: `distinct ${round}`, requests: await requests(distinct) });
    const [token] = await provider.ask('tokens', 1);
    const verdict = await sample(broker.url, PATH, seeded.callerKey, { token });
    if (!verdict.body.includes('"active":true')) throw new Error(`not verified: ${verdict.body}`);
    const plainUrl = await plain.ask('answer', verdict);

    const tallies = {
      distinct: tally(load, broker.pid),
      repeated: tally(load, broker.pid),
      plain: tally(load, plain.pid),
    };
    type Side = keyof typeof tallies;
    const jobs = {
      distinct: () => ({ url: broker.url, requests: `distinct ${round++}`, count: distinct, ms: 60_000 }),
      repeated: () => ({ url: broker.url, requests: 'repeated', ms: sliceMs }),
      plain: () => ({ url: plainUrl, requests: 'repeated', ms: sliceMs }),
    };
    const perSecond = async (side: Side) => {
      const { answered, seconds } = await tallies[side].drive({ ...jobs[side](), connections: 32 });
      return answered / seconds;
    };
    let round = 0;
    while (round < warmUp) await load.ask('drive', { ...jobs.distinct(), connections: 32 });
    for (const side of ['repeated', 'plain'] as const) await load.ask('drive', { ...jobs[side](), connections: 32 });
    const { baseline, ...measured } = await interleave(rounds, {
      baseline: () => perSecond('plain'),
      distinct: () => perSecond('distinct'),
      repeated: () => perSecond('repeated'),
    });
    const notes = (name: 'distinct' | 'repeated') => [
      `answers of ${verdict.body.length} bytes, 32 connections, after ${warmUp * distinct} distinct ones`,
      ...tallies[name].against(tallies.plain),
      ...tallies[name].notes(name),
      ...tallies.plain.notes('node:http'),
    ];
    return {
      jwt: { ours: measured.distinct, baseline, unit, notes: notes('distinct') },
      'jwt-repeated': { ours: measured.repeated, baseline, unit, notes: notes('repeated') },
    };
  },
});
