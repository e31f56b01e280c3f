// The jobs room: long work that a caller starts, can leave and find again, and that any replica goes on with.
import { createJobAdmin, type JobAdmin, type JobAdminParts } from './job-admin.ts';
import { createJobRunner, type JobRunner, type JobRunnerParts } from './job-runner.ts';
import type { JobKinds } from './kinds/job-work.ts';
import { createReplayWork } from './kinds/replay-deliveries.ts';
import { createRevokeWork } from './kinds/revoke-connections.ts';
import { createRotateWork } from './kinds/rotate-keys.ts';

export type { JobAdmin } from './job-admin.ts';
export type { WantedJob } from './kinds/job-work.ts';
export type { KeyRotator } from './kinds/rotate-keys.ts';

export interface Jobs {
  admin: JobAdmin;
  runner: JobRunner;
}

type Parts = Omit<JobRunnerParts, 'kinds'> &
  Omit<JobAdminParts, 'kinds' | 'wake'> &
  Parameters<typeof createRevokeWork>[0] &
  Parameters<typeof createReplayWork>[0] &
  Parameters<typeof createRotateWork>[0];

export function createJobs(parts: Parts): Jobs {
  const kinds: JobKinds = {
    'connections.revoke': createRevokeWork(parts),
    'deliveries.replay': createReplayWork(parts),
    'keys.rotate': createRotateWork(parts),
  };
  const runner = createJobRunner({ ...parts, kinds });
  return { admin: createJobAdmin({ ...parts, kinds, wake: runner.wake }), runner };
}
