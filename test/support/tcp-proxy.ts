// A TCP line of the test's own between a broker and its database: it can break, fall silent, be slow, lose an answer, and
// lead to another server.
import { once } from 'node:events';
import { createServer, connect as dial, type Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';

export interface Link {
  /** Of the database, as one sees it through this line. */
  url: string;
  /** What is open is reset, and so is whatever comes. */
  cut(): void;
  /** Everything stays open and nothing arrives, in either direction; it arrives once the line is healed. */
  stall(): void;
  /** From now on, each way. */
  delay(ms: number): void;
  /**
   * When these words have been said on one connection, in this order, the last message arrives at the server, and instead
   * of its answer the line is cut. Fulfilled then.
   */
  loseAnswerTo(...words: string[]): Promise<void>;
  heal(): void;
  /** Whoever comes from now on is led to this port; who is here already stays. */
  leadTo(port: number): void;
  /** Open now, and the most at any time. */
  connections(): { open: number; most: number };
  close(): Promise<void>;
}

/** `target`: the URL of a database on this machine. */
export async function openTcpProxy(target: string): Promise<Link> {
  let port = Number(new URL(target).port);
  let state: 'whole' | 'cut' | 'stalled' = 'whole';
  let delayMs = 0;
  let trap: { words: string[]; sprung: () => void } | undefined;
  const lines = new Set<Line>();
  let most = 0;

  interface Line {
    ends: Socket[];
    resume(): void;
  }

  const reset = (line: Line) => {
    for (const end of line.ends) end.resetAndDestroy();
  };
  const cut = () => {
    state = 'cut';
    for (const line of lines) reset(line);
  };

  function carry(from: Socket, to: Socket, look?: (chunk: Buffer) => void): void {
    let before: Promise<unknown> | undefined;
    from.on('data', (chunk: Buffer) => {
      const write = () => {
        look?.(chunk);
        if (!to.destroyed) to.write(chunk);
      };
      if (delayMs === 0 && before === undefined) return write();
      const after: Promise<unknown> = Promise.all([before, pause(delayMs)]).then(() => {
        write();
        if (before === after) before = undefined;
      });
      before = after;
    });
    from.on('end', () => to.end());
    from.on('close', () => to.destroy());
    from.on('error', () => to.destroy());
  }

  function welcome(client: Socket): void {
    client.on('error', () => undefined);
    if (state === 'cut') return void client.resetAndDestroy();
    client.pause();
    const line: Line = { ends: [client], resume: begin };
    lines.add(line);
    most = Math.max(most, lines.size);
    client.once('close', () => lines.delete(line));
    if (state === 'whole') begin();

    function begin(): void {
      const server = dial(port, '127.0.0.1');
      line.ends.push(server);
      line.resume = () => {
        for (const end of line.ends) end.resume();
      };
      let [isLost, said] = [false, 0];
      carry(client, server, (chunk) => {
        if (trap === undefined) return;
        for (let at = 0; said < trap.words.length; said++) {
          at = chunk.indexOf(trap.words[said]!, at);
          if (at < 0) return;
        }
        isLost = true;
        trap.sprung();
        trap = undefined;
      });
      carry(server, client, () => {
        if (isLost) cut();
      });
      client.resume();
    }
  }

  const door = createServer(welcome).listen(0, '127.0.0.1');
  await once(door, 'listening');
  const url = new URL(target);
  url.port = String((door.address() as { port: number }).port);

  return {
    url: url.href,
    cut,
    stall() {
      state = 'stalled';
      for (const line of lines) for (const end of line.ends) end.pause();
    },
    delay(ms) {
      delayMs = ms;
    },
    loseAnswerTo: (...words) =>
      new Promise((sprung) => {
        trap = { words, sprung };
      }),
    heal() {
      state = 'whole';
      for (const line of lines) line.resume();
    },
    leadTo(other) {
      port = other;
    },
    connections: () => ({ open: lines.size, most }),
    async close() {
      for (const line of lines) reset(line);
      door.close();
      await once(door, 'close');
    },
  };
}
