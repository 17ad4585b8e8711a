// The state folder in bad times: a disk that is full, a folder that is gone, two processes, one cookie again and again.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';
import { Jar } from '../harness/jar.mjs';
import { BINARY } from '../harness/paths.mjs';
import { freePort, run, tempFolder } from '../harness/process.mjs';
import { environment, startEmulator, startServer } from '../harness/server.mjs';
import { Cleanup, isProblem, signIn } from '../harness/story.mjs';
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
  test('ends no session it cannot write down, and the server starts again', async () => {
    const state = tempFolder('state');
    // A file that may not grow past 512 bytes fails as a full disk does, in the middle of a line; without the signal.
    const server = await start({ state, shell: "trap '' XFSZ && ulimit -S -f 1" });
    const visitors = [];
    for (let number = 0; number < 20; number++) visitors.push(await visitorAt(server));
    const answers = [];
    for (const visitor of visitors.slice(0, 18)) answers.push(await logout(visitor));
    const full = answers.findIndex(({ status }) => status !== 204);
    assert.ok(full > 0, 'the disk never was full');
    for (const answer of answers.slice(full)) {
      isProblem(answer, 500, 'logout-failed');
      assert.equal(answer.headers['set-cookie'], undefined, 'the visitor stays signed in, and so does the cookie');
    }
    execFileSync('prlimit', ['--pid', String(server.child.pid), '--fsize=unlimited:unlimited']);
    for (const visitor of visitors.slice(18)) assert.equal((await logout(visitor)).status, 204, 'there is room again');
    await server.stop();

    const again = await start({ state });
    const expected = visitors.map((_, number) => number >= full && number < 18);
    const found = [];
    for (const visitor of visitors) found.push(await isSignedIn(again, visitor));
    assert.deepEqual(found, expected, 'what was answered 204 is ended, and nothing else');
    assert.equal((await logout(sameAt(again, visitors[full]))).status, 204);
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

test('one cookie again and again is one line', async () => {
  const server = await start();
  const visitor = await visitorAt(server);
  const path = join(server.state, 'ended-sessions');
  for (let round = 0; round < 5; round++) {
    const answers = await Promise.all(Array.from({ length: 40 }, () => logout(visitor)));
    assert.ok(answers.every(({ status }) => status === 204));
  }
  assert.equal(readFileSync(path, 'utf8').split('\n').filter(Boolean).length, 1);
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
