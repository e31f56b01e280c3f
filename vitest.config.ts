import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/support/chromium.ts', 'test/support/bundle.ts', 'test/support/postgres.ts'],
    // Many tests wait for processes, providers that hang and the disk: a third one uses what two leave.
    maxWorkers: 3,
    // Reading all modules anew for each file takes as long as the tests. No file changes what another one could see.
    isolate: false,
    testTimeout: 20_000,
    hookTimeout: 30_000,
  },
});
