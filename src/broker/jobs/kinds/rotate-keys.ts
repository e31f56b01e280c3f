// The job `keys.rotate`: every secret is encrypted with the first key of the ring, by a replica that has that key first.
import type { Access } from '../../audit/index.ts';
import type { KeyRotationResult } from '../../maintenance/index.ts';
import type { JobWork } from './job-work.ts';

export interface KeyRotator {
  /** The id of the key that this process encrypts with. */
  key: string;
  /** How many secrets there are, of which other keys encrypt some, or an older form has. Reads every secret. */
  left(): Promise<number>;
  /** `onBatch` is told of each batch; when it rejects, so does this. */
  rotate(onBatch: (reencrypted: number) => Promise<void>): Promise<KeyRotationResult>;
}

interface Parts {
  rotator: KeyRotator;
  access: Pick<Access, 'denied'>;
}

export function createRotateWork({ rotator, access }: Parts): JobWork<'keys.rotate'> {
  return {
    async prepare(call) {
      const refused = access.denied(call, 'admin', '*', '*');
      if (refused) return refused;
      return { input: { kind: 'keys.rotate', key: rotator.key }, total: await rotator.left() };
    },
    canDo: ({ key }) => key === rotator.key,
    async batch(call, _, report) {
      const refused = access.denied(call, 'admin', '*', '*');
      if (refused) return refused;
      const { authenticated, remaining, unopenable, behind, inauthentic } = await rotator.rotate((reencrypted) =>
        report({ done: reencrypted, counts: { reencrypted } }),
      );
      const left = remaining.reduce((sum, { secrets }) => sum + secrets, 0);
      const rows = { authenticated, inauthentic: inauthentic.length };
      const counts = { ...rows, remaining: left, unopenable: unopenable.count, behind };
      return { done: 0, counts, next: null };
    },
  };
}
