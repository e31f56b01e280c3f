// The webhooks of every vendor against the catalogue's data: accepted as the vendor signs them, and refused with anything
// changed. The signatures are made by the vendors' rows, not by the engine.
import { readdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { loadCatalogue } from '../../src/catalogue/load.ts';
import type { WebhookEvent, WebhookVerdict } from '../../src/ports/webhook-verifier.ts';
import { createEngine, type Given, keysOf, NOW, reasonOf, requestOf, URL_CALLED } from '../adapters/webhooks/engine.ts';
import { providersOf } from '../support/entries.ts';
import type { Vendor } from './emulator/vendor.ts';
import { type Covered, published, root, type SentWebhook, sendingOf, type VendorWebhook } from './emulator/webhook.ts';

const folder = new URL('./vendors/', import.meta.url);
const vendors = await Promise.all(
  readdirSync(folder).map(async (file) => ((await import(new URL(file, folder).href)) as { default: Vendor }).default),
);
const providers = providersOf(loadCatalogue([]));
const engine = createEngine({
  fetch: async (url) => ({ status: published.has(url) ? 200 : 404, text: async () => published.get(url) ?? '' }),
  roots: [root.pem],
});

const dialectOf = (provider: string) => providers.get(provider)!.webhooks;
const receives = (provider: string) =>
  Object.values(dialectOf(provider)).some(({ receiver }) => receiver === 'webhooks');
const OTHER_KEY = 'an0therKeyAn0therKeyAn0therKeyAn';

interface Change {
  key?: string;
  at?: Date;
  isOtherAlgorithm?: boolean;
  request?: (sent: SentWebhook) => SentWebhook;
}

function verify(
  provider: string,
  row: VendorWebhook,
  { key, at, isOtherAlgorithm, request }: Change = {},
  mayLearnKey = false,
) {
  const { secrets = [], clientSecret = null, clientId = 'client-1', keys, hook } = row;
  const own = key ?? keys?.own ?? secrets[0] ?? clientSecret ?? '';
  const sent = row.send(sendingOf(URL_CALLED, at ?? new Date(NOW), own, isOtherAlgorithm));
  const { url = URL_CALLED, ...changed }: Given = request?.(sent) ?? sent;
  const whole = requestOf({ url, ...changed });
  const all = keysOf({ secrets, clientSecret, clientId, hasHook: hook ?? false, mayLearnKey });
  const { body: _, ...head } = whole;
  const early = engine.precheck(dialectOf(provider), head, all);
  return early ? Promise.resolve<WebhookVerdict>(early) : engine.verify(dialectOf(provider), whole, all);
}

/** Text in another encoding of the same length, which is a signature of nothing. */
const tampered = (text: string): string =>
  text.replace(/[0-9A-Za-z](?=[^0-9A-Za-z]*$)/, (last) => (last === '0' ? '1' : '0'));

function changesOf(row: VendorWebhook, covered: Covered): [string, Change][] {
  const name = covered.startsWith('header:') ? covered.slice('header:'.length) : '';
  switch (covered) {
    case 'body':
      return [
        ['a space behind the body', { request: (sent) => ({ ...sent, body: `${sent.body} ` }) }],
        [
          'a digit of the body',
          {
            request: (sent) => ({
              ...sent,
              body: sent.body.replace(/\d(?=\D*$)/, (d) => String((Number(d) + 1) % 10)),
            }),
          },
        ],
      ];
    case 'url':
      return [
        [
          'another path',
          { request: (sent) => ({ ...sent, url: (sent.url ?? URL_CALLED).replace('/acme', '/acme2') }) },
        ],
        [
          'another query',
          {
            request: (sent) => ({ ...sent, url: `${sent.url ?? URL_CALLED}${sent.url?.includes('?') ? '&' : '?'}b=1` }),
          },
        ],
      ];
    case 'time':
      return [
        ['sent two hours ago', { at: new Date(NOW - 7_200_000) }],
        ['sent in two hours', { at: new Date(NOW + 7_200_000) }],
      ];
    case 'key':
      return [['another key', { key: row.keys?.other ?? OTHER_KEY }]];
    case 'algorithm':
      return [['another algorithm', { isOtherAlgorithm: true }]];
    default:
      return [
        [`without ${name}`, { request: (sent) => ({ ...sent, headers: without(sent.headers, name) }) }],
        [
          `another ${name}`,
          { request: (sent) => ({ ...sent, headers: { ...sent.headers, [name]: tampered(sent.headers[name]!) } }) },
        ],
      ];
  }
}

const without = (headers: Record<string, string>, name: string) =>
  Object.fromEntries(Object.entries(headers).filter(([one]) => one !== name));

const shownLocators = ({ locators }: WebhookEvent) =>
  locators.flatMap(({ key, values }) => values.map((value) => `${key}=${value}`));

const rows = vendors.flatMap(({ provider, webhooks = [] }) => webhooks.map((row) => [provider, row] as const));

it('every system that sends webhooks has a row', () => {
  const without = [...providers.keys()].filter((id) => receives(id) && !rows.some(([provider]) => provider === id));
  expect(without).toEqual([]);
});

describe.each(rows.map(([provider, row]) => [`${provider}: ${row.name}`, provider, row] as const))(
  '%s',
  (_, provider, row) => {
    if (row.handshake) {
      const { status = 200, body, header, learns } = row.handshake;
      it('handshake: answered', async () => {
        const verdict = await verify(provider, row, {}, learns !== undefined);
        expect(verdict).toMatchObject({ kind: 'handshake', learnedSecret: learns ?? null, answer: { status } });
        if (verdict.kind !== 'handshake') return;
        if (body !== undefined) expect(verdict.answer.body).toBe(body);
        if (header) expect(verdict.answer.headers[header[0]]).toBe(header[1]);
      });
      if (learns !== undefined)
        it('handshake: refused outside of the window', async () => {
          expect(reasonOf(await verify(provider, row))).not.toBe('handshake');
        });
    } else
      it('accepted', async () => {
        const verdict = await verify(provider, row);
        expect(reasonOf(verdict)).toBe('verified');
        if (verdict.kind !== 'verified') return;
        const { count = 1, id, type, locator, deauthorization = false, hold = null } = row.event ?? {};
        expect(verdict.events).toHaveLength(count);
        const [first] = verdict.events;
        if (id !== undefined) expect(first?.id).toBe(id);
        if (type !== undefined) expect(first?.type).toBe(type);
        if (locator !== undefined) expect(shownLocators(first!)).toContain(locator);
        expect(first?.isDeauthorization ?? false).toBe(deauthorization);
        expect(first?.hold ?? null).toBe(hold);
        expect(verdict.isSenderAuthenticated).toBe(row.isAuthenticated ?? true);
        if (row.answer) expect(verdict.answer).toMatchObject(row.answer);
      });

    const changes = (row.covers ?? ['body', 'key', 'algorithm']).flatMap((covered) => changesOf(row, covered));
    if (changes.length > 0)
      it('refused with anything changed', async () => {
        const reasons = await Promise.all(
          changes.map(async ([what, change]) => [what, reasonOf(await verify(provider, row, change))]),
        );
        const taken = reasons.filter(([, reason]) => reason === 'verified' || reason === 'handshake');
        expect(taken).toEqual([]);
      });
    // Others need none: their vendors publish theirs.
    const isConfigured = row.secrets ?? row.clientSecret ?? row.hook ?? row.handshake;
    it.runIf(isConfigured !== undefined)('refused without a key', async () => {
      const { secrets: _, clientSecret: __, hook: ___, ...bare } = row;
      const verdict = await verify(provider, {
        ...bare,
        keys: row.keys ?? { own: row.secrets?.[0] ?? row.clientSecret ?? '', other: '' },
      });
      expect(verdict.kind).toBe(row.handshake && !needsKey(row) ? 'handshake' : 'refused');
    });
  },
);

/** Only an echo needs none. */
const needsKey = ({ covers, handshake }: VendorWebhook): boolean =>
  handshake?.learns !== undefined || handshake?.needsKey === true || covers === undefined || covers.includes('key');
