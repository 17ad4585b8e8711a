// A server that is stopped or killed, and started again on the same store: open dialogs go on with a fresh code, whoever was
// signed in or out stays so, a grant on its way works.

import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { BINARY } from '../harness/paths.mjs';
import { freePort, run, tempFolder } from '../harness/process.mjs';
import { environment, startEmulator, startServer } from '../harness/server.mjs';
import { Cleanup, everyLoginEnded, signIn, untilCode } from '../harness/story.mjs';
import { Visitor, WAYS_BACK, loginOf, trackOf } from '../harness/visitor.mjs';

const cleanup = new Cleanup();
let emulator;
before(async () => {
  emulator = cleanup.add(await startEmulator({ pollMs: 20 }));
});
after(() => cleanup.run());

/** A server that can be started again at the same address. */
async function site(settings = {}) {
  const [port, opsPort, state] = [await freePort(), await freePort(), tempFolder('state')];
  const start = async () =>
    cleanup.add(await startServer({ upstream: [[emulator.url, 'binary']], port, opsPort, state, settings }));
  return { start, state, base: `http://127.0.0.1:${port}/api/auth/max` };
}

const offset = ({ id }) => Number(id.split('-')[1]);
const epoch = ({ id }) => id.split('-')[0];

for (const signal of ['SIGTERM', 'SIGKILL']) {
  describe(`after ${signal}`, () => {
    for (const way of WAYS_BACK) {
      test(`an open dialog goes on over ${way}, with a fresh code`, async () => {
        const { start, base } = await site();
        const first = await start();
        const visitor = new Visitor(base);
        const stream = await visitor.startWs();
        const { login, track } = await untilCode(stream);
        await stream.until('status');
        await first.stop(signal);
        await stream.ends(5000);
        const last = stream.events.at(-1);

        await start();
        const again = await visitor.resume(way, login, last.id);
        const qr = await again.until('qr');
        assert.notEqual(trackOf(qr), track, 'the code of before is dead: its connection to MAX is');
        assert.equal(epoch(qr), epoch(last), 'the same log');
        assert.ok(offset(qr) > offset(last) && offset(qr) <= offset(last) + 2, `${last.id} ${qr.id}`);
        await emulator.approve(trackOf(qr));
        const success = await again.outcome();
        assert.equal(success.event, 'success', JSON.stringify(success));
        assert.equal((await visitor.callback(success.data.token)).status, 303);
        assert.equal((await visitor.session()).status, 200);
      });
    }

    test('a grant on its way works, once, and who was signed in or out stays so', async () => {
      const { start, base } = await site();
      const first = await start();
      const [stays, leaves] = [
        await signIn({ emulator, base, how: 'page' }),
        await signIn({ emulator, base, how: 'page' }),
      ];
      const left = leaves.visitor.jar.copy();
      await leaves.visitor.request('/logout', { method: 'POST' });
      const visitor = new Visitor(base);
      const stream = await visitor.startSse();
      const { login, track } = await untilCode(stream);
      await emulator.approve(track);
      const success = await stream.outcome();
      await first.stop(signal);

      await start();
      const stranger = visitor.stranger();
      assert.equal((await stranger.callback(success.data.token)).status, 400);
      assert.equal((await visitor.callback(success.data.token)).status, 303);
      assert.equal((await visitor.callback(success.data.token)).status, 400);
      assert.equal((await visitor.session()).status, 200);
      assert.equal((await stays.visitor.session()).status, 200);
      assert.equal((await new Visitor(base, { jar: left }).session()).status, 401);
      const page = await visitor.request(`/${login}/events?wait=0`);
      assert.equal(page.json.events.at(-1).event, 'success', 'still to be read');
    });
  });
}

test('a login of another browser is found by nobody after a restart', async () => {
  const { start, base } = await site();
  const first = await start();
  const visitor = new Visitor(base);
  const stream = await visitor.startWs();
  const login = await loginOf(stream);
  await untilCode(stream);
  await first.stop('SIGKILL');
  await start();
  assert.equal((await visitor.stranger().request(`/${login}/events?wait=0`)).status, 404);
  assert.equal((await visitor.request(`/${login}/events?wait=0`)).status, 200);
});

test('nothing that is kept can be read', async () => {
  const { start, base, state } = await site();
  const server = await start();
  const { visitor, success, login, session } = await signIn({ emulator, base });
  const waiting = new Visitor(base);
  const { qr } = await untilCode(await waiting.startWs());
  await server.stop('SIGKILL');
  const kept = readFileSync(join(state, 'store.redb')).toString('latin1');
  const cookies = visitor.jar.header.split('; ').map((cookie) => cookie.slice(cookie.indexOf('=') + 1));
  const link = qr.data.qrLink.split('/').at(-1);
  for (const secret of [success.data.token, login, session.sub, session.name, link, 'max.ru', ...cookies]) {
    const found = kept.includes(Buffer.from(secret).toString('latin1'));
    assert.ok(!found, `${secret.slice(0, 6)}… is in the store`);
  }
});

describe('store.key_file', () => {
  const serve = (settings) => run(BINARY, ['serve'], { env: environment(settings), ms: 5000 });

  test('seals for all who have it', async () => {
    const key = join(tempFolder('key'), 'key');
    writeFileSync(key, Buffer.alloc(32, 7));
    const { start, base } = await site({ STORE_KEY_FILE: key });
    const first = await start();
    const { visitor } = await signIn({ emulator, base, how: 'page' });
    await first.stop();
    const other = cleanup.add(
      await startServer({ upstream: [[emulator.url, 'binary']], settings: { STORE_KEY_FILE: key } }),
    );
    assert.equal((await new Visitor(other.base, { jar: visitor.jar.copy() }).session()).status, 200);
  });

  test('that is missing or no key is one sentence', async () => {
    const folder = tempFolder('key');
    for (const [name, bytes] of Object.entries({ short: 31, long: 33, empty: 0 })) {
      writeFileSync(join(folder, name), Buffer.alloc(bytes, 7));
    }
    for (const name of ['missing', 'short', 'long', 'empty']) {
      const path = join(folder, name);
      const { code, output } = await serve({ STORE_KEY_FILE: path, STORE_PATH: join(folder, 'state') });
      assert.equal(code, 1, output);
      assert.equal(output.trim().split('\n').length, 1, output);
      assert.ok(output.includes(`store.key_file: ${path}`), output);
    }
  });
});

test('MAX keeps no session of those who signed in', () => everyLoginEnded(emulator));
