// The job `deliveries.replay`: the deliveries of a webhook endpoint in a range of time are made due again.
import { Refusal } from '../../../domain/errors.ts';
import type { Clock } from '../../../ports/index.ts';
import type { WebhookEndpoints } from '../../events/index.ts';
import type { JobWork } from './job-work.ts';

interface Parts {
  endpoints: Pick<WebhookEndpoints, 'mayReplay' | 'replaySome'>;
  clock: Pick<Clock, 'now'>;
}

export function createReplayWork({ endpoints, clock }: Parts): JobWork<'deliveries.replay'> {
  return {
    async prepare(call, { endpoint, from, to = clock.now(), status }) {
      const refused = await endpoints.mayReplay(call, endpoint);
      if (refused) return refused;
      return { input: { kind: 'deliveries.replay', endpoint, from, to, status: status ?? null }, total: null };
    },
    canDo: () => true,
    async batch(call, { input, position }) {
      const { endpoint, from, to, status } = input;
      const range = { from, to, status: status ?? undefined };
      const some = await endpoints.replaySome(call, endpoint, range, position ?? undefined);
      if (some instanceof Refusal) return some;
      return { done: some.deliveries, counts: { deliveries: some.deliveries }, next: some.next };
    },
  };
}
