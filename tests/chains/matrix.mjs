// Logins over many chains: measured several at a time, then each is a test. What was late is measured again with nothing
// beside it, because a busy machine is late by itself and a proxy always.

import assert from 'node:assert/strict';
import test, { after, before, describe } from 'node:test';
import { atLeastAsGood } from './login.mjs';
import { pool } from './report.mjs';
import { missing } from './setup.mjs';

const ms = (number) => (Number.isFinite(number) ? String(Math.round(number)) : '-');

/** Cells of a table: what carried it, the first event, the worst lateness, the verdict. */
export const cells = ({ transport, firstMs, worstMs, faults, timing }) => {
  const verdict = faults.length > 0 ? 'FAILED' : timing.length > 0 ? 'LATE' : 'live';
  return [transport, ms(firstMs), ms(worstMs), verdict];
};

/**
 * `measure(chain)` gives what measuredLogin gives; what it throws is a fault. `prepare` and `end` are around everything;
 * `end` gets the results by name.
 */
export function matrix(title, chains, { width, timeout, prepare, measure, end }) {
  const results = new Map();
  const measured = async (chain) => {
    try {
      return await measure(chain);
    } catch (error) {
      const faults = [`did not start: ${error.stack}`];
      return { name: chain.name, transport: '-', firstMs: NaN, worstMs: NaN, faults, timing: [], report: [] };
    }
  };

  describe(title, () => {
    before(
      async () => {
        await prepare();
        const here = chains.filter((chain) => missing(chain).length === 0);
        // The first login of a process pays for what Node compiles and loads.
        if (here.length > 0) await measured({ ...here[0], stayMs: 0 });
        await pool(here, width, async (chain) => results.set(chain.name, await measured(chain)));
        for (const chain of here) {
          const { timing, faults } = results.get(chain.name);
          if (timing.length === 0 || faults.length > 0) continue;
          results.set(chain.name, { ...(await measured(chain)), first: timing });
        }
      },
      { timeout },
    );
    after(() => end(results));

    for (const chain of chains) {
      const absent = missing(chain);
      const skip = absent.length > 0 && `not installed: ${absent} (scripts/setup chains)`;
      test(chain.name, { skip }, (t) => {
        const result = results.get(chain.name);
        if (result.first) t.diagnostic(`measured twice; on the busy machine: ${result.first.join('; ')}`);
        const told = `\nclient: ${JSON.stringify(result.report)}`;
        assert.deepEqual(result.faults, [], `${result.faults.join('\n')}${told}`);
        assert.deepEqual(result.timing, [], `${result.timing.join('\n')}${told}`);
        const carried = `carried by ${result.transport}, should be ${chain.best}${told}`;
        assert.ok(atLeastAsGood(result.transport, chain.best), carried);
      });
    }
  });
}
