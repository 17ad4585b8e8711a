// Everything goes wrong at once: nodes are stopped, killed and halted, so is Redis, browsers lose their connections, MAX
// misbehaves, while visitors arrive all the time. A seed draws the story; `make chaos` plays many.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chaos, report } from '../chaos/run.mjs';

const { SEED, SEEDS } = process.env;
const seeds = SEED ? [SEED] : Array.from({ length: Number(SEEDS ?? 1) }, (_, index) => String(index + 1));

for (const seed of seeds) {
  test(`seed ${seed}: everybody signs in, and sees each event once`, async (t) => {
    const played = await chaos(seed);
    t.diagnostic(JSON.stringify(played.figures));
    assert.equal(played.faults.length, 0, report(played));
  });
}
