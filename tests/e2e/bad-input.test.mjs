// Everything that can be wrong at the edges gets a clear answer, and the server signs somebody in afterwards.

import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { once } from 'node:events';
import { join } from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';
import { BINARY } from '../harness/paths.mjs';
import { freePort, run, tempFolder } from '../harness/process.mjs';
import { raw } from '../harness/raw.mjs';
import { BASE_PATH, environment, startFakeMax, startServer } from '../harness/server.mjs';
import { Cleanup, isProblem, signIn, startPair, untilCode } from '../harness/story.mjs';
import { eventually, pause } from '../harness/time.mjs';
import { USER_AGENT, Visitor, loginOf, trackOf } from '../harness/visitor.mjs';

const cleanup = new Cleanup();
after(() => cleanup.run());

let emulator;
let server;
let slow;
before(async () => {
  ({ emulator, server } = await startPair(cleanup));
  slow = beginSlow();
});

const visitor = () => new Visitor(server.base);
const post = (body, { headers = {}, ...rest } = {}) =>
  visitor().request('', {
    method: 'POST',
    body,
    headers: { 'content-type': 'application/json', accept: 'application/json', ...headers },
    ...rest,
  });

/** What every group of insults ends with. */
const stillWorks = async () => {
  assert.equal(server.child.exitCode, null, 'the server is gone');
  await signIn({ emulator, base: server.base });
  assert.doesNotMatch(server.output, /panicked/);
};

describe('the first message of a WebSocket', () => {
  afterEach(stillWorks);
  const closes = async (message, codes, options) => {
    const stream = await visitor().ws('');
    stream.socket.send(message, options ?? {});
    const { code } = await stream.ends();
    assert.ok(codes.includes(code), `closed with ${code}, not ${codes}`);
    assert.deepEqual(stream.events, []);
  };

  test('a text that is too big', () =>
    closes(JSON.stringify({ userAgent: { deviceName: 'x'.repeat(1 << 20) } }), [1003, 1009]));
  test('a little too big', () => closes(JSON.stringify({ userAgent: { deviceName: 'x'.repeat(5000) } }), [1003, 1009]));
  test('a binary message', () =>
    closes(Buffer.from(JSON.stringify({ userAgent: USER_AGENT })), [1003], { binary: true }));
  test('nothing in it', () => closes('', [1003]));
  test('deep nesting', () => closes('['.repeat(2000) + ']'.repeat(2000), [1003]));
  test('a login of the wrong type', () => closes('{"login":{"$gt":""},"after":1}', [1003]));
  test('begin and resume at once, or neither', async () => {
    await closes('{"after":"00000000-1"}', [1003]);
    await closes('{"userAgent":[]}', [1003]);
    await closes('{"userAgent":"Chrome"}', [1003]);
  });

  test('bytes that are no UTF-8, no frame, no mask', async () => {
    const upgrade = `GET ${BASE_PATH} HTTP/1.1\r\nHost: 127.0.0.1:${server.port}\r\nOrigin: ${server.address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`;
    for (const [name, frame] of Object.entries({
      'not UTF-8': Buffer.from([0x81, 0x82, 0, 0, 0, 0, 0xff, 0xfe]),
      'no mask': Buffer.from([0x81, 0x02, 0x7b, 0x7d]),
      'reserved bits': Buffer.from([0xf1, 0x82, 0, 0, 0, 0, 0x7b, 0x7d]),
      'reserved opcode': Buffer.from([0x83, 0x82, 0, 0, 0, 0, 0x7b, 0x7d]),
      'a length of 2^63': Buffer.from([0x81, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]),
      'a ping of 126 bytes': Buffer.concat([Buffer.from([0x89, 0xfe, 0, 126, 0, 0, 0, 0]), Buffer.alloc(126)]),
    })) {
      const { status, text } = await raw(server.port, [upgrade, 50, frame]);
      assert.equal(status, 101, `${name}: ${text}`);
      const close = Buffer.from(text.slice(text.indexOf('\r\n\r\n') + 4), 'latin1');
      assert.ok(close.length === 0 || close[0] === 0x88, `${name}: ${close.toString('hex')}`);
    }
  });

  test('in many small pieces it is still a first message', async () => {
    const stream = await visitor().ws('');
    const text = JSON.stringify({ userAgent: USER_AGENT });
    for (let at = 0; at < text.length; at += 50)
      stream.socket.send(text.slice(at, at + 50), { fin: at + 50 >= text.length, binary: false });
    await untilCode(stream);
    await stream.cut();
  });

  test('talk afterwards that nobody understands changes nothing, a flood ends it', async () => {
    const stream = await visitor().startWs();
    await untilCode(stream);
    for (const message of ['garbage', '{}', '{"wake":"yes"}', '{"userAgent":{}}', '[]']) stream.send(message);
    const other = await stream.until(({ data }) => data.stage === 'waiting').catch(() => null);
    assert.ok(other || stream.ended, 'no answer at all');
    const flood = await visitor().startWs();
    await untilCode(flood);
    for (let i = 0; i < 2000 && !flood.ended; i++) flood.send({ wake: true });
    const { code } = await flood.ends();
    assert.ok([1008, 1013, 4008].includes(code) || code >= 4000, `a flood was closed with ${code}`);
    await stream.cut();
  });
});

describe('what a browser says of itself', () => {
  afterEach(stillWorks);
  const ABSURD = {
    'no object': [1, 'x', null, [], true],
    'long texts': [{ deviceName: 'x'.repeat(6000), headerUserAgent: 'y'.repeat(1000) }],
    'the wrong types': [
      { deviceName: 5, osVersion: { a: { b: [1] } }, locale: [], screen: null, timezone: true, headerUserAgent: 1e308 },
    ],
    'control characters': [
      {
        headerUserAgent: 'a\r\nX-Injected: yes',
        deviceName: '\u0000\u0007\u001b[31m',
        osVersion: '\u202e\u2066',
        timezone: '../../etc/passwd',
      },
    ],
    'unknown keys': [
      Object.fromEntries(Array.from({ length: 300 }, (_, at) => [`k${at}`, at])),
      { __proto__x: 1, constructor: {}, appVersion: '0.0.1', deviceType: 'ANDROID' },
    ],
    'lone surrogates': [{ deviceName: 'REPLACED' }],
  };
  for (const [name, each] of Object.entries(ABSURD)) {
    test(name, async () => {
      for (const userAgent of each) {
        const answer = await post(JSON.stringify({ userAgent }).replace('REPLACED', '\\ud800\\udfff\\ud800'));
        if (answer.status === 200) continue;
        isProblem(answer, answer.status === 413 ? 413 : 400);
      }
    });
  }

  test('MAX is told nothing of it that it would not expect', async () => {
    const fake = cleanup.add(await startFakeMax());
    const own = cleanup.add(await startServer({ upstream: [[fake.url, 'json']] }));
    for (const userAgent of Object.values(ABSURD).flat()) {
      const one = new Visitor(own.base, { userAgent });
      const answer = await one.request('', {
        method: 'POST',
        json: { userAgent },
        headers: { accept: 'application/json' },
      });
      if (answer.status !== 200) continue;
      assert.equal((await one.pages(answer.json.login).outcome()).event, 'success');
    }
    const inits = fake.received().filter(({ opcode }) => opcode === 6);
    assert.ok(inits.length >= 2, 'some of it was taken');
    for (const { payload } of inits) {
      assert.equal(payload.userAgent.deviceType, 'WEB');
      assert.notEqual(payload.userAgent.appVersion, '0.0.1');
      for (const [key, value] of Object.entries(payload.userAgent)) {
        if (key === 'isPwa') continue;
        assert.equal(typeof value, 'string', `${key}: ${JSON.stringify(value)}`);
        assert.ok(
          value.length <= 512 && !/[\u0000-\u001f\u007f\u202e\u2066]/.test(value),
          `${key}: ${JSON.stringify(value)}`,
        );
      }
    }
    for (const { headers } of fake.frames().filter(({ ev }) => ev === 'open')) {
      assert.ok(!headers.some(([header]) => header.toLowerCase() === 'x-injected'));
    }
  });
});

describe('the origin', () => {
  afterEach(stillWorks);
  const wrong = (own) => {
    const { port } = new URL(own);
    return [
      'https://evil.example',
      'null',
      '',
      undefined,
      own.replace('http:', 'https:'),
      `${own}.evil.example`,
      `${own}0`,
      `http://evil.example:${port}`,
      `http://x.127.0.0.1:${port}`,
      own.slice(0, -1),
      `${own}/`,
      `${own}/path`,
      `${own}@evil.example`,
      `http://evil.example/${own}`,
      `${own}, https://evil.example`,
      '*',
      'file://',
      'http://127.0.0.1',
    ];
  };

  test('an upgrade from anywhere else is refused before it happens', async () => {
    for (const origin of wrong(server.address)) {
      const refused = await visitor()
        .ws('', { headers: { origin } })
        .then(
          () => assert.fail(`${origin} was let in`),
          (error) => error,
        );
      const problem = isProblem(refused, 403, 'origin-refused');
      assert.ok(problem.detail, 'the refusal says why');
    }
  });

  test('and so is a POST that names another', async () => {
    for (const origin of wrong(server.address).filter(Boolean)) {
      isProblem(await post(JSON.stringify({ userAgent: USER_AGENT }), { headers: { origin } }), 403, 'origin-refused');
    }
  });

  test('a listed origin gets CORS with credentials, others get none', async () => {
    const open = cleanup.add(
      await startServer({
        upstream: [[emulator.url, 'json']],
        settings: { SERVER_ALLOWED_ORIGINS: '["https://shop.example"]' },
      }),
    );
    const ask = (origin, method = 'GET', headers = {}) =>
      new Visitor(open.base, { origin }).request('/session', { method, headers });
    const listed = await ask('https://shop.example');
    assert.equal(listed.headers['access-control-allow-origin'], 'https://shop.example');
    assert.equal(listed.headers['access-control-allow-credentials'], 'true');
    assert.match(listed.headers.vary ?? '', /origin/i);
    const preflight = await new Visitor(open.base, { origin: 'https://shop.example' }).request('', {
      method: 'OPTIONS',
      headers: { 'access-control-request-method': 'POST', 'access-control-request-headers': 'content-type' },
    });
    assert.ok(preflight.status === 204 || preflight.status === 200, preflight.text);
    assert.equal(preflight.headers['access-control-allow-origin'], 'https://shop.example');
    for (const origin of ['https://evil.example', 'null', 'https://shop.example.evil.example']) {
      assert.equal((await ask(origin)).headers['access-control-allow-origin'], undefined);
    }
  });
});

describe('requests', () => {
  afterEach(stillWorks);
  const start = JSON.stringify({ userAgent: USER_AGENT });

  test('a body too big: 413', async () => {
    isProblem(await post(JSON.stringify({ userAgent: { deviceName: 'x'.repeat(1 << 20) } })), 413);
    const { status } = await raw(server.port, [
      `POST ${BASE_PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n`,
      // A little more than is taken, at once: what a server leaves unread resets the connection, and its answer with it.
      `1000\r\n${' '.repeat(0x1000)}\r\n`.repeat(3) + '0\r\n\r\n',
    ]);
    assert.equal(status, 413);
  });

  test('the wrong content type: 415', async () => {
    for (const type of [
      'text/plain',
      'application/x-www-form-urlencoded',
      'multipart/form-data; boundary=x',
      'application/jsonx',
      '',
    ]) {
      isProblem(await post(start, { headers: { 'content-type': type } }), 415);
    }
    assert.equal((await post(start, { headers: { 'content-type': 'application/json; charset=utf-8' } })).status, 200);
  });

  test('bad JSON: 400', async () => {
    for (const body of [
      '',
      '{',
      'null',
      '[]',
      '"x"',
      '1',
      '{"userAgent":',
      `${start}x`,
      '{}',
      "{'userAgent':{}}",
      '\ufeff{}',
      '['.repeat(3000),
    ]) {
      isProblem(await post(body), 400);
    }
  });

  test('an Accept that cannot be served is no crash', async () => {
    for (const accept of ['image/png', '*/*', '', ',,;q=x', 'text/event-stream;q=0, application/json']) {
      const answer = await post(start, { headers: { accept }, ms: 5000 }).catch((error) => error);
      assert.ok(!(answer.status >= 500), `${accept}: ${answer.status}`);
    }
  });

  test('unknown logins: 404 login-not-found', async () => {
    for (const login of [
      'x',
      'A'.repeat(22),
      'A'.repeat(4000),
      '%00',
      '%2e%2e',
      '..%2f..',
      '00000000-0000-0000-0000-000000000000',
      '%F0%9F%98%80',
      '%ff',
    ]) {
      const answer = await visitor().page(login, undefined, 0);
      isProblem(answer, 404);
    }
  });

  test('bad parameters: 400', async () => {
    const one = visitor();
    const stream = await one.startWs();
    const { login } = await untilCode(stream);
    const page = (query) => one.request(`/${login}/events?${query}`, { headers: { accept: 'application/json' } });
    for (const wait of ['x', '-1', '1e9', '', '99999999999999999999', 'NaN']) {
      const answer = await page(`wait=${wait}&after=${stream.events[0].id}`);
      assert.ok(answer.status === 200 || answer.status === 400, `wait=${wait}: ${answer.status}`);
    }
    isProblem(await page('wait=0&after=zzz'), 400, 'position-invalid');
    const gone = `${stream.events[0].id.split('-')[0].replace(/./g, (digit) => (digit === '1' ? '2' : '1'))}-1`;
    isProblem(await page(`wait=0&after=${gone}`), 410, 'position-gone');
    await one.giveUp(login);
  });

  test('a callback without, with a bad, with a huge token', async () => {
    for (const query of [
      '',
      '?token=',
      '?token=x',
      `?token=${'x'.repeat(5000)}`,
      '?token=%00',
      '?token=a&token=b',
      '?token[]=x',
    ]) {
      const { status, headers } = await visitor().request(`/callback${query}`);
      assert.ok(status >= 400 && status < 500, `${query}: ${status}`);
      assert.equal(
        headers['set-cookie']?.some((line) => !/flow/.test(line) && !/max-age=0/i.test(line)) ?? false,
        false,
        'no session cookie',
      );
    }
  });

  test('a password for nobody, of the wrong type, too long', async () => {
    const one = visitor();
    const login = await loginOf(await one.startWs());
    for (const body of [
      '{}',
      '{"password":1}',
      '{"password":null}',
      JSON.stringify({ password: 'x'.repeat(5000) }),
      'x',
    ]) {
      const answer = await one.request(`/${login}/password`, {
        method: 'POST',
        body,
        headers: { 'content-type': 'application/json' },
      });
      assert.ok(answer.status >= 400 && answer.status < 500, `${body.slice(0, 40)}: ${answer.status}`);
      isProblem(answer, answer.status);
    }
    await one.giveUp(login);
  });

  test('unknown paths: 404; not the operator’s either', async () => {
    for (const path of [
      '/nothing',
      '/verified/x',
      '/../../etc/passwd',
      '/%2e%2e/%2e%2e/etc/passwd',
      '/client.js/x',
      '/CLIENT.JS',
      '/.env',
      '/x/events/y',
    ]) {
      const answer = await visitor().request(path);
      // One step below the base path could be a login, which can be deleted and not be read.
      isProblem(answer, path.lastIndexOf('/') === 0 ? 405 : 404);
    }
    for (const path of ['/metrics', '/healthz', '/readyz', `${BASE_PATH}/metrics`, '/debug', '/phone']) {
      const answer = await visitor().request(server.address + path);
      assert.ok([404, 405].includes(answer.status), `${path}: ${answer.status}`);
    }
  });

  test('the wrong method: 405 with Allow', async () => {
    for (const [method, path] of [
      ['PUT', ''],
      ['DELETE', ''],
      ['PATCH', ''],
      ['POST', '/session'],
      ['GET', '/logout'],
      ['POST', '/client.js'],
      ['DELETE', '/callback'],
      ['PUT', '/x/events'],
      ['GET', '/x/password'],
    ]) {
      const answer = await visitor().request(path, { method });
      isProblem(answer, 405);
      assert.ok(answer.headers.allow, `${method} ${path} says no Allow`);
    }
  });

  test('heads that are too big: 431', async () => {
    const head = (more) => `GET ${BASE_PATH}/session HTTP/1.1\r\nHost: x\r\nConnection: close\r\n${more}\r\n`;
    assert.equal((await raw(server.port, [head(`Cookie: ${'x'.repeat(60_000)}\r\n`)])).status, 431);
    assert.equal(
      (await raw(server.port, [head(Array.from({ length: 300 }, (_, at) => `X-${at}: y\r\n`).join(''))])).status,
      431,
    );
    const long = await raw(server.port, [`GET ${BASE_PATH}/session?${'x'.repeat(60_000)} HTTP/1.1\r\nHost: x\r\n\r\n`]);
    assert.ok([414, 431].includes(long.status), `${long.status}`);
  });

  test('bytes that are no HTTP: 400 or closed', async () => {
    for (const bytes of [
      '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03',
      'GET\r\n\r\n',
      'GET / HTTP/9.9\r\n\r\n',
      '\r\n\r\n\r\n\r\nx\r\n\r\n',
      'SSH-2.0-x\r\n\r\n',
      `GET / HTTP/1.1\r\nHost: x\r\nX\x00: y\r\n\r\n`,
    ]) {
      const { text, status } = await raw(server.port, [bytes], { ms: 20_000 });
      assert.ok(text === '' || status === 400 || status === 505, JSON.stringify(text.slice(0, 200)));
    }
  });

  test('request smuggling: two lengths, a length and chunks', async () => {
    for (const lines of [
      'Content-Length: 5\r\nContent-Length: 6',
      'Content-Length: -1',
      'Content-Length: 5x',
      'Transfer-Encoding: chunked, identity',
      'Transfer-Encoding: x',
    ]) {
      const { status, text } = await raw(server.port, [
        `POST ${BASE_PATH} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n${lines}\r\n\r\n{}   GET /x HTTP/1.1\r\n\r\n`,
      ]);
      assert.ok(Number.isNaN(status) || (status >= 400 && status < 500), `${lines}: ${text.slice(0, 200)}`);
      assert.equal(text.match(/HTTP\/1\.1 /g)?.length ?? 0, Number.isNaN(status) ? 0 : 1, `${lines}: answered twice`);
    }
  });

  test('a body that never ends is not waited for', { timeout: 90_000 }, async () => {
    const began = performance.now();
    await raw(
      server.port,
      [`POST ${BASE_PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{`],
      { ms: 60_000 },
    );
    assert.ok(performance.now() - began < 60_000);
  });
});

describe('MAX refuses', () => {
  // Of its own: a login that somebody else left waiting would take the fault upon itself.
  let emulator;
  let server;
  before(async () => {
    ({ emulator, server } = await startPair(cleanup, { settings: { LOGIN_GRACE: '300ms' } }));
  });
  const visitor = () => new Visitor(server.base);
  afterEach(async () => {
    await emulator.fault();
    await eventually(async () => {
      const { connections, silent } = await emulator.stats();
      return connections === silent; // what waits for the next visitor has said nothing
    }, 'the logins to end');
    await signIn({ emulator, base: server.base });
    assert.doesNotMatch(server.output, /panicked/);
  });
  const REFUSALS = [
    [6, 'client.unsupported-version', 'qr-login-disabled', false],
    [288, 'qr_login.disabled', 'qr-login-disabled', false],
    [288, 'too.many.requests', 'max-rate-limited', true],
    [288, 'error.limit.violate', 'max-rate-limited', true],
    [288, 'auth.request.forbidden', 'max-rate-limited', true],
    [291, 'login.blocked', 'account-blocked', false],
    [291, 'user.not.found', 'account-blocked', false],
    [291, 'login.flood', 'max-rate-limited', true],
    [291, 'error.profile.active.session.no2fa', 'two-factor-needed', false],
    [288, 'proto.payload', 'internal', undefined],
  ];
  for (const [on, said, code, retry] of REFUSALS) {
    test(`${said} on ${on}: ${code}`, async () => {
      await emulator.fault({ on, do: 'error', code: said });
      const stream = await visitor().startWs();
      if (on === 291) await emulator.approve((await untilCode(stream)).track);
      const { event, data } = await stream.outcome(20_000);
      assert.equal(event, 'error');
      assert.equal(data.code, code);
      if (retry !== undefined) assert.equal(data.retry, retry);
      assert.ok(data.message);
      if (code === 'max-rate-limited') assert.ok(data.retryAfter > 0);
      const { code: closed } = await stream.ends();
      assert.equal(closed, 1000);
      // The operator can see what MAX said, in MAX's words.
      await server.printed(new RegExp(said.replaceAll('.', '\\.')));
    });
  }

  for (const said of ['track.not.found', 'service.unavailable', 'internal', 'something.never.seen']) {
    test(`${said} once while waiting: the login goes on, with a fresh code if need be, or says so`, async () => {
      const stream = await visitor().startWs();
      await untilCode(stream);
      await emulator.fault({ on: 289, do: 'error', code: said });
      await eventually(async () => (await emulator.stats()).faults === 0, 'MAX to have said it');
      await pause(1500);
      const qr = stream.events.filter(({ event }) => event === 'qr').at(-1);
      if (!stream.ended) await emulator.approve(trackOf(qr));
      const { event, data } = await stream.outcome();
      assert.ok(event === 'success' || data.retry, JSON.stringify(data));
      if (said === 'track.not.found') assert.equal(event, 'success');
    });
  }

  test('an answer to another question', async () => {
    await emulator.fault({ on: 288, do: 'wrong-opcode', times: 1 });
    const stream = await visitor().startWs();
    await stream.until('qr', 30_000);
    await stream.cut();
  });

  test('a MAX that is not there: the visitor is told, in time', { timeout: 60_000 }, async () => {
    const port = await freePort();
    const lost = cleanup.add(
      await startServer({
        upstream: [[`ws://127.0.0.1:${port}/websocket`, 'json']],
        settings: { UPSTREAM_GIVE_UP_AFTER: '3s' },
      }),
    );
    const stream = await new Visitor(lost.base).startWs();
    const { event, data } = await stream.outcome(20_000);
    assert.equal(event, 'error');
    assert.equal(data.code, 'upstream-unreachable');
    assert.equal(data.retry, true);
    await lost.printed(new RegExp(`127\\.0\\.0\\.1:${port}|refused`));
  });

  test('a MAX that accepts and says nothing', { timeout: 60_000 }, async () => {
    const mute = createServer(() => {});
    mute.listen(0, '127.0.0.1');
    await once(mute, 'listening');
    cleanup.add({ stop: () => mute.close() });
    const settings = { UPSTREAM_GIVE_UP_AFTER: '3s', UPSTREAM_ANSWER_TIMEOUT: '1s' };
    const lost = cleanup.add(
      await startServer({ upstream: [[`ws://127.0.0.1:${mute.address().port}/websocket`, 'binary']], settings }),
    );
    const { data } = await (await new Visitor(lost.base).startWs()).outcome(25_000);
    assert.equal(data.code, 'upstream-unreachable');
  });
});

describe('too many', () => {
  test('more logins than max_active: a clear "busy", and room again afterwards', async () => {
    const small = cleanup.add(
      await startServer({ upstream: [[emulator.url, 'json']], settings: { LOGIN_MAX_ACTIVE: '2' } }),
    );
    const [one, two] = [new Visitor(small.base), new Visitor(small.base)];
    const first = await one.startPage();
    await two.startPage();
    const refused = await new Visitor(small.base).request('', {
      method: 'POST',
      json: { userAgent: USER_AGENT },
      headers: { accept: 'application/json' },
    });
    isProblem(refused, 503, 'busy');
    assert.ok(refused.headers['retry-after']);
    const socket = await new Visitor(small.base).startWs().catch((error) => error);
    if (socket instanceof Error) isProblem(socket, 503, 'busy');
    else assert.equal((await socket.outcome()).data.code, 'busy');
    await one.giveUp(first.login);
    await eventually(() => new Visitor(small.base).startPage(), 'room for another login');
  });
});

// ---- the command line --------------------------------------------------------------------------------------------------------

describe('starting it wrongly', () => {
  const folder = () => tempFolder('config');
  const write = (text) => {
    const file = join(folder(), 'max-auth.toml');
    writeFileSync(file, text);
    return file;
  };
  const maxAuth = (args, settings = {}) =>
    run(BINARY, args, { env: environment({ STORE_PATH: join(folder(), 'state'), ...settings }) });
  const says = async (args, code, ...patterns) => {
    const { args: list, settings } = Array.isArray(args) ? { args, settings: {} } : args;
    const ended = await maxAuth(list, settings);
    assert.ok([code].flat().includes(ended.code), `exit ${ended.code}: ${ended.output}`);
    for (const pattern of patterns) assert.match(ended.output, pattern);
    assert.doesNotMatch(ended.output, /panicked|RUST_BACKTRACE/);
  };

  test('a configuration that is not there, not readable, not TOML', async () => {
    await says(['config', 'check', '--config', '/nowhere/max-auth.toml'], [1, 2], /\/nowhere\/max-auth\.toml/);
    await says(['serve', '--config', '/nowhere/max-auth.toml'], [1, 2], /\/nowhere\/max-auth\.toml/);
    await says(['config', 'check', '--config', folder()], [1, 2], /cannot be read/i);
    const file = write('[server\nlisten = ');
    await says(['config', 'check', '--config', file], 1, /max-auth\.toml/, /line 1/);
  });

  test('unknown keys, with the nearest known one and the line', async () => {
    await says(
      ['config', 'check', '--config', write('[server]\nlistne = "127.0.0.1:1"\n')],
      1,
      /listne/,
      /\blisten\b/,
      /line 2/,
    );
    await says(
      ['config', 'check', '--config', write('[serverr]\nlisten = "127.0.0.1:1"\n')],
      1,
      /serverr/,
      /\bserver\b/,
    );
    await says(
      ['config', 'check', '--config', write('# x\n\n[login]\ntll = "5s"\n')],
      1,
      /tll/,
      /login\.ttl|\bttl\b/,
      /line 4/,
    );
    await says({ args: ['config', 'check'], settings: { LOGIN_TTLL: '5s' } }, 1, /MAX_AUTH_LOGIN_TTLL/, /ttl/i);
  });

  test('bad values, with file and line or the variable', async () => {
    for (const [text, pattern] of [
      ['[server]\nlisten = "nowhere"\n', /listen/],
      ['[login]\nttl = "soon"\n', /ttl/],
      ['[login]\nttl = -5\n', /ttl/],
      ['[login]\nmax_active = "many"\n', /max_active/],
      ['[login]\npassword = "maybe"\n', /refuse.*ask|ask.*refuse/s],
      ['[server]\ntrusted_proxies = ["10.0.0.0/99"]\n', /10\.0\.0\.0\/99/],
      ['[server]\nallowed_origins = ["example.ru"]\n', /example\.ru/],
      ['[server]\npublic_url = "ftp://x"\n', /public_url/],
      ['[server]\nbase_path = "api"\n', /base_path/],
      ['[upstream]\nendpoints = [{ url = "http://x", dialect = "json" }]\n', /ws:\/\/|wss:\/\//],
      ['[upstream]\nendpoints = [{ url = "wss://x", dialect = "xml" }]\n', /binary|json/],
      ['[upstream]\nendpoints = []\n', /endpoint/],
      ['[log]\nlevel = "loud"\n', /level/],
      ['[store]\nkind = "paper"\n', /memory/],
    ]) {
      await says(['config', 'check', '--config', write(text)], 1, pattern, /max-auth\.toml.*line 2|line 2/);
    }
    await says({ args: ['config', 'check'], settings: { LOGIN_TTL: 'soon' } }, 1, /MAX_AUTH_LOGIN_TTL/);
    // All at once, not one for each start.
    await says(['config', 'check', '--config', write('[login]\nttl = "soon"\ngrace = "later"\n')], 1, /soon/, /later/);
  });

  test('a good configuration is 0', async () => {
    await says(['config', 'check'], 0);
    await says(['config', 'check', '--config', write('[server]\npublic_url = "https://example.ru"\n')], 0);
    await says(['config', 'show'], 0, /first_message_timeout/);
  });

  test('a port that is taken', async () => {
    await says(
      {
        args: ['serve'],
        settings: { SERVER_LISTEN: `127.0.0.1:${server.port}`, SERVER_OPS_LISTEN: `127.0.0.1:${await freePort()}` },
      },
      2,
      new RegExp(`127\\.0\\.0\\.1:${server.port}`),
      /in use/i,
    );
    await says(
      {
        args: ['serve'],
        settings: { SERVER_LISTEN: `127.0.0.1:${await freePort()}`, SERVER_OPS_LISTEN: new URL(server.ops).host },
      },
      2,
      new RegExp(new URL(server.ops).host.replaceAll('.', '\\.')),
    );
    await says(['emulate', '--listen', `127.0.0.1:${server.port}`], 2, new RegExp(`127\\.0\\.0\\.1:${server.port}`));
  });

  test('an emulator for the whole world, without saying so twice', async () => {
    await says(['emulate', '--listen', `0.0.0.0:${await freePort()}`], [1, 2], /loopback/i);
  });

  test('a state directory that cannot be one', async () => {
    const file = join(folder(), 'file');
    writeFileSync(file, '');
    const ports = {
      SERVER_LISTEN: `127.0.0.1:${await freePort()}`,
      SERVER_OPS_LISTEN: `127.0.0.1:${await freePort()}`,
    };
    await says({ args: ['serve'], settings: { ...ports, STORE_PATH: join(file, 'state') } }, 2, /file\/state/);
    await says({ args: ['serve'], settings: { ...ports, STORE_PATH: file } }, 2, /file/);
    if (process.getuid() !== 0) {
      const closed = join(folder(), 'closed');
      mkdirSync(closed);
      chmodSync(closed, 0o500);
      await says({ args: ['serve'], settings: { ...ports, STORE_PATH: join(closed, 'state') } }, 2, /closed/);
    } else {
      await says({ args: ['serve'], settings: { ...ports, STORE_PATH: '/proc/max-auth' } }, 2, /\/proc\/max-auth/);
    }
  });

  test('commands and flags that do not exist', async () => {
    await says(['sevre'], 2, /serve/);
    await says(['serve', '--listen', 'x'], [1, 2], /--listen/);
    await says([], 2, /serve/);
    await says(['--help'], 0, /serve/, /emulate/);
    await says(['--version'], 0, /\d+\.\d+\.\d+/);
  });
});

// ---- connections that take their time; begun first, looked at last ---------------------------------------------------------------

/** How long a connection may take before its first request, or for a head: the server allows 65 s, so that proxies go first. */
const SLOWEST_MS = 80_000;

function beginSlow() {
  const timed = async (parts) => {
    const began = performance.now();
    await raw(server.port, parts, { ms: SLOWEST_MS });
    return performance.now() - began;
  };
  const head = `GET ${BASE_PATH}/session HTTP/1.1\r\nHost: x\r\n`;
  const drip = Array.from({ length: SLOWEST_MS / 1000 }, (_, at) => [`X-${at}: y\r\n`, 1000]).flat();
  const all = {
    'says nothing': timed([]),
    'stops in the head': timed([head]),
    'sends a head line by line': timed([head, ...drip]),
    'begins like HTTP/2': timed(['PRI * HT']),
  };
  for (const each of Object.values(all)) each.catch(() => {});
  return all;
}

describe('a connection is not waited for that', () => {
  for (const name of ['says nothing', 'stops in the head', 'sends a head line by line', 'begins like HTTP/2']) {
    test(name, { timeout: 2 * SLOWEST_MS }, async () => {
      const took = await slow[name];
      assert.ok(took < SLOWEST_MS, `${took} ms`);
    });
  }
});
