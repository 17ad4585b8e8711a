// How the server ends while MAX is opening a session: gently, in a hurry, or killed. What could be ended was, and what
// could not is told: in the log of the stop, and of the next start.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { startEmulator, startServer } from '../harness/server.mjs';
import { tempFolder } from '../harness/process.mjs';
import { Cleanup, untilCode } from '../harness/story.mjs';
import { eventually } from '../harness/time.mjs';
import { Visitor } from '../harness/visitor.mjs';

const cleanup = new Cleanup();
after(() => cleanup.run());

let emulator;
before(async () => {
  emulator = cleanup.add(await startEmulator({ pollMs: 20 }));
});

/** A server with one login that MAX is opening: its answer to LOGIN_BY_QR takes `ms`. */
async function inFlight(ms, { settings = {}, state = tempFolder('state') } = {}) {
  const server = cleanup.add(
    await startServer({ upstream: [[emulator.url, 'binary']], state, settings: { LOG_LEVEL: 'info', ...settings } }),
  );
  const visitor = new Visitor(server.base);
  const stream = await visitor.startWs();
  const { track } = await untilCode(stream);
  const { logins } = await emulator.stats();
  await emulator.fault({ on: 291, do: 'delay', ms });
  await emulator.approve(track);
  await eventually(async () => (await emulator.stats()).logins > logins, 'MAX to open the session');
  return { server, stream, state };
}

const mark = (state) => Number(readFileSync(join(state, 'open-logins'), 'utf8'));
const left = async () => {
  const { logins, logouts } = await emulator.stats();
  return logins - logouts;
};

for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP']) {
  test(`${signal} hears MAX out and ends the session`, async () => {
    const open = await left();
    const { server, stream, state } = await inFlight(1500);
    assert.equal(mark(state), 1, 'marked before MAX was asked');
    assert.deepEqual(await server.stop(signal), { code: 0, signal: null }, server.output.slice(-2000));
    await stream.ends(3000);
    assert.equal(await left(), open);
    assert.equal(mark(state), 0);
    assert.doesNotMatch(server.output, /left open/);
  });
}

test('server.stop_timeout over: what is left is counted and told, then and at the next start', async () => {
  const open = await left();
  const { server, state } = await inFlight(9000, { settings: { SERVER_STOP_TIMEOUT: '300ms' } });
  await server.stop('SIGTERM');
  assert.match(server.output, /stopped while.* 1 may be left open at MAX.*Devices/);
  assert.equal(await left(), open + 1);
  assert.equal(mark(state), 1);
  const again = cleanup.add(
    await startServer({ upstream: [[emulator.url, 'binary']], state, settings: { LOG_LEVEL: 'info' } }),
  );
  assert.match(again.output, /the last run was stopped.* 1 may be left open/);
  assert.match(await again.metrics(), /max_auth_logins_left_open 1/);
  assert.equal(mark(state), 0, 'told once');
});

test('a second SIGTERM ends it at once, and tells', async () => {
  const { server } = await inFlight(9000);
  const began = performance.now();
  server.child.kill('SIGTERM');
  await server.printed(/stopping/);
  await server.stop('SIGTERM');
  assert.ok(performance.now() - began < 8000, 'it did not wait for MAX');
  assert.match(server.output, /stopped while.* 1 may be left open at MAX/);
});

for (const signal of ['SIGKILL', 'SIGABRT']) {
  test(`${signal}: the next start tells`, async () => {
    const { server, state } = await inFlight(3000);
    await server.stop(signal);
    const again = cleanup.add(
      await startServer({ upstream: [[emulator.url, 'binary']], state, settings: { LOG_LEVEL: 'info' } }),
    );
    assert.match(again.output, /the last run was stopped.* 1 may be left open/);
    for (const line of again.lines) assert.doesNotMatch(line, /An_/);
  });
}

test('a login that is over leaves no mark', async () => {
  const { stream, state } = await inFlight(1);
  assert.equal((await stream.outcome()).event, 'success');
  await eventually(() => mark(state) === 0, 'the mark to go');
});

test('MAX hangs up behind each code: the connections get fewer, and the visitor is told in the end', async () => {
  const rude = cleanup.add(await startEmulator({ pollMs: 20 }));
  await rude.fault({ on: 289, do: 'cut', times: 1000 });
  const server = cleanup.add(
    await startServer({
      upstream: [[rude.url, 'binary']],
      settings: { UPSTREAM_GIVE_UP_AFTER: '8s', LOG_LEVEL: 'info' },
    }),
  );
  const stream = await new Visitor(server.base).startWs();
  assert.equal((await stream.outcome(30_000)).data.code, 'upstream-unreachable');
  // 0.25, 0.5, 1, 2, 4 s at the most: some seven connections, where there were four a second.
  const { codes } = await rude.stats();
  assert.ok(codes >= 3 && codes <= 9, `${codes} codes`);
});
