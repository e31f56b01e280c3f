import { defineConfig } from 'vitest/config';
import { LongestFirst } from './test/support/longest-first.ts';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: [
      'test/support/chromium.ts',
      'test/support/temporary-folder.ts',
      'test/support/bundle.ts',
      'test/support/postgres.ts',
      'test/support/sqlite-file.ts',
    ],
    // Many tests wait for processes, providers that hang, or the disk: a third worker uses the idle time of two.
    maxWorkers: 3,
    // Loading all modules again for each file takes as long as the tests. No file changes state that another one sees.
    isolate: false,
    // What a request makes lives longer than a young generation of 16 MB takes to fill: more of it is dead in a larger one.
    execArgv: ['--max-semi-space-size=64'],
    sequence: { sequencer: LongestFirst },
    // What is waited for comes late on a machine that does more than this: only what hangs is a failure.
    expect: { poll: { timeout: 30_000 } },
    testTimeout: 180_000,
    hookTimeout: 180_000,
  },
});
