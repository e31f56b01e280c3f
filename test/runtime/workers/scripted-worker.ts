// A worker process for tests of the supervisor: it does what its arguments say, the n-th start the n-th of them.
import { appendFileSync, readFileSync } from 'node:fs';

const [, , log = '', ...scripts] = process.argv;
appendFileSync(log, `${process.pid}\n`);
const started = readFileSync(log, 'utf8').trim().split('\n').length;
const script = scripts[Math.min(started, scripts.length) - 1];

process.on('message', (message: { kind: string }) => {
  if (message.kind === 'ping' && script !== 'hang') process.send?.({ kind: 'pong' });
  if (message.kind !== 'start') return;
  if (script === 'fail') process.exit(78);
  if (script === 'die') process.kill(process.pid, 'SIGKILL');
  process.send?.({ kind: 'ready', url: 'http://127.0.0.1:1', internalUrl: undefined, publicUrl: 'http://127.0.0.1:1' });
  if (script === 'serve and end') process.exit(1);
});
process.on('SIGTERM', () => script !== 'ignore signals' && process.exit(0));
process.on('disconnect', () => process.exit(0));
process.send?.({ kind: 'hello' });
