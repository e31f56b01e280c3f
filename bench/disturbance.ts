// What others take of the machine's processors: programs that are not of the bench, and the host of a virtual machine, which
// the system counts as processor time of the thread that it held up.
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';

export interface Disturbance {
  /** Of the processors' time, from 0 to 1. */
  taken: number;
  longestMs: number;
}

const MEASURED_MS = 500;
/** A loop that runs is not away from its clock for longer, but for the system's own interrupts. */
const AWAY_MS = 0.2;

/** By a loop on each processor, which is to run all the time. To be called while nothing else of the bench runs. */
export async function disturbance(): Promise<Disturbance> {
  const loops = Array.from({ length: availableParallelism() }, runLoop);
  const pauses = (await Promise.all(loops)).flat();
  const sum = pauses.reduce((total, pause) => total + pause, 0);
  return { taken: sum / (loops.length * MEASURED_MS), longestMs: Math.max(0, ...pauses) };
}

const LOOP = `
const { parentPort, workerData: { measuredMs, awayMs } } = require('node:worker_threads');
const pauses = [];
let last = performance.now();
const end = last + measuredMs;
while (last < end) {
  const now = performance.now();
  if (now - last > awayMs) pauses.push(now - last);
  last = now;
}
parentPort.postMessage(pauses);`;

const runLoop = (): Promise<number[]> =>
  new Promise((resolve, reject) => {
    const workerData = { measuredMs: MEASURED_MS, awayMs: AWAY_MS };
    new Worker(LOOP, { eval: true, workerData }).once('message', resolve).once('error', reject);
  });
