// The failures of the outage (docs/why.md), behind the two nginx tiers it happened on, with the very files of deploy/nginx.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { startBrowser, screenshot } from '../harness/browser.mjs';
import { startTwoTiers } from '../harness/two-tiers.mjs';
import { freePort } from '../harness/process.mjs';
import { BASE_PATH, startEmulator, startServer } from '../harness/server.mjs';
import { startSite } from '../harness/site.mjs';
import { Cleanup, everyLoginEnded, isProblem, signIn, untilCode } from '../harness/story.mjs';
import { eventually, pause } from '../harness/time.mjs';
import { Visitor, trackOf } from '../harness/visitor.mjs';

const QUIET_MS = 90_000;

const cleanup = new Cleanup();
let emulator;
let site;
let browser;
let quiet;

/** A server of its own behind both tiers in a variant of their configuration. */
async function stack(variant, { upstream = emulator, settings } = {}) {
  const port = await freePort();
  const server = cleanup.add(
    await startServer({
      upstream: [[upstream.url, 'binary']],
      publicUrl: `https://localhost:${port}`,
      settings: { LOG_FORMAT: 'json', ...settings },
    }),
  );
  const nginx = cleanup.add(await startTwoTiers({ server: server.port, site: site.port, variant, port }));
  return { server, nginx, base: nginx.origin + BASE_PATH, origin: nginx.origin };
}

before(async () => {
  emulator = cleanup.add(await startEmulator());
  site = cleanup.add(await startSite());
  // Begun first and looked at last: the 90 s of silence cost no time of their own.
  quiet = await beginQuiet();
  browser = cleanup.add(await startBrowser());
});
after(() => cleanup.run());

// ---- with the shipped configuration ---------------------------------------------------------------------------------------

describe('with the shipped files', () => {
  let shipped;
  before(async () => {
    shipped = await stack('shipped');
  });

  test('a sign-in over WebSocket', async () => {
    const { stream, visitor, session } = await signIn({ emulator, base: shipped.base, how: 'ws' });
    assert.deepEqual(await stream.ends(), { code: 1000, reason: stream.ended.reason });
    assert.ok(session.sub);
    const flow = visitor.jar.seen.find((line) => line.startsWith('__Host-maxauth-flow='));
    for (const attribute of ['Path=/', 'Secure', 'HttpOnly', 'SameSite=Lax'])
      assert.match(flow, new RegExp(`; ${attribute}(;|$)`), flow);
  });

  test('a sign-in over server-sent events on HTTP/2', async () => {
    const { stream } = await signIn({
      emulator,
      base: shipped.base,
      how: 'sse',
      options: { version: 2, headers: { 'accept-encoding': 'gzip, deflate, br' } },
    });
    assert.equal(stream.httpVersion, '2.0');
  });

  test('a sign-in in a real browser, over WebSocket', async () => {
    const { profile } = await browserSignIn(shipped);
    const upgraded = profile.sockets.find((socket) => socket.received > 0);
    assert.ok(upgraded, 'no WebSocket delivered anything to the page');
    assert.deepEqual(profile.complaints, []);
    await profile.stop();
  });

  test('plain HTTP leads to HTTPS', async () => {
    const answer = await new Visitor(shipped.nginx.redirect).request('/somewhere?x=1');
    assert.equal(answer.status, 301);
    assert.match(answer.headers.location, /^https:\/\/.*\/somewhere\?x=1$/);
  });

  test('the server sees the visitor, not the proxies', async () => {
    // Ten starts a minute are one address's share; the spoofed X-Forwarded-For of a visitor must not make it another.
    const limited = await stack('shipped', { settings: { LOGIN_STARTS_PER_MINUTE: '3' } });
    const answers = [];
    for (let i = 0; i < 4; i++) {
      const visitor = new Visitor(limited.base);
      answers.push(
        await visitor.request('', {
          method: 'POST',
          json: { userAgent: visitor.userAgent },
          headers: { accept: 'application/json', 'x-forwarded-for': `203.0.113.${i}` },
        }),
      );
    }
    assert.deepEqual(
      answers.map(({ status }) => status),
      [200, 200, 200, 429],
    );
    isProblem(answers[3], 429, 'rate-limited');
    assert.ok(Number(answers[3].headers['retry-after']) > 0);
  });
});

// ---- failure 1: server-sent events through HTTP/2 and a compressor ------------------------------------------------------------

describe('failure 1: event by event through HTTP/2 and compression', () => {
  for (const [variant, encoding] of [
    ['shipped', 'gzip, deflate, br'],
    ['compressAll', 'br'],
    ['compressAll', 'gzip'],
  ]) {
    test(`${variant}, a client that takes ${encoding}`, async () => {
      const { base } = await stack(variant);
      const visitor = new Visitor(base);
      const stream = await visitor.startSse({}, { version: 2, headers: { 'accept-encoding': encoding } });
      assert.equal(stream.httpVersion, '2.0');
      assert.match(stream.headers['content-type'], /^text\/event-stream/);

      // Nothing of what follows is caused before the event before it is here, so nothing can have waited in a buffer.
      const { track: first } = await untilCode(stream);
      await emulator.expire(first);
      const second = trackOf(await stream.until('qr', 5000));
      assert.notEqual(second, first);
      await emulator.expire(second);
      const third = trackOf(await stream.until('qr', 5000));
      await emulator.approve(third);
      assert.equal((await stream.outcome(5000)).event, 'success');
      await stream.ends();
    });
  }
});

// ---- failure 2: the upgrade does not arrive ------------------------------------------------------------------------------------

describe('failure 2: without the Upgrade lines', () => {
  let bare;
  before(async () => {
    bare = await stack('noUpgrade');
  });

  test('a GET is told what is missing, never 404; the operator is told once', async () => {
    const visitor = new Visitor(bare.base);
    for (let i = 0; i < 3; i++) {
      const refused = await visitor.ws('').then(
        () => assert.fail('upgraded without the Upgrade header'),
        (error) => error,
      );
      assert.equal(refused.status, 426, String(refused));
      const problem = isProblem(refused, 426, 'upgrade-required');
      assert.match(JSON.stringify(problem), /proxy_set_header Upgrade/, 'the answer names the fix');
    }
    for (const path of ['', '/']) isProblem(await visitor.request(path), 426, 'upgrade-required');
    const warnings = () => bare.server.lines.filter((line) => /"level":"WARN"/.test(line) && /upgrade/i.test(line));
    await eventually(() => warnings().length > 0, 'a warning in the log');
    assert.equal(warnings().length, 1, warnings().join('\n'));
  });

  test('a browser signs in all the same', async () => {
    const { profile } = await browserSignIn(bare);
    await profile.stop();
  });
});

test('with no streaming line at all and everything compressed, a browser signs in all the same', async () => {
  const { profile } = await browserSignIn(await stack('seed'));
  await profile.stop();
});

// ---- failure 3: the timer that was not stopped ---------------------------------------------------------------------------------

describe('failure 3: the first message', () => {
  test('something that is no first message: 1003 Invalid initial message', async () => {
    const { base } = await stack('shipped');
    for (const message of [
      'garbage',
      '',
      'null',
      '[]',
      '{}',
      '"x"',
      '{"userAgent":1}',
      '{"login":5}',
      '{"userAgent":',
    ]) {
      const stream = await new Visitor(base).ws('');
      stream.send(message);
      assert.deepEqual(await stream.ends(), { code: 1003, reason: 'Invalid initial message' }, `after ${message}`);
      assert.equal(stream.events.length, 0);
    }
  });

  test('nothing: 1002 No initial message received, at login.first_message_timeout', async () => {
    assert.deepEqual(await quiet.silent.ends(), { code: 1002, reason: 'No initial message received' });
    const took = quiet.silent.endedAt - quiet.silent.openedAt;
    assert.ok(took > 9_500 && took < 12_500, `after ${Math.round(took)} ms`);
  });

  test('late, but in time, and then quiet far longer than the timer', async () => {
    const { base } = await stack('shipped', {
      settings: { LOGIN_FIRST_MESSAGE_TIMEOUT: '1s' },
      upstream: quiet.emulator,
    });
    const visitor = new Visitor(base);
    const stream = await visitor.ws('');
    await pause(700);
    stream.send({ userAgent: visitor.userAgent });
    const { login, track } = await untilCode(stream);
    await pause(1500);
    assert.equal(stream.ended, null, 'the timer was not stopped by the first message');
    await quiet.emulator.approve(track);
    stream.send({ wake: true });
    assert.equal((await stream.outcome()).event, 'success');
    assert.ok(login);
  });
});

// ---- and the quiet login -------------------------------------------------------------------------------------------------------

/** Logins in which nothing happens, through two tiers that cut after 60 s of silence. */
async function beginQuiet() {
  const slow = cleanup.add(await startEmulator({ pollMs: 200_000, args: ['--ttl-ms', '600000'] }));
  const { base } = await stack('defaultTimeouts', { upstream: slow, settings: { LOGIN_POLL_INTERVAL: '200s' } });
  const started = performance.now();

  const silent = await new Visitor(base).ws('');
  silent.openedAt = performance.now();
  silent.closed.then(
    () => {
      silent.endedAt = performance.now();
    },
    () => {},
  );

  const each = async (how, open) => {
    const visitor = new Visitor(base);
    const stream = await open(visitor);
    return { how, visitor, stream, ...(await untilCode(stream)) };
  };
  const logins = await Promise.all([
    each('WebSocket', (visitor) => visitor.startWs()),
    each('SSE over HTTP/1.1', (visitor) => visitor.startSse()),
    each('SSE over HTTP/2', (visitor) => visitor.startSse({}, { version: 2 })),
  ]);
  return { emulator: slow, started, silent, logins };
}

test(
  `a login in which nothing happens for ${QUIET_MS / 1000} s lives through nginx's default timeouts of 60 s`,
  { timeout: 180_000 },
  async () => {
    await pause(Math.max(0, QUIET_MS - (performance.now() - quiet.started)));
    for (const { how, visitor, stream, login, track } of quiet.logins) {
      assert.equal(stream.ended, null, `${how} was cut: ${JSON.stringify(stream.ended)}`);
      const events = stream.events.length;
      await quiet.emulator.approve(track);
      if (stream.send) stream.send({ wake: true });
      else await (await visitor.resume('sse-after', login, stream.events.at(-1).id)).until('success'); // coming back wakes it
      const success = await stream.outcome();
      assert.equal(success.event, 'success', `${how}: ${JSON.stringify(success)}`);
      assert.ok(stream.events.length > events);
      assert.ok(stream.beats > 0, `${how}: what kept it alive?`);
    }
  },
);

test('and every sign-in at MAX was ended there', async () => {
  await everyLoginEnded(emulator, 1);
  await everyLoginEnded(quiet.emulator, quiet.logins.length);
});

// ---- a person with a browser -----------------------------------------------------------------------------------------------------

async function browserSignIn({ origin, base }) {
  const profile = await browser.profile({ home: origin });
  const page = await profile.page();
  page.on('websocket', (socket) => {
    socket.received = 0;
    socket.on('framereceived', () => {
      socket.received += 1;
    });
  });
  const before = new Set((await emulator.codes()).map(trackIn));
  await page.goto(origin);
  await page.locator('max-auth-button').getByRole('button').first().click();
  const track = await eventually(
    async () => (await emulator.codes()).map(trackIn).find((each) => !before.has(each)),
    'a code for the page',
  );
  await page.locator('max-auth-button svg:visible').last().waitFor();
  await screenshot(page, `two-tier-${new URL(origin).port}`);
  // The page may be moving from one transport to another; approving is done once, as by a person.
  await pause(300);
  await emulator.approve(track);
  const session = await eventually(
    async () => {
      const answer = await profile.context.request.get(`${base}/session`);
      return answer.status() === 200 && answer.json();
    },
    'the page to be signed in',
    20_000,
    200,
  );
  assert.ok(session.sub && session.name, JSON.stringify(session));
  return { profile, page, session };
}

const trackIn = (code) => code.track ?? code.trackId;
