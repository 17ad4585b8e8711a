// A story of what goes wrong, drawn from a seed, and how it is done to a cluster.

import { Chance } from './chance.mjs';
import { pause } from '../harness/time.mjs';

const NODES = [0, 1, 2];

/** What MAX does wrong: what its clients get over, and what they must tell (`tells`: the error that a visitor may see). */
const OF_MAX = [
  (c) => ({ faults: [{ on: 'connect', do: 'refuse', status: 503, times: c.between(5, 40) }] }),
  (c) => ({ faults: [{ on: 'connect', do: 'delay', ms: c.between(200, 1500), times: 20 }] }),
  (c) => ({ faults: [{ on: 'connect', do: 'half-open', times: c.between(1, 6) }] }),
  (c) => ({ faults: [{ on: 'any', do: 'cut', times: c.between(5, 60) }] }),
  (c) => ({ faults: [{ on: 288, do: 'cut', when: c.pick(['before', 'instead', 'after']), times: c.between(3, 20) }] }),
  (c) => ({ faults: [{ on: 288, do: 'half-open', times: c.between(1, 8) }] }),
  (c) => ({ faults: [{ on: 289, do: 'cut', when: c.pick(['before', 'instead', 'after']), times: c.between(3, 60) }] }),
  (c) => ({ faults: [{ on: 289, do: c.pick(['duplicate', 'push-collide']), times: c.between(10, 60) }] }),
  (c) => ({ faults: [{ on: 289, do: 'half-open', times: c.between(1, 15) }] }),
  (c) => ({ faults: [{ on: 291, do: 'delay', ms: c.between(200, 1200), times: c.between(3, 15) }] }),
  (c) => ({ faults: [{ on: 291, do: 'cut', when: 'before', times: c.between(1, 5) }] }),
  (c) => ({ faults: [{ on: 20, do: 'cut', when: c.pick(['before', 'instead', 'after']), times: c.between(1, 10) }] }),
  (c) => ({ faults: [{ on: 20, do: 'delay', ms: c.between(200, 1500), times: c.between(3, 15) }] }),
  (c) => ({
    faults: [{ on: 288, do: 'error', code: 'service.unavailable', times: c.between(1, 4) }],
    tells: ['max-trouble'],
  }),
];

/** Steps, each {at, do, …, ms}: begun `at` ms of the story, and undone `ms` later. */
export function drawStory(seed, lengthMs) {
  const chance = new Chance(seed, 'story');
  const steps = [];
  const track = (first, gap, draw) => {
    for (let at = chance.between(...first); at < lengthMs; at += chance.between(...gap)) {
      const step = { at, ...draw(at) };
      // Undone before the story ends.
      step.ms = Math.min(step.ms ?? 0, lengthMs - at);
      steps.push(step);
      at += step.ms;
    }
  };
  // Nodes one after the other; now and then two at once.
  const node = () => {
    const what = chance.pick(['SIGTERM', 'SIGTERM', 'SIGKILL', 'SIGKILL', 'halt']);
    const ms = what === 'halt' ? chance.between(500, 14_000) : chance.between(100, 4000);
    return { do: what, node: chance.pick(NODES), ms };
  };
  track([500, 3000], [300, 3000], node);
  track([5000, 15_000], [8000, 20_000], node);
  // The store: two of three stories.
  if (chance.happens(0.67)) {
    track([2000, 8000], [5000, 15_000], () => {
      const what = chance.pick(['SIGTERM', 'SIGKILL', 'halt', 'halt']);
      return { do: `store ${what}`, ms: chance.between(300, 8000) };
    });
  }
  track([500, 4000], [500, 4000], () =>
    chance.pick([
      () => ({ do: 'cut browsers', ms: 0 }),
      () => ({ do: 'stall browsers', ms: 0 }),
      () => ({ do: 'delay browsers', delayMs: chance.between(50, 800), ms: chance.between(500, 4000) }),
      () => ({ do: 'refuse browsers', ms: chance.between(200, 2000) }),
    ])(),
  );
  track([500, 4000], [500, 5000], () => ({
    do: 'MAX',
    ...chance.pick(OF_MAX)(chance),
    ms: chance.between(1000, 5000),
  }));
  return steps.sort((a, b) => a.at - b.at);
}

export const words = (step) => {
  const { at, ms, do: what, node, ...rest } = step;
  const more = Object.keys(rest).length > 0 ? ` ${JSON.stringify(rest)}` : '';
  const which = node === undefined ? '' : ` node${node + 1}`;
  return `${(at / 1000).toFixed(1)} s: ${what}${which}${more}${ms ? ` for ${ms} ms` : ''}`;
};

/** Does it. One thing at a time to each node and to the store; what is undone late is undone all the same. */
export async function play(steps, { site, relay, emulator, stopped = () => false }) {
  const began = performance.now();
  const queues = new Map();
  const inTurn = (who, act) => {
    const turn = (queues.get(who) ?? Promise.resolve()).then(act);
    queues.set(
      who,
      turn.catch(() => {}),
    );
    return turn;
  };
  const acts = [];
  for (const step of steps) {
    await pause(Math.max(0, step.at - (performance.now() - began)));
    if (stopped()) break;
    acts.push(inTurn(subject(step), () => act(step, { site, relay, emulator })));
  }
  await Promise.all(acts);
}

const subject = ({ do: what, node }) =>
  node !== undefined ? `node ${node}` : what.startsWith('store') ? 'store' : what;

async function act(step, { site, relay, emulator }) {
  const { do: what, ms } = step;
  const halted = async (it) => {
    it.halt();
    await pause(ms);
    it.go();
  };
  const ended = async (it, signal) => {
    await it.stop(signal);
    await pause(ms);
    await it.start();
  };
  if (step.node !== undefined) {
    const node = site.nodes[step.node];
    return what === 'halt' ? halted(node) : ended(node, what);
  }
  switch (what) {
    case 'store halt':
      return halted(site.redis);
    case 'store SIGTERM':
    case 'store SIGKILL':
      return ended(site.redis, what.slice('store '.length));
    case 'cut browsers':
      return relay.cut();
    case 'stall browsers':
      return relay.stall();
    case 'delay browsers':
      relay.delayMs = step.delayMs;
      await pause(ms);
      relay.delayMs = 0;
      return;
    case 'refuse browsers':
      relay.refusing = true;
      await pause(ms);
      relay.refusing = false;
      return;
    case 'MAX':
      await emulator.fault(...step.faults);
      await pause(ms);
      return emulator.fault();
    default:
      throw new Error(`no step called ${what}`);
  }
}
