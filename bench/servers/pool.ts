// The baseline of refreshes: a bare undici `Pool` that calls a token endpoint in a loop and stores nothing.
import { Pool } from 'undici';
import { answerTo } from './remote.ts';

const handlers = {
  /** Returns requests per second. */
  async loop({ tokenUrl, inFlight, ms }: { tokenUrl: string; inFlight: number; ms: number }): Promise<number> {
    const { origin, pathname: path } = new URL(tokenUrl);
    const pool = new Pool(origin, { connections: inFlight });
    const headers = {
      'content-type': 'application/x-www-form-urlencoded',
      authorization: `Basic ${Buffer.from('bench:bench-client-secret').toString('base64')}`,
    };
    const form = `grant_type=refresh_token&refresh_token=${'r'.repeat(64)}`;
    const started = performance.now();
    let answered = 0;
    const one = async () => {
      while (performance.now() - started < ms) {
        const { statusCode, body } = await pool.request({ path, method: 'POST', headers, body: form });
        await body.text();
        if (statusCode !== 200) throw new Error(`the token endpoint answered ${statusCode}`);
        answered++;
      }
    };
    await Promise.all(Array.from({ length: inFlight }, one));
    const seconds = (performance.now() - started) / 1_000;
    await pool.close();
    return answered / seconds;
  },
};
export type PoolLoop = typeof handlers;
answerTo(handlers);
