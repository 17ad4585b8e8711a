// @ts-check
// What is built out of web/ and kept beside it is what these sources give.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { test } from 'node:test';

const { page } = createRequire(import.meta.url)('../../scripts/built');

test('web/built/page.js is what web/follow.js and web/ready.js give', async () => {
  const kept = readFileSync(new URL('../../web/built/page.js', import.meta.url), 'utf8');
  assert.ok(kept === (await page()), 'run `make built` and commit what it writes');
});
