// The order of the test files: those that take longest begin first. Begun last, each would keep one worker busy while the
// others have nothing left. Vitest goes by size where it has no earlier run to go by, as in a new clone.
import { existsSync } from 'node:fs';
import { join, relative } from 'node:path';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

const LONGEST = [
  'test/system/browser/console.test.ts',
  'test/stores/postgres/conformance.test.ts',
  'test/system/postgres/outage.test.ts',
  'test/stores/postgres/races.test.ts',
  'test/system/bundle.test.ts',
  'test/system/crash.test.ts',
  'test/stores/postgres/change-feed.test.ts',
  'test/system/browser/console-tasks.test.ts',
  'test/system/browser/connect.test.ts',
  'test/stores/postgres/conditions.test.ts',
  'test/system/simulation.test.ts',
  'test/stores/sqlite/checkpoints.test.ts',
  'test/system/browser/connect-pages.test.ts',
  'test/system/canary.test.ts',
  'test/broker/maintenance/data-migration.test.ts',
  'test/catalogue/vendors-m-to-z.test.ts',
  'test/system/fuzz/fuzz.test.ts',
  'test/stores/sqlite/conformance.test.ts',
  'test/catalogue/vendors-a-to-l.test.ts',
  'test/system/quickstart.test.ts',
  'test/http/proxy/calls.test.ts',
  'test/system/browser/cross-site.test.ts',
  'test/system/postgres/failover.test.ts',
  'test/system/chaos/chaos.test.ts',
  'test/broker/refresh/blame.test.ts',
  'test/system/workers/workers.test.ts',
  'test/broker/refresh/lost-response.test.ts',
  'test/system/bench.test.ts',
  'test/http/database-writer.test.ts',
  'test/http/operations.test.ts',
  'test/stores/postgres/database-clock.test.ts',
  'test/stores/postgres/schemas.test.ts',
  'test/cli/process.test.ts',
  'test/system/stop-hanging.test.ts',
  'test/broker/refresh/integration-changed.test.ts',
  'test/system/replicas/frozen.test.ts',
  'test/http/signals.test.ts',
  'test/runtime/v8-flags.test.ts',
  'test/system/postgres/pooler.test.ts',
  'test/runtime/workers/supervisor.test.ts',
  'test/stores/postgres/reencryption.test.ts',
  'test/adapters/telemetry/logger.test.ts',
  'test/system/key-rotation.test.ts',
  'test/system/browser/docs.test.ts',
  'test/system/data-migration-crash.test.ts',
  'test/system/replicas/cache-invalidation.test.ts',
  'test/broker/refresh/scheduler.test.ts',
  'test/http/mcp/documents.test.ts',
  'test/adapters/outbound/frozen-process.test.ts',
  'test/client/package.test.ts',
  'test/deploy/backup.test.ts',
  'test/stores/migrations-versions.test.ts',
  'test/http/mcp/discovery.test.ts',
  'test/broker/refresh/slow-response.test.ts',
  'test/stores/postgres/pooler.test.ts',
  'test/system/replicas/propagation-delay.test.ts',
];

export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const { root } = this.ctx.config;
    const absent = LONGEST.filter((path) => !existsSync(join(root, path)));
    if (absent.length > 0) throw new Error(`${import.meta.filename} names what is gone: ${absent.join(', ')}`);
    const rank = ({ moduleId }: TestSpecification) => {
      const place = LONGEST.indexOf(relative(root, moduleId));
      return place === -1 ? LONGEST.length : place;
    };
    return (await super.sort(files)).toSorted((a, b) => rank(a) - rank(b));
  }
}
