// The outbound client and its SSRF guard, with real sockets on loopback.
import { createServer as createHttp, type RequestListener } from 'node:http';
import { type AddressInfo, createServer as createTcp, type Server } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import {
  checkUrl,
  createOutbound,
  type Outbound,
  OutboundError,
  parseAllow,
} from '../../../src/adapters/outbound/outbound.ts';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const clean of cleanups.splice(0).reverse()) await clean();
});

async function listening(server: Server): Promise<number> {
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  return (server.address() as AddressInfo).port;
}

async function serve(handler: RequestListener): Promise<number> {
  const server = createHttp(handler);
  const port = await listening(server);
  cleanups.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return port;
}

function outbound(options: Partial<Parameters<typeof createOutbound>[0]> = {}): Outbound {
  const made = createOutbound({ allow: ['127.0.0.1'], ...options });
  cleanups.push(() => made.close());
  return made;
}

const failing = async (answer: Promise<unknown>): Promise<OutboundError> => {
  const error = await answer.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof OutboundError)) throw new Error(`expected an OutboundError, got ${error}`);
  return error;
};

describe('SSRF guard', () => {
  const refused = [
    'http://example.com/',
    'ftp://example.com/',
    'https://user:pass@example.com/',
    'https://user@127.0.0.1/',
    'https://10.0.0.1/',
    'https://192.168.1.1/',
    'https://169.254.169.254/latest/meta-data',
    'https://100.64.0.1/',
    'https://0.0.0.0/',
    'https://2130706433/',
    'https://0x7f000001/',
    'https://0177.0.0.1/',
    'https://127.1/',
    'https://[::1]/',
    'https://[::]/',
    'https://[::ffff:127.0.0.1]/',
    'https://[::127.0.0.1]/',
    // NAT64 (RFC 6052): loopback, private, metadata, WireServer.
    'https://[64:ff9b::7f00:1]/',
    'https://[64:ff9b::10.1.2.3]/',
    'https://[64:ff9b::a9fe:a9fe]/',
    'https://[64:ff9b::168.63.129.16]/',
    // Other translations, of a public address too: RFC 8215, 6145, 3056, 4380.
    'https://[64:ff9b:1::8.8.8.8]/',
    'https://[64:ff9b:0:1::8.8.8.8]/',
    'https://[::ffff:0:8.8.8.8]/',
    'https://[::8.8.8.8]/',
    'https://[2002:808:808::]/',
    'https://[2002:7f00:1::]/',
    'https://[2001::1]/',
    'https://[2001:0:808:808:0:3f57:fefe:fefe]/',
    // Of clouds: Azure's WireServer, Oracle, Alibaba, AWS, GCP.
    'https://168.63.129.16/',
    'http://168.63.129.16/machine?comp=goalstate',
    'https://[::ffff:168.63.129.16]/',
    'https://0xa83f8110/',
    'https://192.0.0.192/',
    'https://100.100.100.200/',
    'https://[fd00:ec2::254]/',
    'https://[fd20:ce::254]/',
    'https://[2001:db8::1]/',
    'https://[3fff::1]/',
    'https://[fe80::1]/',
    'https://[fc00::1]/',
    'https://[4000::1]/',
    'not a url',
  ];
  test.each(refused)('refuses %s before anything is sent', async (url) => {
    const error = await failing(outbound({ allow: [] })(url));
    expect(error).toMatchObject({ code: 'blocked', sent: false });
    expect(checkUrl(url, [])).toEqual(expect.any(String));
  });

  test('refuses a public name that resolves to loopback', async () => {
    const port = await listeningTcp();
    const error = await failing(outbound({ allow: [] })(`https://localhost:${port}/`));
    expect(error).toMatchObject({ code: 'blocked', sent: false, message: expect.stringContaining('localhost') });
  });

  test('an allowed range permits names that resolve into it, only over https', async () => {
    const port = await serve((_, res) => res.end('ok'));
    const send = outbound({ allow: ['127.0.0.0/8', '::1'] });
    expect(await failing(send(`http://localhost:${port}/`))).toMatchObject({ code: 'blocked' });
    expect(await (await send(`http://127.0.0.1:${port}/`)).text()).toBe('ok');
    // The server has no TLS: the guard allowed the connection, and the handshake failed.
    expect(await failing(send(`https://localhost:${port}/`))).toMatchObject({ code: 'network', sent: false });
  });

  test('an allowed host name may resolve anywhere and be reached over http', async () => {
    const port = await serve((_, res) => res.end('ok'));
    const send = outbound({ allow: ['LocalHost'] });
    expect(await (await send(`http://localhost:${port}/`)).text()).toBe('ok');
    expect(checkUrl('http://LOCALHOST.:1/', ['localhost'])).toBeUndefined();
    expect(await failing(send(`http://127.0.0.1:${port}/`))).toMatchObject({ code: 'blocked' });
  });

  test('a URL with a user is refused though its origin was reached before, and its origin is reached after that', async () => {
    const port = await serve((_, res) => res.end('ok'));
    const send = outbound();
    for (let i = 0; i < 2; i++) {
      const error = await failing(send(`http://user:pass@127.0.0.1:${port}/`));
      expect(error).toMatchObject({ code: 'blocked', message: expect.stringContaining('user name') });
      expect(await (await send(`http://127.0.0.1:${port}/`)).text()).toBe('ok');
      expect(await failing(send(`http://127.0.0.2:${port}/`))).toMatchObject({ code: 'blocked' });
    }
  });

  test('a blob URL is refused, whose origin is that of another URL, and that one is reached before and after it', async () => {
    const port = await serve((_, res) => res.end('ok'));
    const send = outbound();
    for (let i = 0; i < 2; i++) {
      const error = await failing(send(`blob:http://127.0.0.1:${port}/`));
      expect(error).toMatchObject({ code: 'blocked', message: expect.stringContaining('https URL') });
      expect(await (await send(`http://127.0.0.1:${port}/`)).text()).toBe('ok');
    }
  });

  test('an IPv4-mapped IPv6 address counts as its IPv4 address', () => {
    expect(checkUrl('http://[::ffff:10.1.2.3]/', ['10.0.0.0/8'])).toBeUndefined();
    expect(checkUrl('http://[::ffff:11.1.2.3]/', ['10.0.0.0/8'])).toBeDefined();
  });

  test('a NAT64 address counts as its IPv4 address', () => {
    expect(checkUrl('https://[64:ff9b::8.8.8.8]/', [])).toBeUndefined();
    expect(checkUrl('http://[64:ff9b::10.1.2.3]/', ['10.0.0.0/8'])).toBeUndefined();
    expect(checkUrl('http://[64:ff9b::11.1.2.3]/', ['10.0.0.0/8'])).toBeDefined();
    // As it is written, too: where the whole prefix had to be listed.
    expect(checkUrl('http://[64:ff9b::11.1.2.3]/', ['64:ff9b::/96'])).toBeUndefined();
    expect(checkUrl('https://168.63.129.16/', ['168.63.129.16'])).toMatch(/metadata service/);
  });

  test('public addresses and names are allowed', () => {
    for (const url of ['https://example.com/x', 'https://8.8.8.8/', 'https://[2606:4700::1111]/'])
      expect(checkUrl(url, [])).toBeUndefined();
  });

  test('a refusal names the setting that allows it', async () => {
    for (const url of ['https://10.0.0.1/', 'http://example.com/', 'http://10.0.0.1/'])
      expect(checkUrl(url, [])).toContain('VALETKEY_OUTBOUND_ALLOW');
    const error = await failing(outbound({ allow: [] })('https://localhost:1/'));
    expect(error.message).toBe(
      'localhost resolves to an address that is not public: if it is meant, list it in VALETKEY_OUTBOUND_ALLOW',
    );
  });
});

describe('parseAllow', () => {
  test('accepts host names, addresses and ranges', () => {
    expect(parseAllow(' 127.0.0.1, localhost,10.0.0.0/8 ,::1, [::1], fd00::/8,my_host.internal ')).toEqual({
      ok: true,
      allow: ['127.0.0.1', 'localhost', '10.0.0.0/8', '::1', '[::1]', 'fd00::/8', 'my_host.internal'],
    });
    expect(parseAllow('')).toEqual({ ok: true, allow: [] });
  });

  test('reports every other entry', () => {
    const wrong = [
      'http://x',
      '10.0.0.0/33',
      '::1/129',
      '*.example.com',
      'host:80',
      '10.0.0.300',
      '1.2.3',
      'a b',
      '10.0.0.0/8/8',
    ];
    const parsed = parseAllow(['ok', ...wrong].join(','));
    if (parsed.ok) throw new Error('accepted');
    expect(parsed.issues).toHaveLength(wrong.length);
    for (const entry of wrong) expect(parsed.issues.join('\n')).toContain(`"${entry}"`);
  });
});

describe('response', () => {
  test('sends method, headers and a form, and returns the whole response', async () => {
    const port = await serve((req, res) => {
      let body = '';
      req.on('data', (chunk) => {
        body += chunk;
      });
      req.on('end', () => {
        res.setHeader('set-cookie', ['a=1', 'b=2']);
        res.statusCode = 201;
        res.end(JSON.stringify({ method: req.method, url: req.url, headers: req.headers, body }));
      });
    });
    const send = outbound();
    const response = await send(`http://127.0.0.1:${port}/path?q=1`, {
      method: 'POST',
      headers: { Accept: 'application/json' },
      body: new URLSearchParams({ a: 'ä b' }),
    });
    // Libraries recognise a Response by its tag.
    expect(Object.prototype.toString.call(response)).toBe('[object Response]');
    expect(response.status).toBe(201);
    expect(response.headers.getSetCookie()).toEqual(['a=1', 'b=2']);
    expect(await response.json()).toMatchObject({
      method: 'POST',
      url: '/path?q=1',
      body: 'a=%C3%A4+b',
      headers: { accept: 'application/json', 'content-type': expect.stringContaining('urlencoded') },
    });
  });

  test('says once that it is used, before it sends anything', async () => {
    const told: string[] = [];
    const port = await serve((_, response) => {
      told.push('request');
      response.end();
    });
    const fetch = outbound({ onFirstUse: () => told.push('first use') });
    await failing(fetch('https://10.0.0.1/'));
    expect(told).toEqual([]);
    for (let i = 0; i < 2; i++) await fetch(`http://127.0.0.1:${port}/`);
    expect(told).toEqual(['first use', 'request', 'request']);
  });

  test('keeps connections alive', async () => {
    const ports = new Set<number | undefined>();
    const port = await serve((req, res) => {
      ports.add(req.socket.remotePort);
      res.end();
    });
    const send = outbound();
    for (let i = 0; i < 6; i++) await send(`http://127.0.0.1:${port}/`);
    // Two, since a socket is reusable only one turn of the event loop after the response.
    expect(ports.size).toBeLessThanOrEqual(2);
  });

  test('returns a 204 without a body', async () => {
    const port = await serve((_, res) => res.writeHead(204).end());
    expect((await outbound()(`http://127.0.0.1:${port}/`)).status).toBe(204);
  });

  test('follows no redirect, not even to an allowed host', async () => {
    let visits = 0;
    const port = await serve((_, res) => {
      visits += 1;
      res.writeHead(307, { location: '/elsewhere' }).end();
    });
    const error = await failing(outbound()(`http://127.0.0.1:${port}/?secret=s3cr3t`));
    expect(error).toMatchObject({ code: 'redirect', sent: true });
    expect(error.message).toContain(`127.0.0.1:${port}`);
    expect(error.message).not.toContain('s3cr3t');
    expect(visits).toBe(1);
  });

  test.each([
    ['with a length', (bytes: number) => ({ 'content-length': String(bytes) })],
    ['without one', () => ({})],
  ])('refuses a response that is too large, %s', async (_, headers) => {
    const port = await serve((_, res) => {
      res.writeHead(200, headers(2000));
      res.end('x'.repeat(2000));
    });
    const error = await failing(outbound({ maxBytes: 1999 })(`http://127.0.0.1:${port}/`));
    expect(error).toMatchObject({ code: 'too_large', sent: true });
    expect(await (await outbound({ maxBytes: 2000 })(`http://127.0.0.1:${port}/`)).text()).toHaveLength(2000);
  });

  test('refuses a status that does not exist', async () => {
    const port = await serve((_, res) => res.writeHead(999).end());
    expect(await failing(outbound()(`http://127.0.0.1:${port}/`))).toMatchObject({ code: 'network', sent: true });
  });
});

describe('deadline', () => {
  test('ends a body that never ends', async () => {
    const port = await serve((_, res) => {
      res.writeHead(200);
      res.write('slow');
    });
    const error = await failing(outbound({ timeoutMs: 40 })(`http://127.0.0.1:${port}/?secret=s3cr3t`));
    expect(error).toMatchObject({ code: 'timeout', sent: true });
    expect(error.message).not.toContain('s3cr3t');
  });

  test('ends a wait for headers that never come', async () => {
    const port = await serve(() => {});
    const error = await failing(
      outbound({ timeoutMs: 40 })(`http://127.0.0.1:${port}/`, { method: 'POST', body: 'x' }),
    );
    expect(error).toMatchObject({ code: 'timeout', sent: true });
  });

  test('may be shorter or longer for one request', async () => {
    const port = await serve(() => {});
    const url = `http://127.0.0.1:${port}/`;
    const hasty = await failing(outbound({ timeoutMs: 60_000 })(url, { timeoutMs: 40 }));
    expect(hasty).toMatchObject({ code: 'timeout', sent: true, message: expect.stringContaining('within 40 ms') });
    const patient = await failing(outbound({ timeoutMs: 20 })(url, { timeoutMs: 50 }));
    expect(patient).toMatchObject({ code: 'timeout', message: expect.stringContaining('within 50 ms') });
  });

  test('reports sent: false for a TLS handshake that never ends', async () => {
    const port = await listeningTcp();
    const error = await failing(outbound({ timeoutMs: 40 })(`https://127.0.0.1:${port}/`));
    expect(error).toMatchObject({ code: 'timeout', sent: false });
  });

  test('ends when the caller aborts', async () => {
    const given = AbortSignal.abort();
    const port = await serve((_, res) => res.end());
    const error = await failing(outbound()(`http://127.0.0.1:${port}/`, { signal: given }));
    expect(error).toMatchObject({ code: 'timeout', sent: false });
  });

  test('reports sent: false for a refused connection and an unknown name', async () => {
    const server = createTcp();
    const port = await listening(server);
    await new Promise((done) => server.close(done));
    const send = outbound({ allow: ['127.0.0.1', 'nowhere.invalid'] });
    expect(await failing(send(`http://127.0.0.1:${port}/`))).toMatchObject({ code: 'network', sent: false });
    expect(await failing(send('http://nowhere.invalid/'))).toMatchObject({ code: 'network', sent: false });
  });

  test('reports sent: true for a connection that breaks after the request', async () => {
    const port = await serve((req) => req.socket.destroy());
    const error = await failing(outbound()(`http://127.0.0.1:${port}/`, { method: 'POST', body: 'x' }));
    expect(error).toMatchObject({ code: 'network', sent: true });
  });
});

/** A port that accepts connections and never responds. */
async function listeningTcp(): Promise<number> {
  const sockets: { destroy(): void }[] = [];
  const server = createTcp((socket) => sockets.push(socket));
  const port = await listening(server);
  cleanups.push(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return port;
}
