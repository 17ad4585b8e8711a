// A quiet login: the visitor looks for the phone, the next event comes after QUIET seconds (40). All chains at once. Nobody
// sees a disconnect, nothing is lost or doubled, and what comes then comes at once.

import test, { after, before, describe } from 'node:test';
import assert from 'node:assert/strict';
import { pause } from '../harness/time.mjs';
import { LIVE_MS, Login } from './login.mjs';
import { chosen, publish, table } from './report.mjs';
import { missing, startChain, startMax } from './setup.mjs';

const QUIET_MS = 1000 * Number(process.env.QUIET ?? 40);
const STAGGER_MS = 150; // approvals one after another: it is the proxies that are measured, not this machine
const chains = chosen();
const results = new Map();
let max;

async function quietLogin(running, turn) {
  const login = new Login(running, max);
  const result = { faults: [], timing: [], transport: '-', worstMs: NaN };
  try {
    await pause(turn * STAGGER_MS);
    await login.start();
    const qr = await login.until('qr', 'the code', 30_000);
    const told = login.told.length;
    await pause(QUIET_MS);
    // What happened in between is nobody's business: not a word more than the emulator's own "waiting".
    const extra = login.told.slice(told).filter(({ event, data }) => !(event === 'status' && data.stage === 'waiting'));
    if (extra.length > 0)
      result.faults.push(
        `the visitor was told of ${extra.map(({ event, data }) => `${event} ${data.code ?? data.stage ?? ''}`)}`,
      );
    result.transport = login.browser.transport;
    await login.approve(qr);
    await login.outcome(30_000);
    login.assertWhole();
    const late = login.lateness().slice(-3);
    result.worstMs = Math.max(...late.map(({ ms }) => ms));
    for (const { event, stage, ms, transport } of late)
      if (ms > LIVE_MS) result.timing.push(`${stage ?? event} ${ms.toFixed(0)} ms late (${transport})`);
    result.reconnects = login.browser.count('websocket') - 1;
    result.pages = login.browser.count('long-poll');
  } catch (error) {
    result.faults.push(error.message);
  } finally {
    result.report = await login.browser.report();
    await login.stop();
  }
  return result;
}

async function round(list) {
  const running = [];
  for (const chain of list) {
    try {
      running.push(await startChain(chain, max));
    } catch (error) {
      results.set(chain.name, {
        faults: [`did not start: ${error.message}`],
        timing: [],
        transport: '-',
        worstMs: NaN,
        report: [],
      });
    }
  }
  await Promise.all(
    running.map(async (each, turn) => {
      const before = results.get(each.chain.name)?.timing;
      results.set(each.chain.name, { ...(await quietLogin(each, turn)), first: before });
      await each.stop();
    }),
  );
}

describe(`a login that is quiet for ${QUIET_MS / 1000} s`, () => {
  before(
    async () => {
      max = await startMax();
      const here = chains.filter((chain) => missing(chain).length === 0);
      await round(here);
      const late = here.filter(
        ({ name }) => results.get(name).timing.length > 0 && results.get(name).faults.length === 0,
      );
      if (late.length > 0) await round(late);
    },
    { timeout: 600_000 },
  );

  after(async () => {
    await max?.stop();
    const rows = chains
      .filter(({ name }) => results.has(name))
      .map(({ name }) => {
        const { faults, timing, transport, worstMs, reconnects, pages } = results.get(name);
        return [
          name,
          transport,
          Number.isFinite(worstMs) ? Math.round(worstMs) : '-',
          reconnects ?? '-',
          pages ?? '-',
          faults.length > 0 ? 'FAILED' : timing.length > 0 ? 'LATE' : 'quiet',
        ];
      });
    publish(
      'quiet',
      [
        table(['chain', 'carried by', 'worst lateness, ms', 'WebSockets opened again', 'requests', 'verdict'], rows),
        '',
        `No disconnect shown on ${rows.filter((row) => row[5] !== 'FAILED').length} of ${rows.length}.`,
      ].join('\n'),
      { whole: !process.env.ONLY && process.env.FAST !== '1' },
    );
  });

  for (const chain of chains) {
    test(
      chain.name,
      { skip: missing(chain).length > 0 && `not installed: ${missing(chain)} (scripts/setup chains)` },
      () => {
        const result = results.get(chain.name);
        const told = `\nclient: ${JSON.stringify(result.report)}`;
        assert.deepEqual(result.faults, [], `${result.faults.join('\n')}${told}`);
        assert.deepEqual(result.timing, [], `${result.timing.join('\n')}${told}`);
      },
    );
  }
});
