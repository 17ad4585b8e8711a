// @ts-check
// What is built out of web/ and kept beside it is what these sources give.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { test } from 'node:test';

const { BUILT, built } = createRequire(import.meta.url)('../../scripts/built');

for (const name of Object.keys(BUILT)) {
  test(`web/built/${name}.js is what ${BUILT[name].map((/** @type {string} */ module) => `web/${module}.js`)} give`, async () => {
    const kept = readFileSync(new URL(`../../web/built/${name}.js`, import.meta.url), 'utf8');
    assert.ok(kept === (await built(name)), 'run `make built` and commit what it writes');
  });
}
