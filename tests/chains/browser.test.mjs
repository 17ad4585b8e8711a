// A dozen of the chains and more in a real Chromium: HTTP/2, its own connection pool, its own WebSocket.

import { startChromium } from './chromium.mjs';
import { measuredLogin } from './login.mjs';
import { cells, matrix } from './matrix.mjs';
import { chosen, publish, table } from './report.mjs';
import { startChain, startMax } from './setup.mjs';

const chains = chosen((chain) => chain.browser);
// A WebSocket that fails is a message on the console by itself; a policy or a foreign address is not.
const EXPECTED = /^console (error|warning): (Failed to load resource|WebSocket connection)/;
let max;
let chromium;

matrix('in Chromium', chains, {
  width: 2,
  timeout: 600_000,
  prepare: async () => {
    max = await startMax();
    chromium = await startChromium();
  },
  measure: async (chain) => {
    const running = await startChain(chain, max);
    try {
      const page = await chromium.page(running);
      const result = await measuredLogin(running, max, page);
      result.faults.push(...page.profile.complaints.filter((text) => !EXPECTED.test(text)));
      return result;
    } finally {
      await running.stop();
    }
  },
  end: async (results) => {
    await chromium?.stop();
    await max?.stop();
    const rows = chains.filter(({ name }) => results.has(name)).map(({ name }) => [name, ...cells(results.get(name))]);
    publish('chromium', table(['chain', 'carried by', 'first event, ms', 'worst lateness, ms', 'verdict'], rows), {
      whole: !process.env.ONLY && process.env.FAST !== '1',
    });
  },
});
