// JWT verification over HTTP: distinct tokens, and the same few repeated.
import { experiment, interleave, request, sample, startShipped, tally } from '../harness.ts';
import { seed } from '../seed.ts';
import type { Provider } from '../servers/provider.ts';
import { startRemote } from '../servers/remote.ts';

const REPEATED = 100;
const BASELINE = '`node:http` reading the same request and answering the same bytes';
const PATH = '/v1/jwt/verify';
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
    const provider = await startRemote<Provider>('provider');
    defer(provider.stop);
    const seeded = await seed({ connections: 1, trustedIssuer: await provider.ask('url', null) });
    defer(seeded.remove);
    const broker = await startShipped(seeded);
    defer(broker.stop);
    const requests = async (count: number) =>
      (await provider.ask('tokens', count)).map((token) => request('POST', PATH, seeded.callerKey, { token }));

    await load.ask('prepare', { name: 'repeated', requests: await requests(REPEATED) });
    for (let round = 0; round <= rounds; round++)
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
    const perSecond = async (name: keyof typeof tallies, url: string, wanted: string, count?: number) => {
      const job = { url, requests: wanted, connections: 32, ms: count === undefined ? sliceMs : 60_000 };
      const { answered, seconds } = await tallies[name].drive({ ...job, ...(count !== undefined && { count }) });
      return answered / seconds;
    };
    let round = 0;
    const measured = await interleave(rounds + 1, {
      baseline: () => perSecond('plain', plainUrl, 'repeated'),
      distinct: () => perSecond('distinct', broker.url, `distinct ${round++}`, distinct),
      repeated: () => perSecond('repeated', broker.url, 'repeated'),
    });
    const baseline = measured.baseline.slice(1);
    const notes = (name: 'distinct' | 'repeated') => [
      `answers of ${verdict.body.length} bytes, 32 connections`,
      ...tallies[name].against(tallies.plain),
      ...tallies[name].notes(name),
      ...tallies.plain.notes('node:http'),
    ];
    return {
      jwt: { ours: measured.distinct.slice(1), baseline, unit, notes: notes('distinct') },
      'jwt-repeated': { ours: measured.repeated.slice(1), baseline, unit, notes: notes('repeated') },
    };
  },
});
