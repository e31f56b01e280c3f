// The baseline of proxied calls: `node:http`, which passes each request on with undici's dispatcher, and pipes the answer back.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Agent } from 'undici';
import { answerTo } from './remote.ts';

let origin = '';
const agent = new Agent({ headersTimeout: 0, bodyTimeout: 0 });

const server = createServer({ requestTimeout: 0 }, (request, response) => {
  const hasBody = request.headers['content-length'] !== undefined || request.headers['transfer-encoding'] !== undefined;
  const { host: _, connection: __, 'transfer-encoding': ___, ...headers } = request.headers;
  let aborted = () => {};
  response.on('close', () => aborted());
  agent.dispatch(
    { origin, path: request.url ?? '/', method: request.method as 'GET', headers, body: hasBody ? request : null },
    {
      onRequestStart: (controller) => {
        aborted = () => controller.abort(new Error('gone'));
      },
      onResponseStart: (controller, status, { connection: _c, 'keep-alive': _k, 'transfer-encoding': _t, ...rest }) => {
        response.on('drain', () => controller.resume());
        response.writeHead(status, rest as Record<string, string>);
        response.flushHeaders();
      },
      onResponseData: (controller, chunk) => {
        if (!response.write(chunk)) controller.pause();
      },
      onResponseEnd: () => void response.end(),
      onResponseError: () => void response.destroy(),
    },
  );
});
server.maxConnections = 10_000;
await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

const handlers = {
  /** Sets where requests are passed on to; returns the URL. */
  to(given: string): string {
    origin = given;
    return url;
  },
};
export type Pipe = typeof handlers;
answerTo(handlers);
