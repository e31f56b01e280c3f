// `npm run test:long`: what `npm test` runs in its smallest form, in full.
import { defineConfig } from 'vitest/config';
import base from './vitest.config.ts';

export default defineConfig({
  test: {
    ...base.test,
    include: [
      'test/catalogue/vendors-*.test.ts',
      'test/stores/postgres/conditions.test.ts',
      'test/stores/postgres/pooler.test.ts',
      'test/stores/postgres/reencryption.test.ts',
      'test/http/mcp/many-connections.test.ts',
      'test/system/key-rotation.test.ts',
      'test/system/replicas/cache-invalidation.test.ts',
      'test/system/replicas/frozen.test.ts',
      'test/system/browser/con*.test.ts',
      'test/system/crash.test.ts',
      'test/system/data-migration-crash.test.ts',
      'test/system/event-delivery-crash.test.ts',
      'test/system/postgres/outage.test.ts',
      'test/system/simulation.test.ts',
      'test/system/chaos/*.test.ts',
    ],
    env: { VALETKEY_TEST_LONG: '1' },
  },
});
