// Presents jobs.
import type { z } from '@hono/zod-openapi';
import type * as api from '../../api/index.ts';
import type { Job, JobInput } from '../../domain/job.ts';
import { time, timeOrNull } from './times.ts';

export const presentJob = ({ input, ...j }: Job): z.infer<typeof api.JobView> => ({
  id: j.id,
  kind: j.kind,
  input: presentJobInput(input),
  status: j.status,
  done: j.done,
  total: j.total,
  counts: j.counts,
  attempts: j.attempts,
  last_error: j.lastError,
  next_attempt_at: j.attempts === 0 ? null : timeOrNull(j.nextAt),
  caller_id: j.callerId,
  created_at: time(j.createdAt),
  started_at: timeOrNull(j.startedAt),
  finished_at: timeOrNull(j.finishedAt),
});

function presentJobInput(input: JobInput): z.infer<typeof api.JobView>['input'] {
  if (input.kind === 'keys.rotate') return { key: input.key };
  if (input.kind === 'connections.revoke') return { integration: input.integration, owner: input.owner };
  return { endpoint: input.endpoint, from: time(input.from), to: time(input.to), status: input.status };
}
