// Vitest's settings: emulated programs take longer than unit tests, most of all on a busy machine.

import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  root: fileURLToPath(new URL('..', import.meta.url)),
  test: { include: ['test/**/*.test.ts'], testTimeout: 300_000, maxWorkers: 2 },
});
