// The commands for what third parties send, what is told of it, and where signals are received.
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { createTerminal, type Valetkey } from '../support/terminal.ts';
import { startTeamSetup, type TeamSetup } from '../support/webhook-sender.ts';

let team: TeamSetup;
let valetkey: Valetkey;
beforeAll(async () => {
  team = await startTeamSetup();
  valetkey = createTerminal({ VALETKEY_URL: team.broker.url, VALETKEY_KEY: team.broker.adminKey });
});
afterAll(() => team.close());

async function ok(...args: string[]): Promise<string> {
  const { code, out, err } = await valetkey(args);
  expect({ code, err }, args.join(' ')).toEqual({ code: 0, err: '' });
  return out;
}
const lines = (text: string) => text.split('\n').filter((line) => line !== '');

test('webhooks: one is listed, shown with its body, and processed again once its connection is there', async () => {
  const event = { id: 'EvCli', type: 'message', team: 'CLI' };
  expect((await team.send(event)).status).toBe(200);
  const row = await vi.waitFor(
    async () => {
      const [first = ''] = lines(await ok('webhooks', 'list', '--integration', 'team', '--status', 'unmatched'));
      expect(first).toContain('\tteam\tunmatched\t\tmessage\t1\t');
      return first;
    },
    { timeout: 30_000 },
  );
  const [id = ''] = row.split('\t');
  expect(await ok('webhooks', 'show', id)).toContain(`body\t${JSON.stringify(event)}\n`);
  const connection = await team.connect('cli', 'CLI');
  expect(await ok('webhooks', 'process', id)).toContain(`id\t${id}\n`);
  await vi.waitFor(async () => expect(await ok('webhooks', 'show', id)).toContain('status\tlocated\n'), {
    timeout: 30_000,
  });
  expect(await ok('webhooks', 'list', '--connection', connection)).toContain(id);
  expect((await team.send(event, { headers: { 'x-team-signature': 'v0=00' } })).status).toBe(401);
  await vi.waitFor(
    async () =>
      expect(await ok('webhooks', 'list', '--status', 'refused', '--limit', '1')).toContain(
        '\trefused\twrong_signature\t',
      ),
    { timeout: 30_000 },
  );
  expect(await ok('webhooks', 'handshake', 'team', '--minutes', '5')).toMatch(/^handshake_until\t20/m);
  expect(await valetkey(['webhooks', 'show', 'whr_none'])).toMatchObject({ code: 1, out: '' });
});

test('events: --follow prints what happens from then on, as JSON lines too; show has one, --all what is kept', async () => {
  const follow = (...more: string[]) =>
    ok('events', '--follow', '--type', 'connection.created', '--limit', '2', ...more);
  let isDone = false;
  const following = Promise.all([follow(), follow('--json')]).finally(() => {
    isDone = true;
  });
  // It begins at the end of the feed, whenever it gets there.
  for (let i = 0; !isDone; i++) {
    await team.connect(`followed-${i}`, `F${i}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
  const [table, json] = await following;
  expect(lines(table)).toHaveLength(2);
  expect(lines(table)[0]).toMatch(/\tconnection\.created\tteam\tfollowed-\d+\tcon_\w+\t-\tmsg_\w+$/);
  const [first, second] = lines(json).map((line) => JSON.parse(line) as { id: string; data: { sequence: number } });
  expect([first!.data.sequence, second!.data.sequence]).toEqual([1, 1]);
  expect(await ok('events', 'show', first!.id)).toContain(`id\t${first!.id}\n`);
  const all = await ok('events', '--all', '--type', 'connection.created');
  for (const { id } of [first!, second!]) expect(all).toContain(id);
  expect(lines(await ok('events', '--limit', '1'))).toHaveLength(1);
});

test('signals: where an integration receives them, and nothing of those that do not', async () => {
  const setup = {
    provider: 'generic-oidc',
    client_id: 'client',
    client_secret: 's',
    params: { issuer: 'https://idp.example' },
    signals: { issuer: 'https://ssf.idp.example', poll_url: 'https://ssf.idp.example/poll', token: 'a poll token' },
  };
  expect((await team.broker.ask('PUT', '/v1/integrations/idp', setup)).status).toBe(201);
  const { url } = team.broker;
  const row = [
    'idp',
    `${url}/signals/idp`,
    `${url}/logout/idp`,
    'https://ssf.idp.example',
    'https://ssf.idp.example/poll',
  ];
  expect(await ok('signals', 'list')).toBe(`${row.join('\t')}\n`);
  const shown = await ok('signals', 'show', 'idp');
  expect(shown).toContain('token_set\ttrue\n');
  expect(shown).not.toContain('a poll token');
  expect(await valetkey(['signals', 'show', 'team'])).toMatchObject({
    code: 1,
    err: expect.stringContaining('no signals'),
  });
});
