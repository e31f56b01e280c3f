// The baseline: `node:http`, which reads each request and answers with the same bytes.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

import { answerTo } from './remote.ts';
import { turns } from './turns.ts';

let headers: Record<string, string> = {};
let body = '';

const server = createServer((request, response) => {
  const answer = () => response.writeHead(200, headers).end(body);
  if (request.method === 'GET') answer();
  else request.on('end', answer).resume();
});
await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

const handlers = {
  /** Sets the response; returns the URL. */
  answer(given: { headers: Record<string, string>; body: string }): string {
    headers = given.headers;
    body = given.body;
    return url;
  },
  turns,
};
export type Plain = typeof handlers;
answerTo(handlers);
