// A dozen of the chains and more in a real Chromium: HTTP/2, its own connection pool, its own WebSocket.

import test, { after, before, describe } from 'node:test';
import assert from 'node:assert/strict';
import { startChromium } from './chromium.mjs';
import { atLeastAsGood, measuredLogin } from './login.mjs';
import { chosen, pool, publish, table } from './report.mjs';
import { missing, startChain, startMax } from './setup.mjs';

const WIDTH = 2;
const chains = chosen((chain) => chain.browser);
const results = new Map();
let max;
let chromium;

async function measure(chain) {
  let running;
  try {
    running = await startChain(chain, max);
    const page = await chromium.page(running);
    const result = await measuredLogin(running, max, page);
    // A WebSocket that fails is a message on the console by itself; a policy or a foreign address is not.
    const complaints = page.profile.complaints.filter(
      (text) => !/^console (error|warning): (Failed to load resource|WebSocket connection)/.test(text),
    );
    result.faults.push(...complaints);
    return result;
  } catch (error) {
    return {
      name: chain.name,
      transport: '-',
      firstMs: NaN,
      worstMs: NaN,
      faults: [`did not start: ${error.stack}`],
      timing: [],
      report: [],
    };
  } finally {
    await running?.stop();
  }
}

const ms = (number) => (Number.isFinite(number) ? String(Math.round(number)) : '-');

describe('in Chromium', () => {
  before(
    async () => {
      max = await startMax();
      chromium = await startChromium();
      const here = chains.filter((chain) => missing(chain).length === 0);
      if (here.length > 0) await measure({ ...here[0], stayMs: 0 });
      await pool(here, WIDTH, async (chain) => results.set(chain.name, await measure(chain)));
      for (const chain of here) {
        const before = results.get(chain.name);
        if (before.timing.length === 0 || before.faults.length > 0) continue;
        results.set(chain.name, { ...(await measure(chain)), first: before.timing });
      }
    },
    { timeout: 600_000 },
  );

  after(async () => {
    await chromium?.stop();
    await max?.stop();
    const rows = chains
      .filter(({ name }) => results.has(name))
      .map(({ name }) => {
        const { transport, firstMs, worstMs, faults, timing } = results.get(name);
        return [
          name,
          transport,
          ms(firstMs),
          ms(worstMs),
          faults.length > 0 ? 'FAILED' : timing.length > 0 ? 'LATE' : 'live',
        ];
      });
    publish('chromium', table(['chain', 'carried by', 'first event, ms', 'worst lateness, ms', 'verdict'], rows), {
      whole: !process.env.ONLY && process.env.FAST !== '1',
    });
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
