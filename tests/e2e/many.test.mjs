// Many sign in by the browser's module, and one in a real browser, while nodes are stopped and killed in turn: nobody's dialog
// dies, nobody sees an event twice, and a node that dies costs a fresh code. COUNT=1000 is what `make many` tries.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Chance } from '../chaos/chance.mjs';
import { dialogs } from '../chaos/dialog.mjs';
import { Ledger } from '../chaos/ledger.mjs';
import { watchKills } from '../chaos/run.mjs';
import { ClientVisitor } from '../chaos/visitors.mjs';
import { startBrowser } from '../harness/browser.mjs';
import { Node, startCluster } from '../harness/cluster.mjs';
import { startEmulator } from '../harness/server.mjs';
import { Cleanup } from '../harness/story.mjs';
import { eventually, pause } from '../harness/time.mjs';

const COUNT = Number(process.env.COUNT ?? 60);
const AT_ONCE = Math.min(100, COUNT);

/** Between two ends of nodes, in ms: whatever one causes is over before the next. */
const GAP = 16_000;

/**
 * A fresh code comes by then, in ms. The promise is ten seconds for a node that died, two for one that was stopped; these
 * tests share their machine.
 */
const WITHIN = { SIGTERM: 6000, SIGKILL: 14_000 };

const cleanup = new Cleanup();
after(() => cleanup.run());

let browser;
before(async () => {
  browser = cleanup.add(await startBrowser());
});

/** Ends one node after the other, a kill and a stop in turn, until `done()`. */
async function disturb(nodes, restMs, done, ends) {
  let next = performance.now() + 3000;
  for (let number = 0; ; number++) {
    while (performance.now() < next) {
      if (done()) return;
      await pause(100);
    }
    const [node, signal] = [nodes[number % nodes.length], number % 2 === 0 ? 'SIGKILL' : 'SIGTERM'];
    const end = { at: performance.now(), signal, name: node.name };
    ends.push(end);
    next = end.at + GAP;
    await node.stop(signal);
    end.stopMs = Math.round(performance.now() - end.at);
    await pause(restMs);
    await node.start();
    end.awayMs = Math.round(performance.now() - end.at);
  }
}

async function signInMany({ site, base, emulator, restMs }) {
  const ledger = new Ledger();
  const chance = new Chance('many', COUNT);
  const world = { ledger, site, base, emulator, chance, began: performance.now() };
  Object.assign(world, { storeWasLost: () => false, tells: () => [] });
  const visitors = [];
  const ends = [];
  let over = false;
  const stand = async () => {
    await pause(chance.between(0, 3000));
    while (visitors.length < COUNT && !over) {
      const plan = { transport: chance.pick(['ws', 'ws', 'sse', 'page']), thinkMs: chance.between(5000, 22_000) };
      const visitor = new ClientVisitor(`visitor ${visitors.length + 1}`, plan, world);
      visitors.push(visitor);
      await visitor.run().catch((error) => ledger.fault(`${visitor.name}: ${error.stack}`));
    }
  };
  const all = Promise.all(Array.from({ length: AT_ONCE }, stand)).then(() => {
    over = true;
  });
  let seen;
  try {
    const dialog = dialogs(browser, { base, emulator, done: () => over });
    [seen] = await Promise.all([dialog, disturb(site.nodes, restMs, () => over, ends), all]);
  } catch (error) {
    // Nobody goes on at a site that is not there.
    over = true;
    for (const visitor of visitors) Object.assign(visitor, { outcome: 'none' }).stop?.();
    throw error;
  }
  ledger.faults.push(...seen.faults);

  const late = [];
  let fresh = 0;
  const slowest = {};
  for (const { name, began, codesAt, attempts, log } of visitors) {
    if (attempts > 1) continue;
    const story = log.join(' | ');
    for (const at of codesAt.slice(1)) {
      fresh += 1;
      const end = ends.findLast((end) => end.at < at);
      const ms = Math.round(at - (end?.at ?? -Infinity));
      if (end) slowest[end.signal] = Math.max(slowest[end.signal] ?? 0, ms);
      // Where a node takes long to end and to start, everything does.
      if (!end || ms > WITHIN[end.signal] + 2 * end.awayMs) late.push(`${name}: a fresh code after ${ms} ms; ${story}`);
    }
    // From the start of the login, not its first code: that may have been written by a node that ended before it was read.
    const during = ends.filter(({ at }) => at > began - WITHIN.SIGTERM && at < codesAt.at(-1));
    if (codesAt.length - 1 > during.length) late.push(`${name}: more codes than nodes ended; ${story}`);
  }
  const figures = {
    logins: visitors.length,
    seconds: Math.round((performance.now() - world.began) / 1000),
    ends: ends.map(({ signal }) => signal).join(' '),
    success: visitors.filter(({ outcome }) => outcome === 'success').length,
    fresh,
    slowest,
    slowestStopMs: Math.max(...ends.map(({ stopMs }) => stopMs)),
    longestAwayMs: Math.max(...ends.map(({ awayMs }) => awayMs)),
    again: visitors.flatMap(({ refused }) => refused),
    lost: visitors.flatMap(({ lost }) => lost).length,
    events: ledger.events,
    chromium: { ...seen, faults: seen.faults.length },
  };
  return { figures, late, faults: ledger.faults, ends };
}

/** What a node took with it while it answered: the page tries again, or says so once. */
const rare = (figures) => figures.again.length <= figures.ends.split(' ').length;

function judge({ figures, late, faults }) {
  assert.deepEqual(faults.slice(0, 10), [], JSON.stringify(figures));
  assert.equal(figures.lost, 0);
  assert.equal(figures.success, COUNT);
  assert.deepEqual(late.slice(0, 10), [], JSON.stringify(figures));
  assert.ok(rare(figures), JSON.stringify(figures));
  assert.ok(figures.chromium.signedIn > 0);
  assert.ok(/SIGKILL SIGTERM/.test(figures.ends), figures.ends);
}

/** But for those whose node was killed while it ended them. */
function sessionsEnded(emulator, left) {
  const ended = async () => {
    const { logins, logouts } = await emulator.stats();
    return logins - logouts <= left;
  };
  return eventually(ended, `logins == logouts at MAX, but for ${left}`, 30_000);
}

test(`${COUNT} logins at three nodes, which end in turn`, async (t) => {
  const emulator = cleanup.add(await startEmulator({ pollMs: 300 }));
  const site = await startCluster({ cleanup, emulator });
  const killed = watchKills(site, emulator);
  const done = await signInMany({ site, base: site.base, emulator, restMs: 2000 });
  t.diagnostic(JSON.stringify(done.figures));
  judge(done);
  await sessionsEnded(emulator, killed.left);
});

test(`${COUNT} logins at one node over a file, which ends again and again`, async (t) => {
  const emulator = cleanup.add(await startEmulator({ pollMs: 300 }));
  const node = await Node.at('node', { upstream: [[emulator.url, 'binary']], settings: { LOG_LEVEL: 'info' } });
  cleanup.add(node);
  await node.start();
  const site = { nodes: [node], address: node.server.address };
  const done = await signInMany({ site, base: node.base, emulator, restMs: 500 });
  t.diagnostic(JSON.stringify(done.figures));
  judge(done);
  await sessionsEnded(emulator, node.leftOpen);
});
