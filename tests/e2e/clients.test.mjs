// Others' programs on both ends: real MAX client libraries against our emulator, an independent fake of MAX against our
// server. Neither shares a line with our codecs.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { DOUBLES, python } from '../harness/paths.mjs';
import { run } from '../harness/process.mjs';
import { startFakeMax, startEmulator, startServer } from '../harness/server.mjs';
import { Cleanup, isProblem, untilCode } from '../harness/story.mjs';
import { eventually } from '../harness/time.mjs';
import { Visitor, USER_AGENT, loginOf, trackOf } from '../harness/visitor.mjs';

const cleanup = new Cleanup();
after(() => cleanup.run());

// ---- real clients, our emulator ----------------------------------------------------------------------------------------------

describe('real client libraries sign in to the emulator', () => {
  const CLIENTS = [
    { name: 'maxapi-python 2.5.0 (binary)', script: 'pymax_2_5.py', environment: '.venv' },
    { name: 'maxapi-python 2.3.1 (JSON)', script: 'pymax_2_3.py', environment: '.venv-json' },
  ];
  let open;
  let locked;
  before(async () => {
    open = cleanup.add(await startEmulator({ args: ['--approve-after', '2'] }));
    locked = cleanup.add(await startEmulator({ args: ['--approve-after', '2', '--password', 'correct horse'] }));
  });

  const client = ({ script, environment }, emulator, env = {}) =>
    run(python(environment), [join(DOUBLES, script)], {
      env: { MAX_WS_URL: emulator.url, PYTHONUNBUFFERED: '1', PYTHONDONTWRITEBYTECODE: '1', ...env },
      ms: 70_000,
    });

  for (const each of CLIENTS) {
    test(`${each.name}`, async () => {
      const { code, output } = await client(each, open);
      assert.equal(code, 0, output);
      assert.match(output, /^QR_LINK https:\/\/max\.ru\/:auth\//m);
      assert.match(output, /^LOGGED_IN \{"id": \d+/m);
      assert.doesNotMatch(output, /PASSWORD_ASKED/);
    });

    test(`${each.name}, an account with a cloud password`, async () => {
      const { code, output } = await client(each, locked, { PASSWORD: 'correct horse' });
      assert.equal(code, 0, output);
      assert.match(output, /^PASSWORD_ASKED/m);
      assert.match(output, /^LOGGED_IN/m);
    });
  }

  // 2.3.1 asks for the password for ever; 2.5.0 gives up after three.
  test('maxapi-python 2.5.0, a wrong password', async () => {
    const { code, output } = await client(CLIENTS[0], locked, { PASSWORD: 'not this one' });
    assert.equal(code, 1, output);
    assert.doesNotMatch(output, /^LOGGED_IN/m);
  });

  test('maxapi-python 2.5.0, wrong first, then right', async () => {
    const { code, output } = await client(CLIENTS[0], locked, { PASSWORD_FIRST_WRONG: '1' });
    assert.equal(code, 0, output);
    assert.match(output, /^PASSWORD_ASKED .*attempt=2/m);
  });

  test('maxapi-python 2.5.0 logs out', async () => {
    const before = await open.stats();
    const { code, output } = await client(CLIENTS[0], open, { LOGOUT: '1' });
    assert.equal(code, 0, output);
    assert.match(output, /^LOGOUT/m);
    const now = await open.stats();
    assert.equal(now.logins, before.logins + 1);
    assert.equal(now.logouts, before.logouts + 1);
  });
});

// ---- our server, an independent MAX ---------------------------------------------------------------------------------------------

const ALLOWED = {
  6: ['userAgent', 'deviceId'],
  userAgent: [
    'deviceType',
    'pushDeviceType',
    'locale',
    'deviceLocale',
    'osVersion',
    'deviceName',
    'headerUserAgent',
    'isPwa',
    'appVersion',
    'screen',
    'timezone',
  ],
  1: ['interactive'],
  288: [],
  289: ['trackId'],
  291: ['trackId'],
  115: ['trackId', 'password'],
  20: [],
};

const USUAL_USER_AGENT =
  'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/151.0.0.0 Safari/537.36';

/** What must hold of everything we ever send to MAX. */
function behavesAsMaxExpects(fake) {
  const frames = fake.frames();
  for (const { headers } of frames.filter(({ ev }) => ev === 'open')) {
    const header = (name) => headers.filter(([key]) => key.toLowerCase() === name).map(([, value]) => value);
    assert.deepEqual(header('origin'), ['https://web.max.ru']);
    // One that was made ahead does not know yet whose it will be.
    const [userAgent, ...more] = header('user-agent');
    assert.ok([USER_AGENT.headerUserAgent, USUAL_USER_AGENT].includes(userAgent), userAgent);
    assert.deepEqual(more, []);
    assert.deepEqual(header('cookie'), []);
  }
  // A connection that we closed while the fake was answering is no mistake of ours.
  assert.deepEqual(
    frames.filter(({ ev, error }) => ev === 'exc' && !error.startsWith('ConnectionClosed')),
    [],
    'the fake could not read something',
  );
  const sent = fake.received();
  for (const { opcode, cmd, payload } of sent) {
    if (cmd !== 0) continue;
    assert.ok(ALLOWED[opcode], `opcode ${opcode} was sent`);
    for (const key of Object.keys(payload ?? {}))
      assert.ok(ALLOWED[opcode].includes(key), `opcode ${opcode} carried ${key}`);
    if (opcode !== 6) continue;
    for (const key of Object.keys(payload.userAgent))
      assert.ok(ALLOWED.userAgent.includes(key), `userAgent carried ${key}`);
    assert.equal(payload.userAgent.headerUserAgent, USER_AGENT.headerUserAgent);
    assert.equal(payload.userAgent.deviceType, 'WEB');
    assert.match(payload.deviceId, /^[0-9a-f-]{16,36}$/);
  }
  return sent;
}

/** Who was let in was also logged out, on the same connection and after it. */
function everyLoginIsEnded(fake) {
  const ok = (opcode) =>
    fake.frames().filter(({ ev, raw, decoded }) => {
      if (ev !== 'out') return false;
      const frame = decoded ?? JSON.parse(raw);
      return frame.opcode === opcode && frame.cmd === 1 && frame.payload?.tokenAttrs?.LOGIN;
    });
  const logins = [...ok(291), ...ok(115)];
  for (const { conn } of logins) {
    const opcodes = fake
      .frames()
      .filter((line) => line.ev === 'in' && line.conn === conn)
      .map((line) => (line.decoded ?? JSON.parse(line.raw)).opcode);
    assert.equal(opcodes.at(-1), 20, `on ${conn} came ${opcodes}`);
    assert.ok(opcodes.indexOf(20) > opcodes.indexOf(291));
    assert.ok(!opcodes.includes(97), 'the other sessions of the person were closed');
  }
  return logins.length;
}

for (const dialect of ['json', 'binary']) {
  describe(`our server signs in at the independent fake, ${dialect}`, () => {
    async function pair({ settings, ...options } = {}) {
      const fake = cleanup.add(await startFakeMax(options));
      const server = cleanup.add(await startServer({ upstream: [[fake.url, dialect]], settings }));
      const visitor = new Visitor(server.base);
      return { fake, server, visitor, stream: await visitor.startWs() };
    }

    async function succeeds({ fake, visitor, stream }) {
      const success = await stream.outcome();
      assert.equal(success.event, 'success', JSON.stringify(success));
      assert.equal((await visitor.callback(success.data.token)).status, 303);
      const { json } = await visitor.session();
      assert.equal(json.name, 'Иван Петров');
      assert.equal(json.first_name, 'Иван');
      assert.equal(json.last_name, 'Петров');
      await eventually(() => fake.frames().some(({ ev }) => ev === 'close'), 'the connection to MAX to be closed');
      behavesAsMaxExpects(fake);
      assert.equal(everyLoginIsEnded(fake), 1);
    }

    test('ok', async () => {
      const all = await pair();
      await succeeds(all);
      const opcodes = all.fake.received().map(({ opcode }) => opcode);
      assert.deepEqual(opcodes.slice(0, 2), [6, 288]);
      assert.deepEqual(opcodes.slice(-2), [291, 20]);
      assert.deepEqual([...new Set(opcodes.slice(2, -2))], [289]);
      assert.deepEqual(
        all.fake.received().map(({ seq }) => seq),
        opcodes.map((_, index) => index),
      );
      assert.deepEqual([...new Set(all.fake.received().map(({ ver }) => ver))], [dialect === 'json' ? 11 : 10]);
    });

    for (const [name, args] of [
      ['every integer wrapped', ['--wrap-all']],
      ['no extension types', ['--no-ext']],
      ['nothing compressed', ['--no-compress']],
    ]) {
      if (dialect === 'binary') test(name, async () => succeeds(await pair({ args })));
    }

    test('MAX pings in between', async () => {
      // Long enough for several pings, whose sequence numbers collide with ours.
      const all = await pair({ args: ['--server-ping', '0.2'], approveAfter: 12, pollMs: 80 });
      await succeeds(all);
      assert.ok(all.fake.frames().filter(({ ev }) => ev === 'push').length >= 3);
    });

    test('a cloud password, passed through: wrong, then right', async () => {
      const all = await pair({ scenario: '2fa', settings: { LOGIN_PASSWORD: 'ask' } });
      const { fake, server, visitor, stream } = all;
      const login = await loginOf(stream);
      const asked = await stream.until('password');
      assert.equal(asked.data.hint, 'pet name');
      const wrong = await visitor.password(login, 'incorrect horse');
      assert.ok(wrong.status < 500, wrong.text);
      await eventually(
        () => fake.received().filter(({ opcode }) => opcode === 115).length === 1,
        'the wrong password at MAX',
      );
      await eventually(
        async () => (await visitor.password(login, 'correct horse')).status < 300,
        'the right password to be taken',
      );
      await succeeds(all);
      const tries = fake
        .received()
        .filter(({ opcode }) => opcode === 115)
        .map(({ payload }) => payload.password);
      assert.equal(tries[0], 'incorrect horse');
      assert.equal(tries.at(-1), 'correct horse');
      assert.doesNotMatch(server.output, /correct horse/);
    });

    test('a cloud password, refused', async () => {
      const { fake, stream } = await pair({ scenario: '2fa' });
      const { event, data } = await stream.outcome();
      assert.equal(event, 'error');
      assert.deepEqual([data.code, data.retry], ['password-not-supported', false]);
      assert.ok(data.message);
      assert.deepEqual(await stream.ends(), { code: 1000, reason: stream.ended.reason });
      assert.ok(!behavesAsMaxExpects(fake).some(({ opcode }) => opcode === 115));
    });

    test('an expired code is replaced by a fresh one', async () => {
      const { fake, visitor, stream } = await pair({ scenario: 'expired' });
      const first = trackOf(await stream.until('qr'));
      const second = trackOf(await stream.until('qr'));
      assert.notEqual(first, second);
      await visitor.giveUp(await loginOf(stream));
      await stream.ends();
      behavesAsMaxExpects(fake);
    });

    test('MAX refuses the app version: the visitor gets an answer, the operator the key to change', async () => {
      const { fake, server, stream } = await pair({ scenario: 'disabled' });
      const { event, data } = await stream.outcome();
      assert.equal(event, 'error');
      assert.deepEqual([data.code, data.retry], ['qr-login-disabled', false]);
      await server.printed(/app_version/);
      behavesAsMaxExpects(fake);
    });

    test('nobody ever approves: the login ends by login.ttl', async () => {
      const { fake, stream } = await pair({ scenario: 'never', settings: { LOGIN_TTL: '2s' } });
      const started = performance.now();
      const { event, data } = await stream.outcome();
      assert.equal(event, 'error');
      assert.equal(data.code, 'login-expired');
      const took = performance.now() - started;
      assert.ok(took < 4000, `${took} ms`);
      await eventually(() => fake.frames().some(({ ev }) => ev === 'close'), 'the connection to MAX to be closed');
      behavesAsMaxExpects(fake);
    });

    test('a visitor who gives up ends it at MAX too', async () => {
      const { fake, visitor, stream } = await pair({ scenario: 'never' });
      const { login } = await untilCode(stream);
      const answer = await visitor.giveUp(login);
      assert.ok(answer.status === 204 || answer.status === 200, answer.text);
      await stream.ends();
      await eventually(() => fake.frames().some(({ ev }) => ev === 'close'), 'the connection to MAX to be closed');
      isProblem(await visitor.password(login, 'x'), 409, 'password-not-asked');
    });
  });
}

describe('two endpoints', () => {
  test('the second takes over when the first refuses', async () => {
    const [first, second] = [cleanup.add(await startFakeMax({ scenario: 'ok' })), cleanup.add(await startFakeMax())];
    await first.stop();
    const server = cleanup.add(
      await startServer({
        upstream: [
          [first.url, 'binary'],
          [second.url, 'json'],
        ],
      }),
    );
    const stream = await new Visitor(server.base).startWs();
    assert.equal((await stream.outcome()).event, 'success');
    behavesAsMaxExpects(second);
  });
});
