// Certificates at a URL: the host, the name and the chain count, all three. And what is fetched at all.
import { describe, expect, it } from 'vitest';
import { loadCatalogue } from '../../../src/catalogue/load.ts';
import { published, root, rsa, sendingOf } from '../../catalogue/emulator/webhook.ts';
import { transmission } from '../../catalogue/vendors/paypal.ts';
import { providersOf } from '../../support/entries.ts';
import { createEngine, keysOf, NOW, reasonOf, requestOf, URL_CALLED } from './engine.ts';

const providers = providersOf(loadCatalogue([]));
const SECRETS = ['4JH86294D6297924G'];

function engineWith(fetched: string[], respond = published) {
  return createEngine({
    fetch: async (url) => {
      fetched.push(url);
      return { status: respond.has(url) ? 200 : 404, text: async () => respond.get(url) ?? '' };
    },
    roots: [root.pem],
  });
}

async function send(engine: ReturnType<typeof createEngine>, certificate: string, host?: string) {
  const sent = transmission(certificate, host)(sendingOf(URL_CALLED, new Date(NOW), rsa.own));
  return engine.verify(providers.get('paypal')!.webhooks, requestOf(sent), keysOf({ secrets: SECRETS }));
}

describe('the certificate of a sender', () => {
  it('with the right host, name and chain: accepted, and fetched once', async () => {
    const fetched: string[] = [];
    const engine = engineWith(fetched);
    for (let i = 0; i < 3; i += 1) expect(reasonOf(await send(engine, 'CERT-1'))).toBe('verified');
    expect(fetched).toHaveLength(1);
  });

  it.each([
    ['another name', 'CERT-other-name'],
    ['the right name, and a chain to another root', 'CERT-other-root'],
    ['that is not there', 'CERT-none'],
  ])('%s: refused', async (_, certificate) => {
    expect(reasonOf(await send(engineWith([]), certificate))).toBe('certificate');
  });

  it.each([
    'api.paypal.com.attacker.example',
    'attacker.example/api.paypal.com',
    'api.paypal.com@attacker.example',
    'api.paypal.com:8443',
    'API-paypal.com',
    'xapi.paypal.com',
  ])('at %s: refused, and nothing is fetched', async (host) => {
    const fetched: string[] = [];
    expect(reasonOf(await send(engineWith(fetched), 'CERT-1', host))).toBe('certificate');
    expect(fetched).toEqual([]);
  });

  it('that expired: refused', async () => {
    const later = NOW + 7_200_000;
    const sent = transmission('CERT-1')(sendingOf(URL_CALLED, new Date(later), rsa.own));
    const request = requestOf({ ...sent, receivedAt: later });
    const verdict = await engineWith([]).verify(
      providers.get('paypal')!.webhooks,
      request,
      keysOf({ secrets: SECRETS }),
    );
    expect(reasonOf(verdict)).toBe('certificate');
  });

  it('that is no certificate: refused', async () => {
    const url = 'https://api.paypal.com/v1/notifications/certs/CERT-1';
    for (const text of ['', '<html>', '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----'])
      expect(reasonOf(await send(engineWith([], new Map([[url, text]])), 'CERT-1'))).toBe('certificate');
  });

  it('at ever new URLs: fetched a few times only', async () => {
    const fetched: string[] = [];
    const engine = engineWith(fetched);
    for (let i = 0; i < 60; i += 1) await send(engine, `CERT-${i + 100}`);
    expect(fetched.length).toBeLessThanOrEqual(20);
  });
});
