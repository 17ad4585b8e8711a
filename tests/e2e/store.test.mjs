// The state folder in bad times: a disk that is full, a folder that is gone, two processes, one cookie again and again.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';
import { Jar } from '../harness/jar.mjs';
import { BINARY } from '../harness/paths.mjs';
import { freePort, run, tempFolder } from '../harness/process.mjs';
import { environment, startEmulator, startServer } from '../harness/server.mjs';
import { Cleanup, isProblem, signIn, untilCode } from '../harness/story.mjs';
import { eventually } from '../harness/time.mjs';
import { Visitor } from '../harness/visitor.mjs';

const cleanup = new Cleanup();
const servers = new Cleanup();
let emulator;
before(async () => {
  emulator = cleanup.add(await startEmulator());
});
after(() => cleanup.run());
afterEach(() => servers.run());

const start = async (options) => servers.add(await startServer({ upstream: [[emulator.url, 'json']], ...options }));
const visitorAt = async (server) => (await signIn({ emulator, base: server.base, how: 'page' })).visitor;
/** The same browser, which kept its cookies whatever the server said, at another server. */
const sameAt = (server, visitor) => new Visitor(server.base, { jar: visitor.jar.copy() });
const logout = (visitor) => sameAt({ base: visitor.base }, visitor).request('/logout', { method: 'POST' });
const isSignedIn = async (server, visitor) => (await sameAt(server, visitor).session()).status === 200;

describe('a disk that is full', () => {
  test('takes no new login, lets those that run go on, and heals by itself', async () => {
    const state = tempFolder('state');
    const settings = { LOGIN_MAX_ACTIVE: '20000' };
    const server = await start({ state, settings, shell: "trap '' XFSZ" });
    const limit = (bytes) => execFileSync('prlimit', ['--pid', String(server.child.pid), `--fsize=${bytes}:unlimited`]);
    const waiting = new Visitor(server.base);
    const stream = await waiting.startWs();
    const { track } = await untilCode(stream);
    const signedIn = await visitorAt(server);
    // A file that may not grow fails as a full disk does, in the middle of a write.
    limit(statSync(join(state, 'store.redb')).size);
    let refused;
    for (let number = 0; number < 3000 && !refused; number++) {
      const visitor = new Visitor(server.base);
      const answer = await visitor.request('', { method: 'POST', json: { userAgent: visitor.userAgent } });
      if (answer.status !== 200) refused = answer;
    }
    assert.ok(refused, 'the disk never was full');
    assert.ok(isProblem(refused, 503, 'store-full').retryAfter > 0);
    assert.ok(refused.headers['retry-after']);

    await emulator.approve(track);
    const success = await stream.outcome();
    assert.equal(success.event, 'success', 'what runs goes on');
    assert.equal((await waiting.callback(success.data.token)).status, 303);
    assert.equal((await waiting.session()).status, 200);
    assert.equal((await logout(signedIn)).status, 204);
    assert.ok(!(await isSignedIn(server, signedIn)));

    limit('unlimited');
    const healed = async () => (await new Visitor(server.base).startPage()).login;
    await eventually(() => healed().catch(() => undefined), 'a new login');
    await server.stop('SIGKILL');
    const again = await start({ state });
    assert.ok(!(await isSignedIn(again, signedIn)), 'ended while the disk was full');
    assert.ok(await isSignedIn(again, waiting));
  });
});

describe('a state folder', () => {
  test('that was moved away ends no session', async () => {
    const state = join(tempFolder('state'), 'inner');
    const server = await start({ state });
    const visitor = await visitorAt(server);
    renameSync(state, `${state}.away`);
    isProblem(await logout(visitor), 500, 'logout-failed');
    assert.ok(await isSignedIn(server, visitor));
    await server.printed(/was moved or replaced/);
    renameSync(`${state}.away`, state);
    assert.equal((await logout(visitor)).status, 204);
    assert.ok(!(await isSignedIn(server, visitor)));
  });

  test('has one process', async () => {
    const state = tempFolder('state');
    const first = await start({ state });
    const visitor = await visitorAt(first);
    const settings = {
      STORE_PATH: state,
      SERVER_LISTEN: `127.0.0.1:${await freePort()}`,
      SERVER_OPS_LISTEN: `127.0.0.1:${await freePort()}`,
    };
    const second = await run(BINARY, ['serve'], { env: environment(settings), ms: 5000 });
    assert.equal(second.code, 2, second.output);
    assert.equal(second.output.match(/^max-auth: /gm)?.length, 1, second.output);
    assert.ok(second.output.includes(state) && second.output.includes('in use by another max-auth'), second.output);
    assert.ok(await isSignedIn(first, visitor), 'the first one goes on');
    await first.stop('SIGKILL');
    assert.ok(await isSignedIn(await start({ state }), visitor), 'a dead process holds nothing');
  });
});

test('the list of ended sessions of an earlier version is taken over', async () => {
  const state = tempFolder('state');
  const first = await start({ state });
  const visitor = await visitorAt(first);
  await first.stop();
  const later = Math.floor(Date.now() / 1000) + 3600;
  writeFileSync(join(state, 'ended-sessions'), `${Buffer.alloc(16, 7).toString('base64url')} ${later}\n`);
  const again = await start({ state });
  assert.ok(await isSignedIn(again, visitor));
  assert.ok(!existsSync(join(state, 'ended-sessions')));
  await again.stop();
  writeFileSync(join(state, 'ended-sessions'), 'garbage\n');
  const refused = await run(BINARY, ['serve'], { env: environment({ STORE_PATH: state }), ms: 5000 });
  assert.equal(refused.code, 2, refused.output);
  assert.match(refused.output, /ended-sessions: line 1 is damaged/);
});

test('a cookie of somebody else that is not ASCII hides ours from nobody', async () => {
  const server = await start();
  const theirs = ['city', Buffer.from('Москва').toString('latin1')];
  const jar = new Jar();
  jar.set(...theirs);
  const { visitor } = await signIn({
    emulator,
    base: server.base,
    how: 'page',
    visitor: new Visitor(server.base, { jar }),
  });
  visitor.jar.delete('city');
  visitor.jar.set(...theirs);
  assert.equal((await visitor.session()).status, 200, 'behind ours as well');
});
