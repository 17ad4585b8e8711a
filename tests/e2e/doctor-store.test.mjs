// `max-auth doctor --store`: beside a running server, with a site, and over a Redis that nodes with different keys share.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { after, test } from 'node:test';
import { BINARY } from '../harness/paths.mjs';
import { run, tempFolder } from '../harness/process.mjs';
import { startRedis } from '../harness/redis.mjs';
import { environment, startEmulator, startServer } from '../harness/server.mjs';
import { Cleanup } from '../harness/story.mjs';
import { eventually } from '../harness/time.mjs';

const cleanup = new Cleanup();
after(() => cleanup.run());

const doctor = (settings, ...args) =>
  run(BINARY, ['doctor', '--store', ...args], {
    env: { ...environment(settings), LANG: 'C', LC_ALL: '' },
    ms: 60_000,
  });

const checks = ({ stdout }) => JSON.parse(stdout).store.checks;
const check = (told, code) => checks(told).find((one) => one.code === code);

function key() {
  const path = `${tempFolder('key')}/key`;
  writeFileSync(path, randomBytes(32), { mode: 0o600 });
  return path;
}

async function server(settings) {
  const emulator = cleanup.add(await startEmulator());
  return cleanup.add(await startServer({ upstream: [[emulator.url, 'binary']], settings }));
}

test('beside a running server the folder is looked at as far as it can be, alone and with the site', async () => {
  const { state, address, ops } = await server({});
  const told = await doctor({ STORE_PATH: state }, '--json');
  // Where tests run in memory, that is a fault, and so it should be.
  const expected = check(told, 'store-filesystem').result === 'fault' ? 1 : 0;
  assert.equal(told.code, expected, told.output);
  assert.match(check(told, 'store-lock').measured, /a running server/);
  assert.equal(check(told, 'store-key').result, 'ok');
  assert.equal(JSON.parse(told.stdout).url, null);
  const both = await doctor({ STORE_PATH: state }, '--json', address);
  assert.equal(both.code, expected, both.output);
  assert.equal(JSON.parse(both.stdout).transport, 'websocket');
  assert.match(check(both, 'store-lock').measured, /a running server/);
  const text = await doctor({ STORE_PATH: state }, address, '--lang', 'ru');
  assert.match(text.stdout, /max-auth doctor --store[^]*кем занят[^]*Посетители видят каждый шаг/);
  assert.equal((await fetch(`${ops}/readyz`)).status, 200, 'the server did not notice');
});

test('a site in good order and a store that is not have the worse exit code', async () => {
  const { address } = await server({});
  const told = await doctor(
    { STORE_KIND: 'redis', STORE_URL: 'redis://127.0.0.1:1', STORE_KEY_FILE: key() },
    '--json',
    address,
  );
  assert.equal(told.code, 2, told.output);
  assert.equal(JSON.parse(told.stdout).transport, 'websocket');
  assert.equal(check(told, 'store-address').result, 'fault');
});

test('nodes with different keys are found, by the doctor and in the log of each', async () => {
  const redis = await startRedis();
  cleanup.add({ stop: () => redis.stop() });
  const shared = { STORE_KIND: 'redis', STORE_URL: redis.url };
  const [one, two] = [key(), key()];
  const first = await server({ ...shared, STORE_KEY_FILE: one, SERVER_NODE: 'one' });
  const alone = await doctor({ ...shared, STORE_KEY_FILE: one }, '--json');
  assert.equal(alone.code, 0, alone.output);
  assert.match(check(alone, 'store-key').measured, /the same as at 1 node/);
  assert.match(check(alone, 'store-nodes').measured, /^one~/);
  await server({ ...shared, STORE_KEY_FILE: two, SERVER_NODE: 'two' });
  const told = await doctor({ ...shared, STORE_KEY_FILE: one }, '--json');
  assert.equal(told.code, 1, told.output);
  assert.match(check(told, 'store-key').measured, /another key than that of two~/);
  await eventually(() => /another node seals with another key.*two~/.test(first.output), 'the log of the first node');
});

test('what cannot be tested is 3, memory is one line', async () => {
  const wrong = await doctor({ STORE_KIND: 'redis' }, '--json');
  assert.equal(wrong.code, 3, wrong.output);
  assert.match(wrong.stderr, /store\.url/);
  const address = await doctor({ STORE_KIND: 'redis', STORE_URL: 'redis://u:hush@h?x', STORE_KEY_FILE: key() });
  assert.equal(address.code, 3, address.output);
  assert.doesNotMatch(address.output, /hush/);
  const memory = await doctor({ STORE_KIND: 'memory' });
  assert.equal(memory.code, 0, memory.output);
  assert.match(memory.stdout, /A restart forgets everything/);
});
