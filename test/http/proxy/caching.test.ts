// Caches between services and the broker: what an API lets them keep is not given to another owner.
import { Agent, cacheStores, interceptors, request } from 'undici';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { answer } from '../../support/byte-upstream.ts';
import { type ProxySetup, startProxySetup } from '../../support/proxy-setup.ts';

let setup: ProxySetup;
beforeAll(async () => {
  setup = await startProxySetup();
  await setup.connect('bearer', 'alice');
  await setup.connect('bearer', 'bob');
  await setup.connect('bearer', 'bob', undefined, { label: 'work' });
});
afterAll(() => setup.close());

const GITHUB = [
  'Cache-Control: private, max-age=60, s-maxage=60',
  'Vary: Accept, Authorization, Cookie, X-GitHub-OTP,Accept-Encoding, Accept, X-Requested-With',
];
const PUBLIC = ['Cache-Control: public, max-age=60', 'CDN-Cache-Control: max-age=600'];

test.each([
  ['shared', GITHUB],
  ['private', GITHUB],
  ['shared', PUBLIC],
  ['private', PUBLIC],
] as const)('a %s cache gives each connection its own answer: %j', async (type, headers) => {
  setup.upstream.reset();
  let count = 0;
  setup.upstream.onHead = ({ socket, line }) => socket.write(answer(`${++count} ${line}`, { headers: [...headers] }));
  const dispatcher = new Agent().compose(
    interceptors.cache({ store: new cacheStores.MemoryCacheStore(), type, methods: ['GET'] }),
  );
  const read = async (more: Record<string, string>) => {
    const answered = await request(`${setup.broker.url}/v1/proxy/bearer/user`, {
      ...{ dispatcher, headers: { authorization: `Bearer ${setup.broker.adminKey}`, ...more } },
    });
    return (await answered.body.text()).split(' ')[0];
  };
  const bob = { 'valetkey-owner': 'bob' };
  const calls = [
    { 'valetkey-owner': 'alice' },
    { ...bob, 'valetkey-label': '' },
    { ...bob, 'valetkey-label': 'work' },
    { ...bob, 'valetkey-label': 'work', 'valetkey-host': 'files' },
  ];
  const first = [];
  for (const call of calls) first.push(await read(call));
  expect(first).toEqual(['1', '2', '3', '4']);
  await dispatcher.close();
});
