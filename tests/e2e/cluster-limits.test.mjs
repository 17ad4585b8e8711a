// Limits that three nodes hold together: starts of one address, and logins in flight. While Redis is away each node holds
// its own.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { startCluster } from '../harness/cluster.mjs';
import { startEmulator } from '../harness/server.mjs';
import { Cleanup, isProblem } from '../harness/story.mjs';
import { eventually } from '../harness/time.mjs';
import { Visitor } from '../harness/visitor.mjs';

/** A start of an address comes back every ten seconds; whatever is asked here is over before. */
const PER_MINUTE = 6;
const TOTAL = 12;

const cleanup = new Cleanup();
after(() => cleanup.run());

let emulator;
before(async () => {
  emulator = cleanup.add(await startEmulator({ pollMs: 500 }));
});

/** So many starts of one address at once, each at the next node. Gives the answers. */
function starts(site, count, address) {
  return Promise.all(
    Array.from({ length: count }, async () => {
      const visitor = new Visitor(site.base);
      const answer = await visitor.request('', {
        method: 'POST',
        json: { userAgent: visitor.userAgent },
        // The balancer adds itself behind it, and is believed.
        headers: { 'x-forwarded-for': address },
      });
      return Object.assign(answer, { visitor });
    }),
  );
}

const counted = (answers) => {
  const count = {};
  for (const { status } of answers) count[status] = (count[status] ?? 0) + 1;
  return count;
};

test('starts of one address are counted at all nodes together, and at each while Redis is away', async () => {
  const site = await startCluster({ cleanup, emulator, settings: { LOGIN_STARTS_PER_MINUTE: String(PER_MINUTE) } });
  const answers = await starts(site, 5 * PER_MINUTE, '203.0.113.7');
  assert.deepEqual(counted(answers), { 200: PER_MINUTE, 429: 4 * PER_MINUTE });
  for (const answer of answers.filter(({ status }) => status === 429)) {
    const { retryAfter } = isProblem(answer, 429, 'rate-limited');
    assert.ok(retryAfter > 0 && retryAfter <= 60_000 / PER_MINUTE, answer.text);
  }
  assert.deepEqual(counted(await starts(site, 3, '203.0.113.8')), { 200: 3 }, 'another address is another one');

  await site.redis.stop('SIGKILL');
  const away = await starts(site, 5 * PER_MINUTE, '203.0.113.9');
  assert.deepEqual(counted(away), { 503: 3 * PER_MINUTE, 429: 2 * PER_MINUTE });
  for (const answer of away.filter(({ status }) => status === 503)) isProblem(answer, 503, 'busy');
  for (const answer of away.filter(({ status }) => status === 429)) isProblem(answer, 429, 'rate-limited');
});

test('logins in flight are counted at all nodes together, and room that is given back is used', async () => {
  const site = await startCluster({ cleanup, emulator, settings: { LOGIN_MAX_ACTIVE_TOTAL: String(TOTAL) } });
  const active = async () => (await Promise.all(site.nodes.map((node) => node.active()))).reduce((a, b) => a + b);
  const waiting = [];
  // A node that says how many it has in the very moment in which one more begins is one off until it says so again.
  const SLACK = site.nodes.length;
  for (let round = 0; round < 3; round++) {
    const answers = await starts(site, 2 * TOTAL, '203.0.113.7');
    for (const answer of answers.filter(({ status }) => status !== 200)) isProblem(answer, 503, 'busy');
    waiting.push(...answers.filter(({ status }) => status === 200));
    assert.ok(waiting.length <= TOTAL + SLACK, `${waiting.length} of ${TOTAL}`);
    if (round === 0) assert.ok(waiting.length >= TOTAL - SLACK, `${waiting.length} of ${TOTAL}`);
  }
  assert.equal(await active(), waiting.length);
  const leaving = waiting.splice(0, 5);
  for (const { visitor, json } of leaving) assert.equal((await visitor.giveUp(json.login)).status, 204);
  const again = () => starts(site, 1, '203.0.113.7').then(([answer]) => answer.status === 200 && answer);
  for (const _ of leaving) waiting.push(await eventually(again, 'room for one more', 10_000, 250));
  assert.ok((await active()) <= TOTAL + SLACK, `${await active()} of ${TOTAL}`);
});
