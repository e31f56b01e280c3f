import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/browser/chromium.ts', 'test/support/bundle.ts'],
    // Many tests wait for processes, providers that hang and the disk: a third one uses what two leave.
    maxWorkers: 3,
    testTimeout: 20_000,
    hookTimeout: 30_000,
  },
});
