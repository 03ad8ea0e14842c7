// Vitest's settings: emulated programs take longer than unit tests, most of all on a busy machine. No test begins with the code that
// another run has compiled, unless that is what it is about.

import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  root: fileURLToPath(new URL('..', import.meta.url)),
  // The example project imports the package by name, as a user's would; here that is the source, built or not.
  resolve: { alias: { 'safepoint/vitest': fileURLToPath(new URL('../src/vitest/index.ts', import.meta.url)) } },
  test: {
    include: ['test/**/*.test.ts', 'fixtures/**/*.test.ts'],
    testTimeout: 300_000,
    maxWorkers: 2,
    env: { SAFEPOINT_CACHE: 'off' },
  },
});
