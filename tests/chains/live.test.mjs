// Every chain: a login over it, each event live, once, in order. The measuring comes first, four chains at a time; what
// was late is measured again with nothing beside it, because a busy machine is late by itself and a proxy always.

import test, { after, before, describe } from 'node:test';
import assert from 'node:assert/strict';
import { LOST } from './chains.mjs';
import { atLeastAsGood, measuredLogin } from './login.mjs';
import { chosen, pool, publish, table, versions } from './report.mjs';
import { missing, startChain, startMax } from './setup.mjs';

const WIDTH = 4;
// And one on which only the beginning is refused: the doctor has it among the lost.
const chains = [
  ...chosen(),
  ...LOST.filter(
    ({ name, best }) => best && new RegExp(process.env.ONLY || '.').test(name) && process.env.FAST !== '1',
  ),
];
const results = new Map();
let max;

async function measure(chain) {
  let running;
  try {
    running = await startChain(chain, max);
    return await measuredLogin(running, max);
  } catch (error) {
    return {
      name: chain.name,
      transport: '-',
      firstMs: NaN,
      worstMs: NaN,
      faults: [`did not start: ${error.message}`],
      timing: [],
      report: [],
    };
  } finally {
    await running?.stop();
  }
}

const ms = (number) => (Number.isFinite(number) ? String(Math.round(number)) : '-');

describe('every event live, once, in order', () => {
  before(
    async () => {
      max = await startMax();
      const here = chains.filter((chain) => missing(chain).length === 0);
      // The first login of a process pays for what Node compiles and loads.
      if (here.length > 0) await measure({ ...here[0], stayMs: 0 });
      await pool(here, WIDTH, async (chain) => results.set(chain.name, await measure(chain)));
      for (const chain of here) {
        const before = results.get(chain.name);
        if (before.timing.length === 0 || before.faults.length > 0) continue;
        const again = await measure(chain);
        results.set(chain.name, { ...again, first: before.timing });
      }
    },
    { timeout: 900_000 },
  );

  after(async () => {
    await max?.stop();
    const rows = chains.map((chain) => {
      const result = results.get(chain.name);
      if (!result) return [chain.name, '-', '-', '-', 'not installed', chain.what || 'nothing'];
      const verdict = result.faults.length > 0 ? 'FAILED' : result.timing.length > 0 ? 'LATE' : 'live';
      return [chain.name, result.transport, ms(result.firstMs), ms(result.worstMs), verdict, chain.what || 'nothing'];
    });
    const live = rows.filter(([, , , , verdict]) => verdict === 'live').length;
    publish(
      'live',
      [
        table(
          ['chain', 'carried by', 'first event, ms', 'worst lateness, ms', 'verdict', 'what is wrong with it'],
          rows,
        ),
        '',
        `Live on ${live} of ${rows.length}. ${versions()}.`,
      ].join('\n'),
      { whole: process.env.FAST !== '1' && !process.env.ONLY },
    );
  });

  for (const chain of chains) {
    test(
      chain.name,
      { skip: missing(chain).length > 0 && `not installed: ${missing(chain)} (scripts/setup chains)` },
      (t) => {
        const result = results.get(chain.name);
        if (result.first) t.diagnostic(`measured twice; on the busy machine: ${result.first.join('; ')}`);
        const told = `\nclient: ${JSON.stringify(result.report)}`;
        assert.deepEqual(result.faults, [], `${result.faults.join('\n')}${told}`);
        assert.deepEqual(result.timing, [], `${result.timing.join('\n')}${told}`);
        assert.ok(
          atLeastAsGood(result.transport, chain.best),
          `carried by ${result.transport}, should be ${chain.best}${told}`,
        );
      },
    );
  }
});
