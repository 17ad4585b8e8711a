// Three nodes, a balancer that gives each request to the next one, one Redis: the files of deploy/cluster, run. Nodes are
// stopped and killed, Redis goes away and comes back; whoever waits goes on at the same login.

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { startCluster } from '../harness/cluster.mjs';
import { BINARY } from '../harness/paths.mjs';
import { fetchWhole } from '../harness/http.mjs';
import { run, tempFolder } from '../harness/process.mjs';
import { environment, startEmulator } from '../harness/server.mjs';
import { Cleanup, everyLoginEnded, isProblem, signIn, untilCode } from '../harness/story.mjs';
import { eventually, pause } from '../harness/time.mjs';
import { Visitor, WAYS_BACK, trackOf } from '../harness/visitor.mjs';

/** Visitors who wait while Redis is away. */
const WAITING = Number(process.env.WAITING ?? 60);

const cleanup = new Cleanup();
after(() => cleanup.run());

let emulator;
let site;
before(async () => {
  emulator = cleanup.add(await startEmulator({ pollMs: Math.max(20, WAITING), args: ['--ttl-ms', '600000'] }));
  site = await startCluster({ cleanup, emulator });
});

/** The same browser at one node, past the balancer. */
const at = (node, visitor) => new Visitor(node.base, { jar: visitor.jar, origin: visitor.origin });
const nobodyWaits = () =>
  eventually(async () => (await Promise.all(site.nodes.map((node) => node.active()))).every((n) => n === 0), 'quiet');
const ids = (events) => events.map(({ id }) => id);

for (const how of ['ws', 'sse', 'page']) {
  test(`signing in over ${how}, each request at the next node`, () => signIn({ emulator, base: site.base, how }));
}

for (const way of WAYS_BACK) {
  test(`a browser that comes back to another node goes on at its position (${way})`, async () => {
    await nobodyWaits();
    const visitor = new Visitor(site.base);
    const stream = await visitor.startWs();
    const { login, track } = await untilCode(stream);
    await stream.until('status');
    const last = stream.events.at(-1);
    await stream.cut();
    const owner = await site.ownerOf();
    const other = site.nodes.find((node) => node !== owner);
    const back = await at(other, visitor).resume(way, login, last.id);
    await emulator.approve(track);
    const success = await back.outcome();
    assert.equal(success.event, 'success', JSON.stringify(success));
    const all = ids([...stream.events, ...back.events]);
    assert.deepEqual(all, [...new Set(all)], 'nothing twice');
    assert.deepEqual(
      all.map((id) => Number(id.split('-')[1])),
      all.map((_, index) => index + 1),
      'in order, nothing left out',
    );
    assert.equal((await visitor.callback(success.data.token)).status, 303);
    assert.equal((await visitor.callback(success.data.token)).status, 400, 'once, at whichever node');
  });
}

test('giving up, and the password, reach the owner from any node', async () => {
  await nobodyWaits();
  const visitor = new Visitor(site.base);
  const stream = await visitor.startWs();
  const { login } = await untilCode(stream);
  const owner = await site.ownerOf();
  const other = site.nodes.find((node) => node !== owner);
  assert.equal((await at(other, visitor).giveUp(login)).status, 204);
  const end = await stream.outcome(3000);
  assert.equal(end.data.code, 'cancelled');
  isProblem(await at(other, visitor.stranger()).giveUp(login), 404, 'login-not-found');
});

test('a session that was ended at one node is ended at all', async () => {
  const { visitor } = await signIn({ emulator, base: site.base, how: 'page' });
  const cookies = visitor.jar.copy();
  assert.equal((await at(site.nodes[0], visitor).request('/logout', { method: 'POST' })).status, 204);
  for (const node of site.nodes) {
    const again = new Visitor(node.base, { jar: cookies.copy(), origin: visitor.origin });
    assert.equal((await again.session()).status, 401, node.name);
  }
});

for (const [signal, within] of [
  ['SIGTERM', 2500],
  ['SIGKILL', 10_000],
]) {
  test(`an owner that gets ${signal} is replaced, at one fresh code`, async () => {
    await nobodyWaits();
    const visitor = new Visitor(site.base);
    const first = await visitor.startWs();
    const { login, track } = await untilCode(first);
    await first.until('status');
    await first.cut();
    const owner = await site.ownerOf();
    const other = site.nodes.find((node) => node !== owner);
    const stream = await at(other, visitor).resume('ws-url', login, first.events.at(-1).id);
    await pause(300);
    const began = performance.now();
    owner.stop(signal);
    const qr = await stream.until('qr', within + 2000);
    const took = performance.now() - began;
    assert.ok(took < within, `${Math.round(took)} ms`);
    assert.notEqual(trackOf(qr), track);
    await emulator.approve(trackOf(qr));
    assert.equal((await stream.outcome()).event, 'success');
    assert.equal(stream.events.filter(({ event }) => event === 'qr').length, 1, 'one fresh code');
    await owner.server.exited;
    await owner.start();
  });
}

describe('while Redis is away for 20 s', () => {
  test('who waits goes on, who comes is told when to come back, nobody crashes', async () => {
    await nobodyWaits();
    const waiting = [];
    for (let number = 0; number < WAITING; number++) {
      const visitor = new Visitor(site.base);
      const page = await eventually(() => visitor.startPage(), 'a start', 30_000, 250);
      const stream = visitor.pages(page.login, page.next, { patient: true });
      waiting.push({ visitor, stream });
    }
    for (const each of waiting) each.track = trackOf(await each.stream.until('qr'));
    // What Redis was told in its last second may be lost (appendfsync everysec); this is about being away.
    await pause(2500);
    await site.redis.stop('SIGKILL');
    await pause(1500);
    const began = performance.now();
    const newcomer = new Visitor(site.base);
    const refused = await newcomer.request('', { method: 'POST', json: { userAgent: newcomer.userAgent } });
    assert.ok(isProblem(refused, 503, 'busy').retryAfter > 0);
    assert.ok(performance.now() - began < 2000);
    await pause(18_000);
    for (const node of site.nodes) {
      assert.match(await node.ready(), /store/);
      assert.equal((await fetchWhole(`${node.server.ops}/healthz`)).status, 200);
    }
    await site.redis.start();
    await eventually(async () => (await newcomer.startPage()).login, 'a new login', 10_000).catch(() => {});
    for (const each of waiting) {
      if (each.stream.ended) continue;
      const qr = await each.stream.until('qr', 20_000);
      each.track = trackOf(qr);
    }
    const died = waiting.map(({ stream }) => stream.ended?.error?.message ?? stream.ended).filter(Boolean);
    for (const { stream, track } of waiting) {
      if (stream.ended) continue;
      await emulator.approve(track);
      assert.equal((await stream.outcome()).event, 'success');
      assert.ok(stream.events.filter(({ event }) => event === 'qr').length <= 2, 'one fresh code at most');
    }
    assert.deepEqual(died, [], 'nobody had to begin anew');
  });
});

test('what redis needs and has not is one sentence', async () => {
  const serve = (settings) =>
    run(BINARY, ['serve'], { env: environment({ STORE_KIND: 'redis', ...settings }), ms: 5000 });
  const key = join(tempFolder('key'), 'store.key');
  writeFileSync(key, Buffer.alloc(32, 5));
  for (const [settings, said] of [
    [{ STORE_KEY_FILE: key }, /store\.url.*is needed/],
    [{ STORE_URL: site.redis.url }, /store\.key_file.*is needed/],
    [{ STORE_KEY_FILE: key, STORE_URL: 'http://u:hush@r' }, /no address of a Redis/],
  ]) {
    const { code, output } = await serve(settings);
    assert.ok(code === 1 || code === 2, `${code} ${output}`);
    assert.match(output, said);
    assert.doesNotMatch(output, /hush/);
    assert.equal(output.trim().split('\n').length, 1, output);
  }
});

test('MAX keeps no session of those who signed in', () => everyLoginEnded(emulator));
