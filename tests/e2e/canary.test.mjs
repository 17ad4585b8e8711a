// The MAX token, and everything else that is nobody's business: through every way a login can go, at the most talkative log
// level, none of it is ever found anywhere, and what MAX let in was also logged out.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { closeSync, openSync, readFileSync, readSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { startBotEmulator } from '../harness/bot.mjs';
import { fetchWhole } from '../harness/http.mjs';
import { BINARY } from '../harness/paths.mjs';
import { freePort, run, tempFolder } from '../harness/process.mjs';
import { startRelay } from '../harness/relay.mjs';
import { BASE_PATH, environment, startEmulator, startServer } from '../harness/server.mjs';
import { Cleanup, signIn, untilCode } from '../harness/story.mjs';
import { eventually, pause } from '../harness/time.mjs';
import { Visitor, loginOf, trackOf } from '../harness/visitor.mjs';

const CANARY = `An_CANARY_${randomBytes(12).toString('hex')}`;
const PASSWORD = `correct horse ${randomBytes(4).toString('hex')}`;
const BOT_CANARY = `bot_CANARY_${randomBytes(12).toString('hex')}`;
const HOOK_SECRET = `hook-CANARY-${randomBytes(12).toString('hex')}`;
const ORIGIN = 'https://example.ru';

const cleanup = new Cleanup();
after(() => cleanup.run());

let emulator;
let relay;
const servers = [];
const visitors = [];
const secrets = {
  token: new Set([CANARY]),
  track: new Set(),
  cookie: new Set(),
  grant: new Set(),
  phone: new Set(),
  password: new Set([PASSWORD]),
  bot: new Set([BOT_CANARY, HOOK_SECRET]),
};

before(async () => {
  emulator = cleanup.add(await startEmulator({ token: CANARY }));
  relay = cleanup.add(await startRelay(emulator.port));
});

async function start({ settings = {}, upstream = relay.port, port } = {}) {
  const server = cleanup.add(
    await startServer({
      upstream: [[`ws://127.0.0.1:${upstream}/websocket`, servers.length % 2 ? 'json' : 'binary']],
      publicUrl: ORIGIN,
      port,
      settings: {
        LOGIN_GRACE: '1s',
        LOGIN_GRACE_PHONE: '1s',
        SESSION_PHONE: 'true',
        LOG_FORMAT: servers.length % 2 ? 'json' : 'text',
        UPSTREAM_ANSWER_TIMEOUT: '3s',
        ...settings,
      },
    }),
  );
  servers.push(server);
  server.visitor = () => {
    const visitor = new Visitor(server.address + BASE_PATH, { origin: ORIGIN });
    visitors.push(visitor);
    return visitor;
  };
  return server;
}

/** Collects what must not be found, from everything a visitor was told. */
function note(visitor, ...streams) {
  for (const value of visitor.jar.values()) if (value) secrets.cookie.add(value);
  for (const { events } of streams) {
    for (const event of events) {
      if (event.event === 'qr') secrets.track.add(trackOf(event));
      if (event.event === 'success') secrets.grant.add(event.data.token);
    }
  }
}

/** MAX holds no session and no connection of ours. */
async function nothingLeftAtMax(at = emulator) {
  await eventually(
    async () => {
      const stats = await at.stats();
      assert.equal(stats.logins, stats.logouts);
      assert.equal(stats.connections, stats.silent, 'what waits for the next visitor has said nothing');
      return true;
    },
    'nothing to be left at MAX',
    12_000,
  );
}

describe('every way a login can go', () => {
  let server;
  before(async () => {
    server = await start();
  });

  for (const how of ['ws', 'sse', 'page']) {
    test(`success over ${how}`, async () => {
      const visitor = server.visitor();
      const { stream, session } = await signIn({ emulator, base: visitor.base, visitor, how });
      note(visitor, stream);
      assert.ok(session.phone, 'this server was told to tell the phone number');
      secrets.phone.add(String(session.phone).replace(/\D/g, ''));
      await visitor.request('/verify');
      await visitor.request('/logout', { method: 'POST' });
      note(visitor);
      await nothingLeftAtMax();
    });
  }

  test('the visitor leaves while the code is shown', async () => {
    const visitor = server.visitor();
    const stream = await visitor.startWs();
    await untilCode(stream);
    note(visitor, stream);
    await stream.cut();
    await nothingLeftAtMax();
  });

  test('the visitor leaves, and then the phone approves', async () => {
    const visitor = server.visitor();
    const stream = await visitor.startSse();
    const { track } = await untilCode(stream);
    await stream.cut();
    await emulator.approve(track);
    note(visitor, stream);
    await nothingLeftAtMax();
  });

  test('DELETE, before and right after the approval', async () => {
    for (const approved of [false, true]) {
      const visitor = server.visitor();
      const stream = await visitor.startWs();
      const { login, track } = await untilCode(stream);
      if (approved) await emulator.approve(track);
      await visitor.giveUp(login);
      await stream.outcome();
      note(visitor, stream);
      await nothingLeftAtMax();
    }
  });

  test('the code expires, is replaced, and approved', async () => {
    const visitor = server.visitor();
    const stream = await visitor.startWs();
    const { track } = await untilCode(stream);
    await emulator.expire(track);
    await emulator.approve(trackOf(await stream.until('qr')));
    assert.equal((await stream.outcome()).event, 'success');
    note(visitor, stream);
    await nothingLeftAtMax();
  });

  test('the phone declines', async () => {
    const visitor = server.visitor();
    const stream = await visitor.startWs();
    const { login, track } = await untilCode(stream);
    await emulator.decline(track);
    await Promise.race([stream.until('qr'), stream.outcome()]);
    await visitor.giveUp(login);
    note(visitor, stream);
    await stream.cut();
    await nothingLeftAtMax();
  });

  test('MAX cuts the connection, at each step', async () => {
    for (const on of [6, 288, 289, 20]) {
      const visitor = server.visitor();
      await emulator.fault({ on, do: 'cut', times: 1 });
      const stream = await visitor.startWs();
      const seen = await stream.until('qr', 15_000);
      let track = trackOf(seen);
      // A code shown before the cut dies with its connection; the one shown last is the one to approve.
      if (on === 289) track = trackOf(await stream.until('qr', 15_000));
      await emulator.approve(track);
      const last = await stream.outcome(20_000);
      note(visitor, stream);
      assert.equal(last.event, 'success', `cut on ${on}: ${JSON.stringify(last)}`);
      await emulator.fault();
      await nothingLeftAtMax();
    }
  });

  test('MAX does not take the logout, at first', async () => {
    for (const code of ['proto.state', 'session.state']) {
      const visitor = server.visitor();
      await emulator.fault({ on: 20, do: 'error', code });
      const { stream } = await signIn({ emulator, base: visitor.base, visitor });
      note(visitor, stream);
      await nothingLeftAtMax();
    }
  });

  test('the network to MAX is cut', async () => {
    const visitor = server.visitor();
    const stream = await visitor.startWs();
    await untilCode(stream);
    relay.cut();
    await approveAndSucceed(visitor, stream, trackOf(await stream.until('qr', 25_000)));
  });

  test('the network to MAX goes silent, without a word', async () => {
    const visitor = server.visitor();
    const stream = await visitor.startWs();
    await untilCode(stream);
    const before = relay.made;
    relay.silent = true;
    await eventually(() => relay.made > before, 'the server to try another connection', 15_000);
    relay.silent = false;
    await approveAndSucceed(visitor, stream, trackOf(await stream.until('qr', 25_000)), () => relay.cut());
  });

  test('the network to MAX is slow', async () => {
    relay.delayMs = 120;
    const visitor = server.visitor();
    const stream = await visitor.startWs();
    await approveAndSucceed(visitor, stream, (await untilCode(stream)).track);
    relay.delayMs = 0;
  });

  async function approveAndSucceed(visitor, stream, track, then = () => {}) {
    await emulator.approve(track);
    const last = await stream.outcome(20_000);
    note(visitor, stream);
    assert.equal(last.event, 'success', JSON.stringify(last));
    then(); // connections that died without a word: neither end will ever hear of it
    await nothingLeftAtMax();
  }
});

test('login.ttl ends it', async () => {
  const server = await start({ settings: { LOGIN_TTL: '1s' } });
  const visitor = server.visitor();
  const stream = await visitor.startWs();
  assert.equal((await stream.outcome()).data.code, 'login-expired');
  note(visitor, stream);
  await nothingLeftAtMax();
});

test('a cloud password: refused, wrong, right', async () => {
  const locked = cleanup.add(await startEmulator({ token: CANARY, args: ['--password', PASSWORD] }));
  for (const policy of ['refuse', 'ask']) {
    const server = await start({ settings: { LOGIN_PASSWORD: policy }, upstream: locked.port });
    const visitor = server.visitor();
    const stream = await visitor.startWs();
    const { login, track } = await untilCode(stream);
    await locked.approve(track);
    if (policy === 'ask') {
      await stream.until('password');
      const wrong = `wrong ${randomBytes(8).toString('hex')}`;
      secrets.password.add(wrong);
      await visitor.password(login, wrong);
      await pause(200);
      await eventually(
        async () => (await visitor.password(login, PASSWORD)).status < 300,
        'the right password to be taken',
      );
    }
    const { event } = await stream.outcome();
    assert.equal(event, policy === 'ask' ? 'success' : 'error');
    note(visitor, stream);
    await nothingLeftAtMax(locked);
  }
});

describe('by the bot, whose token is all that the server has', () => {
  const settingsOf = (bot, name, hook) => ({
    LOGIN_DRIVERS: '["bot", "mini_app"]',
    DRIVER_BOT_NAME: 'emulator_bot',
    DRIVER_BOT_TOKEN_FILE: fileOf('token', BOT_CANARY),
    DRIVER_BOT_SECRET_FILE: fileOf('secret', HOOK_SECRET),
    DRIVER_BOT_API_URL: bot.api,
    DRIVER_BOT_WEBHOOK_URL: hook,
    DRIVER_BOT_CHECK_EVERY: '1s',
    SERVER_NODE: name,
  });
  const fileOf = (name, text) => {
    const path = join(tempFolder(name), name);
    writeFileSync(path, `${text}\n`, { mode: 0o600 });
    return path;
  };
  let bot;
  let server;
  let settings;
  before(async () => {
    bot = cleanup.add(await startBotEmulator({ args: ['--bot-token', BOT_CANARY] }));
    const port = await freePort();
    settings = settingsOf(bot, 'bot', `http://127.0.0.1:${port}/hook`);
    server = await start({ settings, port });
    await eventually(async () => (await bot.botStats()).subscriptions.length === 1, 'the subscription');
  });

  async function asked(person) {
    const visitor = server.visitor();
    const stream = await visitor.startWs({ driver: 'bot' });
    const { qrLink, textCode } = (await stream.until('qr')).data;
    await person.start(new URL(qrLink).searchParams.get('start'));
    const { matchCode } = (await stream.until('confirm')).data;
    const keys = await eventually(async () => {
      const all = (await person.dialog()).messages.at(-1).buttons.flat();
      return all.some(({ text }) => text === matchCode) && all;
    }, 'the question');
    return { visitor, stream, textCode, keys, matchCode };
  }

  test('a sign-in with a phone number, a wrong pick, a forged contact, a wrong secret, MAX that refuses', async () => {
    const person = bot.person(700);
    const { visitor, stream, keys, matchCode } = await asked(person);
    await person.press(keys.find(({ text }) => text === matchCode).payload);
    await eventually(
      async () => (await person.dialog()).messages.at(-1).buttons.flat().length === 2,
      'the phone asked',
    );
    for (const kind of ['forged', 'forwarded', 'own']) await person.contact(kind);
    const success = await stream.until('success');
    assert.equal((await visitor.callback(success.data.token)).status, 303);
    note(visitor, stream);
    const wrong = await asked(bot.person(701));
    await bot.person(701).press(wrong.keys.find(({ text }) => text.length === 2 && text !== wrong.matchCode).payload);
    assert.equal((await wrong.stream.outcome()).data.code, 'declined');
    note(wrong.visitor, wrong.stream);
    for (const secret of ['x', HOOK_SECRET.slice(1)]) {
      const answer = await fetchWhole(`${server.address}/hook`, {
        method: 'POST',
        headers: { 'x-max-bot-api-secret': secret },
        body: '{}',
      });
      assert.equal(answer.status, 401);
    }
    await bot.botFault([{ on: 'me', do: 'refuse', status: 401, times: 20 }]);
    await eventually(() => server.lines.some((line) => /bot does not work/.test(line)), 'the keeper to say so');
    await bot.botFault([]);
  });

  test('what the operator is shown', async () => {
    for (const args of [
      ['config', 'show'],
      ['config', 'check'],
      ['doctor', '--upstream'],
    ]) {
      const env = environment({ ...settings, STORE_PATH: tempFolder('state') });
      for (const more of [{}, { DRIVER_BOT_TOKEN_FILE: '', DRIVER_BOT_TOKEN: BOT_CANARY }]) {
        const { output } = await run(BINARY, args, { env: { ...env, ...environment(more) } });
        assert.ok(!output.includes(BOT_CANARY), args.join(' '));
        assert.ok(output.length > 20, args.join(' '));
      }
    }
  });
});

describe('the server is stopped in the middle of a login', () => {
  for (const [name, act] of Object.entries({
    'while the code is shown': async () => {},
    'right after the approval': (track) => emulator.approve(track),
    'while MAX is answering the login': async (track) => {
      await emulator.fault({ on: 291, do: 'delay', ms: 700, times: 1 });
      await emulator.approve(track);
      await pause(300);
    },
    'while MAX is answering the logout': async (track) => {
      await emulator.fault({ on: 20, do: 'delay', ms: 700, times: 1 });
      await emulator.approve(track);
      await pause(300);
    },
  })) {
    test(name, async () => {
      const server = await start();
      const visitor = server.visitor();
      const stream = await visitor.startWs();
      const { track } = await untilCode(stream);
      await act(track);
      const { code, signal } = await server.stop('SIGTERM', 15_000);
      assert.deepEqual({ code, signal }, { code: 0, signal: null }, server.output.slice(-2000));
      note(visitor, stream);
      await stream.ends(3000); // the visitor is not left hanging
      await emulator.fault();
      await nothingLeftAtMax();
    });
  }
});

describe('and afterwards nothing of it is found', () => {
  const found = (text, kinds) =>
    kinds.flatMap((kind) =>
      [...secrets[kind]].filter((secret) => text.includes(secret)).map((secret) => `${kind} ${secret}`),
    );

  test('the collection is not empty', () => {
    for (const [kind, values] of Object.entries(secrets)) {
      assert.ok(values.size > 0, `no ${kind} was collected`);
      for (const value of values) assert.ok(value.length >= 8, `${kind} ${value} is too short to look for`);
    }
    assert.ok(secrets.track.size > 10);
    assert.ok(
      visitors.some(({ heard }) => heard.join().includes([...secrets.grant][0])),
      'what was heard is kept',
    );
    assert.ok(
      servers.every(({ output }) => output.length > 200),
      'the servers were talkative',
    );
    assert.ok(
      servers.some(({ output }) => /TRACE/.test(output)),
      'and at trace level',
    );
  });

  test('in no log line', () => {
    for (const server of servers) {
      for (const line of server.lines) assert.deepEqual(found(line, Object.keys(secrets)), [], line);
    }
  });

  test('the token and the password in no answer', () => {
    for (const { heard, jar } of visitors) {
      for (const text of [...heard, ...jar.seen])
        assert.deepEqual(found(text, ['token', 'password', 'bot']), [], text.slice(0, 500));
    }
  });

  test('in no metric', async () => {
    for (const server of servers.filter(({ child }) => child.exitCode === null)) {
      const text = await server.metrics();
      assert.ok(text.length > 100);
      assert.deepEqual(found(text, Object.keys(secrets)), []);
    }
  });

  test('in no file', () => {
    let files = 0;
    for (const { state } of servers) {
      for (const name of readdirSync(state, { recursive: true })) {
        const path = join(state, name);
        if (!statSync(path).isFile()) continue;
        files += 1;
        assert.deepEqual(found(readFileSync(path, 'latin1'), Object.keys(secrets)), [], path);
      }
    }
    assert.ok(files > 0, 'there is a state at all');
  });

  // The buffers that frames are read into and written from are not ours to wipe; what is left there is chance.
  test('and not in the memory of the server', { skip: process.platform !== 'linux' }, async () => {
    // Cookies and tracks of a living process may be in memory; the token and the password must have been wiped.
    await pause(300);
    for (const server of servers.filter(({ child }) => child.exitCode === null)) {
      const text = memoryOf(server.child.pid);
      if (text === null) return; // not allowed to look: nothing is shown, nothing is claimed
      assert.deepEqual(found(text, ['token', 'password']), []);
    }
  });
});

/** What a process has in its writable memory, as text; null when the kernel does not let us look. */
function memoryOf(pid) {
  try {
    const parts = [];
    const memory = openSync(`/proc/${pid}/mem`, 'r');
    for (const line of readFileSync(`/proc/${pid}/maps`, 'utf8').split('\n')) {
      const [, from, to, mode, name] = line.match(/^([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ \S+ \S+ *(.*)$/) ?? [];
      if (!mode?.startsWith('rw') || /^\[v/.test(name)) continue;
      const [start, length] = [Number.parseInt(from, 16), Number.parseInt(to, 16) - Number.parseInt(from, 16)];
      const bytes = Buffer.alloc(length);
      try {
        parts.push(bytes.toString('latin1', 0, readSync(memory, bytes, 0, length, start)));
      } catch {
        // A guard page, or one that went away meanwhile.
      }
    }
    closeSync(memory);
    return parts.join('\n');
  } catch {
    return null;
  }
}
