// Egress through a proxy: real proxies on loopback, with TLS servers behind them.
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { getCACertificates, setDefaultCACertificates, type TLSSocket } from 'node:tls';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { parseNoProxy, parseProxyUrl, proxyFor } from '../../../src/adapters/outbound/egress-proxy.ts';
import { createOutbound, type Outbound, OutboundError } from '../../../src/adapters/outbound/outbound.ts';
import { createCertificate, pem } from '../../support/certificate.ts';
import { type EgressProxyServer, type ProxyFault, startEgressProxy } from '../../support/egress-proxy.ts';
import { type ScriptedServer, startScriptedServer } from '../../support/scripted-server.ts';

const authority = createCertificate('Egress Test Authority');
const client = createCertificate('acme-client', authority);
const serverOf = (name: string) => {
  const own = createCertificate(name, authority);
  return { key: pem(own.privateKey), cert: own.pem };
};

let proxy: EgressProxyServer;
/** Over TLS, for the names `localhost` and `api.example`; says what it has received. */
let port: number;
const received: { path: string; headers: object; client: string | undefined }[] = [];
let onRequest: (() => void) | undefined;
const server = createServer(
  { ...serverOf('localhost'), requestCert: true, rejectUnauthorized: false },
  (request, response) => {
    const shown = (request.socket as TLSSocket).getPeerX509Certificate()?.subject;
    received.push({ path: request.url!, headers: request.headers, client: shown });
    if (onRequest) onRequest();
    else response.end('hello');
  },
);
const opened: Outbound[] = [];

beforeAll(async () => {
  setDefaultCACertificates([...getCACertificates('default'), authority.pem]);
  const example = serverOf('api.example');
  server.addContext('api.example', example);
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  port = (server.address() as AddressInfo).port;
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});
beforeEach(async () => {
  proxy = await startEgressProxy();
  received.length = 0;
  onRequest = undefined;
});
afterEach(async () => {
  await Promise.all(opened.splice(0).map((outbound) => outbound.close()));
  await proxy.close();
});

interface Setup {
  allow?: string[];
  resolves?: 'broker' | 'proxy';
  url?: string;
  timeoutMs?: number;
}
function through({ allow = ['127.0.0.1'], resolves = 'broker', url = proxy.url, timeoutMs }: Setup = {}): Outbound {
  const proxies = { https: new URL(url), http: new URL(url), direct: parseNoProxy('').entries, resolves };
  const outbound = createOutbound({ allow, proxies, ...(timeoutMs !== undefined && { timeoutMs }) });
  opened.push(outbound);
  return outbound;
}
const failing = async (answer: Promise<unknown>): Promise<OutboundError> => {
  const error = await answer.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof OutboundError)) throw new Error(`expected an OutboundError, got ${error}`);
  return error;
};
const withCredentials = () => proxy.url.replace('//', '//broker:hunter%3A2%40@');

describe('https through a tunnel', () => {
  test('TLS is with the server, the credentials are for the proxy alone, and the tunnel is kept', async () => {
    const outbound = through({ url: withCredentials() });
    for (const path of ['/a', '/b', '/c'])
      expect(await (await outbound(`https://127.0.0.1:${port}${path}`)).text()).toBe('hello');
    expect(new Set(proxy.asked)).toEqual(new Set([`CONNECT 127.0.0.1:${port}`]));
    // Two, since a connection is reusable only one turn of the event loop after the response.
    expect(proxy.asked.length).toBeLessThanOrEqual(2);
    expect(proxy.credentials[0]).toBe('broker:hunter:2@');
    expect(received.map(({ path }) => path)).toEqual(['/a', '/b', '/c']);
    expect(JSON.stringify(received)).not.toMatch(/proxy-auth|hunter/);
  });

  test('a client certificate is shown to the server', async () => {
    await through()(`https://127.0.0.1:${port}/`, { tls: { cert: client.pem, key: pem(client.privateKey) } });
    expect(received[0]!.client).toBe('CN=acme-client');
  });

  test('the proxy itself may speak TLS', async () => {
    const secure = await startEgressProxy(serverOf('127.0.0.1'));
    const url = secure.url.replace('//', '//u:p@');
    expect((await through({ url })(`https://127.0.0.1:${port}/`)).status).toBe(200);
    expect(secure.credentials).toEqual(['u:p']);
    await secure.close();
  });

  test('the gate is asked once the tunnel stands, and what it holds back is not sent', async () => {
    const seen: number[] = [];
    const error = await failing(
      through()(`https://127.0.0.1:${port}/token`, {
        method: 'POST',
        body: 'refresh_token=secret',
        mayStillSend: () => {
          seen.push(proxy.asked.length);
          return false;
        },
      }),
    );
    expect(seen).toEqual([1]);
    expect(error).toMatchObject({ code: 'withheld', sent: false });
    expect(received).toEqual([]);
  });

  test.each<[ProxyFault, string]>([
    [407, 'credentials'],
    [403, '403'],
    [502, '502'],
    [302, '302'],
    ['reset', 'ECONNRESET'],
    ['garble', 'HPE_'],
  ])('a proxy that answers %s: nothing was sent, and its credentials are not repeated', async (fault, words) => {
    proxy.faults = [fault];
    const error = await failing(through({ url: withCredentials() })(`https://127.0.0.1:${port}/`));
    expect(error).toMatchObject({ code: 'network', sent: false, message: expect.stringContaining('egress proxy') });
    expect(error.message).toContain(words);
    expect(`${error.message} ${error.stack} ${JSON.stringify(error)} ${error.cause}`).not.toMatch(/hunter|broker:/);
    expect(received).toEqual([]);
    // The next request asks again.
    proxy.faults = [];
    expect((await opened.at(-1)!(`https://127.0.0.1:${port}/`)).status).toBe(200);
  });

  test.each<ProxyFault>(['hang', 'stall'])(
    'a proxy that does not go on (%s): a timeout, nothing was sent',
    async (fault) => {
      proxy.faults = [fault];
      // The deadline of the request is longer: a connection must be made within the general one.
      const error = await failing(through({ timeoutMs: 200 })(`https://127.0.0.1:${port}/`, { timeoutMs: 30_000 }));
      expect(error).toMatchObject({ code: 'timeout', sent: false });
      expect(received).toEqual([]);
    },
  );

  test('a proxy that dies during the handshake with the server: nothing was sent', async () => {
    proxy.faults = ['stall'];
    const answer = failing(through()(`https://127.0.0.1:${port}/`));
    await expect.poll(() => proxy.tunnels()).toBe(2);
    proxy.cut();
    expect(await answer).toMatchObject({ code: 'network', sent: false });
  });

  test('a proxy that is not there: nothing was sent', async () => {
    const url = proxy.url.replace(/\d+$/, '1');
    const error = await failing(through({ url })(`https://127.0.0.1:${port}/`));
    expect(error).toMatchObject({ code: 'network', sent: false, message: expect.stringContaining('ECONNREFUSED') });
  });

  test('a proxy that dies after the request: it may have been sent', async () => {
    onRequest = () => proxy.cut();
    const error = await failing(through()(`https://127.0.0.1:${port}/`));
    expect(error).toMatchObject({ code: 'network', sent: true });
  });

  test('a server whose certificate is for another name is refused', async () => {
    proxy.names.set('other.example', port);
    const error = await failing(through({ resolves: 'proxy' })('https://other.example/'));
    expect(error).toMatchObject({ code: 'network', sent: false });
    expect(received).toEqual([]);
  });

  test('closing ends what waits for the proxy', async () => {
    proxy.faults = ['hang'];
    const outbound = through();
    const answer = failing(outbound(`https://127.0.0.1:${port}/`));
    await expect.poll(() => proxy.asked.length).toBe(1);
    await outbound.close();
    expect(await answer).toMatchObject({ code: 'network', sent: false });
  });
});

describe('the address rules', () => {
  test.each(['https://169.254.169.254/', 'https://[::1]/', 'https://10.0.0.1/', 'http://example.com/'])(
    'a proxy is not asked for %s',
    async (url) => {
      for (const resolves of ['broker', 'proxy'] as const) {
        expect(await failing(through({ allow: [], resolves })(url))).toMatchObject({ code: 'blocked', sent: false });
      }
      expect(proxy.asked).toEqual([]);
    },
  );

  test('a name that resolves to an internal address is refused before the proxy is asked', async () => {
    const error = await failing(through({ allow: [] })(`https://localhost:${port}/`));
    expect(error).toMatchObject({ code: 'blocked', sent: false });
    expect(proxy.asked).toEqual([]);
  });

  test('the proxy is asked for the address that was judged, while TLS is for the name', async () => {
    const outbound = through({ allow: ['127.0.0.0/8', '::1'] });
    expect(await (await outbound(`https://localhost:${port}/`)).text()).toBe('hello');
    for (const line of proxy.asked) expect(line).toMatch(/^CONNECT (127\.0\.0\.1|\[::1\]):\d+$/);
    expect(received[0]!.headers).toMatchObject({ host: `localhost:${port}` });
  });

  test('a name that is allowed by itself is asked for by name', async () => {
    expect((await through({ allow: ['localhost'] })(`https://localhost:${port}/`)).status).toBe(200);
    expect(proxy.asked).toEqual([`CONNECT localhost:${port}`]);
  });

  test('where the proxy resolves, it is asked by name, and not for names of internal networks', async () => {
    proxy.names.set('api.example', port);
    const outbound = through({ allow: [], resolves: 'proxy' });
    expect(await (await outbound('https://api.example/')).text()).toBe('hello');
    for (const host of [
      'localhost',
      'LOCALHOST.',
      'x.localhost',
      'metadata',
      'metadata.google.internal',
      'metadata.google.internal.',
      'instance-data',
      'printer.local',
      'nas.home.arpa',
    ])
      expect(await failing(outbound(`https://${host}/`)), host).toMatchObject({ code: 'blocked', sent: false });
    expect(proxy.asked).toEqual(['CONNECT api.example:443']);
  });
});

describe('http through a proxy that forwards', () => {
  let plain: ScriptedServer;
  beforeAll(async () => {
    plain = await startScriptedServer(({ path }) => ({ status: path === '/407' ? 407 : 200, body: 'plain' }));
  });
  afterAll(() => plain.close());

  test('the proxy is sent the whole URL, and its credentials go no further', async () => {
    const answer = await through({ url: withCredentials() })(`${plain.url}/x?y=1`, { method: 'POST', body: 'b' });
    expect(await answer.text()).toBe('plain');
    expect(proxy.asked).toEqual([`POST ${plain.url}/x?y=1`]);
    expect(proxy.credentials).toEqual(['broker:hunter:2@']);
    expect(plain.received.at(-1)).toMatchObject({
      path: '/x?y=1',
      body: 'b',
      headers: { host: new URL(plain.url).host },
    });
  });

  test('a proxy that refuses its credentials has sent nothing; without a proxy a 407 is an answer', async () => {
    proxy.faults = [407];
    expect(await failing(through()(`${plain.url}/`))).toMatchObject({ code: 'network', sent: false });
    const direct = createOutbound({ allow: ['127.0.0.1'] });
    opened.push(direct);
    expect((await direct(`${plain.url}/407`)).status).toBe(407);
  });

  test('a proxy that dies may have sent it; one that is not there has not', async () => {
    proxy.faults = ['reset'];
    expect(await failing(through()(`${plain.url}/`))).toMatchObject({ code: 'network', sent: true });
    const absent = through({ url: proxy.url.replace(/\d+$/, '1') });
    expect(await failing(absent(`${plain.url}/`))).toMatchObject({ code: 'network', sent: false });
  });
});

describe('NO_PROXY', () => {
  const isDirect = (list: string, url: string) => {
    const proxies = { https: new URL('http://p:1'), http: new URL('http://p:1'), resolves: 'broker' as const };
    return proxyFor(new URL(url), { ...proxies, direct: parseNoProxy(list).entries }) === undefined;
  };
  test.each<[list: string, direct: string[], proxied: string[]]>([
    ['', [], ['https://example.com/', 'http://127.0.0.1/']],
    ['*', ['https://example.com/', 'https://[2606:4700::1111]/'], []],
    ['example.com', ['https://example.com/', 'https://a.example.com:8443/'], ['https://myexample.com/']],
    ['.example.com', ['https://example.com/', 'https://a.b.example.com/'], ['https://example.com.evil/']],
    ['*.example.com', ['https://a.example.com/'], ['https://example.com/']],
    ['EXAMPLE.com.', ['https://example.com/', 'https://example.com./'], []],
    ['example.com:8443', ['https://example.com:8443/'], ['https://example.com/']],
    ['example.com:443', ['https://example.com/'], ['http://example.com/']],
    ['*:80', ['http://example.com/'], ['https://example.com/']],
    ['10.0.0.0/8', ['https://10.1.2.3/', 'https://[::ffff:10.1.2.3]/'], ['https://11.0.0.1/', 'https://ten.example/']],
    ['127.0.0.1', ['http://127.0.0.1:99/', 'http://127.1/'], ['http://127.0.0.2/']],
    ['::1, fd00::/8', ['https://[::1]/', 'https://[fd12::1]:1/'], ['https://[::2]/']],
    ['[::1]:443', ['https://[::1]/'], ['https://[::1]:444/']],
    ['none.example  other.example,,', ['https://other.example/'], ['https://third.example/']],
  ])('%j', (list, direct, proxied) => {
    for (const url of direct) expect(isDirect(list, url), url).toBe(true);
    for (const url of proxied) expect(isDirect(list, url), url).toBe(false);
  });

  test('what is none of its forms is ignored, by name', () => {
    expect(parseNoProxy('ok.example,169.254.*,http://x,1.2.3,10.0.0.0/33,a..b')).toMatchObject({
      entries: [{ name: 'ok.example' }],
      ignored: ['169.254.*', 'http://x', '1.2.3', '10.0.0.0/33', 'a..b'],
    });
  });
});

test('parseProxyUrl: a URL of an HTTP proxy, with or without its scheme; the text is not repeated', () => {
  for (const text of ['http://p.example:3128', 'p.example:3128', 'https://u:p%40@p.example/', '[::1]:3128'])
    expect(parseProxyUrl(text), text).toMatchObject({ ok: true });
  for (const text of [
    'socks5://hunter2',
    'http://',
    'http://hunter2@p/path',
    'http://hunter2%zz@p',
    'http://u:%0d@p',
    'a b',
  ])
    expect(parseProxyUrl(text), text).toMatchObject({ ok: false, issues: [expect.not.stringContaining('hunter2')] });
});
