// One story, from its seed to its findings.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { startCluster } from '../harness/cluster.mjs';
import { fetchWhole } from '../harness/http.mjs';
import { startRelay } from '../harness/relay.mjs';
import { startEmulator } from '../harness/server.mjs';
import { Cleanup } from '../harness/story.mjs';
import { deadline, eventually, pause } from '../harness/time.mjs';
import { BASE_PATH } from '../harness/server.mjs';
import { Chance } from './chance.mjs';
import { Ledger } from './ledger.mjs';
import { drawStory, play, words } from './story.mjs';
import { ClientVisitor, ReaderVisitor, drawPlan } from './visitors.mjs';
import { Writers } from './writers.mjs';

/** After the last fault is undone: by then everybody has signed in, or been told why not. */
const HEAL_MS = 90_000;

/** What the log of a node says of a MAX session that it could not end. */
const NOT_ENDED =
  /a MAX session could not be ended|the connection was cut while MAX was opening a session|stopped while MAX was opening/g;

/**
 * Plays the story of a seed. Gives {faults, steps, figures}; `faults` is empty where all went well, and each visitor who
 * had one has a line in `told`.
 */
export async function chaos(seed, { storyMs = 20_000, atOnce = 60 } = {}) {
  const cleanup = new Cleanup();
  const steps = drawStory(seed, storyMs);
  const ledger = new Ledger();
  const visitors = [];
  let figures = {};
  let site;
  try {
    const emulator = cleanup.add(await startEmulator({ pollMs: 150 }));
    site = await startCluster({ cleanup, emulator, settings: { UPSTREAM_ANSWER_TIMEOUT: '3s' } });
    const relay = cleanup.add(await startRelay(site.bind));
    const writers = new Writers(emulator, (text) => ledger.fault(text));
    cleanup.add({ stop: () => writers.stop() });
    const outputs = keepOutputs(site);
    const killed = watchKills(site, emulator);

    const began = performance.now();
    const storeEnds = steps.filter((step) => /^store SIGKILL/.test(step.do));
    const world = {
      ledger,
      site,
      emulator,
      began,
      base: `http://127.0.0.1:${relay.port}${BASE_PATH}`,
      chance: new Chance(seed, 'ways'),
      // Redis writes its file once a second: what it said in the last one may be lost when it is killed.
      storeWasLost: () => storeEnds.some((step) => performance.now() - began > step.at),
      tells: () => steps.flatMap((step) => step.tells ?? []),
    };

    let arriving = true;
    const plans = new Chance(seed, 'plans');
    const stand = async () => {
      // Not all in one moment.
      await pause(plans.between(0, 4000));
      while (arriving) {
        const number = visitors.length + 1;
        const plan = drawPlan(plans);
        const Kind = plan.kind === 'client' ? ClientVisitor : ReaderVisitor;
        const visitor = new Kind(`visitor ${number}`, plan, world);
        visitors.push(visitor);
        await visitor.run().catch((error) => ledger.fault(`${visitor.name}: ${error.stack}`));
      }
    };
    const all = Promise.all(Array.from({ length: atOnce }, stand));
    await play(steps, { site, relay, emulator });
    await pause(Math.max(0, storyMs - (performance.now() - began)));
    arriving = false;
    const healed = performance.now();
    await deadline(all, HEAL_MS, 'all visitors').catch(() => {
      for (const visitor of visitors.filter(({ outcome }) => outcome === undefined)) {
        visitor.fault(`${HEAL_MS / 1000} s after the last fault it has no end`);
        visitor.outcome = 'none';
        visitor.stop?.();
      }
    });
    const healMs = performance.now() - healed;
    await writers.stop();

    const open = await sessionsLeft(emulator, killed, outputs, ledger);
    await nodesAreWell(site, outputs, ledger);
    const stats = await emulator.stats();
    const count = (of) => visitors.reduce((sum, visitor) => sum + of(visitor), 0);
    figures = {
      visitors: visitors.length,
      success: count(({ outcome }) => Number(outcome === 'success')),
      cancelled: count(({ outcome }) => Number(outcome === 'cancelled')),
      attempts: count(({ attempts }) => attempts),
      codes: count(({ codesAt }) => codesAt.length),
      lost: count(({ lost }) => lost.length),
      refused: Object.fromEntries(
        [...new Set(visitors.flatMap(({ refused }) => refused))].map((code) => [
          code,
          count(({ refused }) => refused.filter((each) => each === code).length),
        ]),
      ),
      events: ledger.events,
      logins: stats.logins,
      logouts: stats.logouts,
      open,
      ofKills: killed.left,
      askedForOldMs: Math.round(writers.longestMs),
      healMs: Math.round(healMs),
    };
  } catch (error) {
    ledger.fault(`the run itself: ${error.stack}`);
  } finally {
    await cleanup.run().catch((error) => ledger.fault(`at the end: ${error.message}`));
  }
  const told = visitors
    .filter(({ name }) => ledger.faults.some((fault) => new RegExp(`${name}\\b`).test(fault)))
    .slice(0, 8)
    .map((visitor) => `${visitor.name} ${JSON.stringify(visitor.plan)}: ${visitor.log.join(' | ')}`);
  return { seed, faults: ledger.faults, steps: steps.map(words), told, figures };
}

/** What each process of each node printed, those that ended included. */
function keepOutputs(site) {
  const processes = new Set(site.nodes.map(({ server }) => server));
  for (const node of site.nodes) {
    const { start } = node;
    node.start = async () => {
      await start.call(node);
      processes.add(node.server);
    };
  }
  return () => [...processes].map(({ name, output }) => `--- ${name}\n${output}`).join('\n');
}

/** A node that is killed leaves what it was about to end: at most what is open in that moment. */
export function watchKills(site, emulator) {
  const killed = { left: 0 };
  for (const node of site.nodes) {
    const { stop } = node;
    node.stop = async (signal) => {
      const ended = await stop.call(node, signal);
      if (signal === 'SIGKILL') {
        const { logins, logouts } = await emulator.stats();
        killed.left += Math.max(0, logins - logouts - killed.left);
      }
      return ended;
    };
  }
  return killed;
}

/** Every sign-in at MAX was ended there, but for those whose node was killed in that moment, and those that it told. */
async function sessionsLeft(emulator, killed, outputs, ledger) {
  const excused = () => killed.left + (outputs().match(NOT_ENDED) ?? []).length;
  const open = (stats) => stats.logins - stats.logouts;
  await eventually(async () => open(await emulator.stats()) <= excused(), 'sessions at MAX to end', 30_000).catch(
    () => {},
  );
  const stats = await emulator.stats();
  if (open(stats) > excused()) {
    ledger.fault(`MAX keeps ${open(stats)} sessions of ${stats.logins}; ${excused()} of them are accounted for`);
    const folder = process.env.CHAOS_LOGS;
    if (folder) writeFileSync(join(folder, 'nodes.log'), outputs());
  }
  return open(stats);
}

async function nodesAreWell(site, outputs, ledger) {
  for (const { name, server } of site.nodes) {
    const answer = await fetchWhole(`${server.ops}/readyz`).catch((error) => ({ text: error.message }));
    if (answer.status !== 200) ledger.fault(`${name} is not ready: ${answer.text}`);
    const crashed = (await server.metrics().catch(() => '')).match(/^max_auth_tasks_crashed_total.* [1-9].*/m);
    if (crashed) ledger.fault(`${name}: ${crashed[0]}`);
  }
  const panic = outputs().match(/.*panicked.*/);
  if (panic) ledger.fault(panic[0]);
}

/** For whoever reads why a test failed. */
export function report({ seed, faults, steps, told, figures }) {
  return [
    `seed ${seed} (make chaos SEED=${seed}):`,
    ...faults.slice(0, 12).map((fault) => `  - ${fault}`),
    ...(faults.length > 12 ? [`  … ${faults.length} in all`] : []),
    `the story: ${steps.join('; ')}`,
    ...told,
    JSON.stringify(figures),
  ].join('\n');
}
