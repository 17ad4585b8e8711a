// Two hundred sign-ins with faults of each kind, and then what the operator reads: /status.json, /status and /metrics say exactly
// what the test did. Then two nodes with one Redis, of which either shows both.

import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { screenshot, startBrowser } from '../harness/browser.mjs';
import { fetchWhole } from '../harness/http.mjs';
import { ROOT } from '../harness/paths.mjs';
import { tempFolder } from '../harness/process.mjs';
import { startRedis } from '../harness/redis.mjs';
import { startEmulator, startServer } from '../harness/server.mjs';
import { Cleanup, scan, signIn, startPair, untilCode } from '../harness/story.mjs';
import { eventually } from '../harness/time.mjs';
import { Visitor, trackOf } from '../harness/visitor.mjs';

const cleanup = new Cleanup();
after(() => cleanup.run());

const MAX_ACTIVE = 20;
const PER_MINUTE = 5;
/** What MAX says to whom, by how it is counted; `on`: at which question. */
const REFUSED = [
  ['service.unavailable', 'max-trouble', 10, 288],
  ['too.many.requests', 'max-rate-limited', 6, 288],
  ['qr_login.disabled', 'qr-login-disabled', 5, 288],
  ['error.profile.active.session.no2fa', 'two-factor-needed', 4, 291],
  ['never.seen', 'max-trouble', 2, 288],
];
const FAILED = REFUSED.reduce((sum, [, , times]) => sum + times, 0);

let emulator;
let server;
let browser;
/** What has been done, by the names of /status.json. */
const done = {};
const count = (name, times = 1) => {
  done[name] = (done[name] ?? 0) + times;
};
let atTheStart;

before(async () => {
  ({ emulator, server } = await startPair(cleanup, {
    settings: {
      LOGIN_GRACE: '300ms',
      LOGIN_MAX_ACTIVE: String(MAX_ACTIVE),
      LOGIN_STARTS_PER_MINUTE: String(PER_MINUTE),
      UPSTREAM_GIVE_UP_AFTER: '1s',
      SERVER_PUBLIC_HEALTH: 'true',
      STORE_KIND: 'memory',
    },
  }));
  browser = cleanup.add(await startBrowser());
  atTheStart = await server.metrics();
});

/** A visitor of another address each, behind a proxy that says so. */
let visitors = 0;
class Somebody extends Visitor {
  constructor(address) {
    super(server.base);
    visitors += 1;
    this.address = address ?? `198.51.${100 + (visitors >> 8)}.${visitors & 255}`;
  }

  headers(extra = {}) {
    return super.headers({ 'x-forwarded-for': this.address, ...extra });
  }
}

const status = async (of = server) => (await fetchWhole(`${of.ops}/status.json?lang=en`)).json;

const quiet = () => eventually(async () => (await status()).nodes[0].active === 0, 'nobody waits');

/** So many at once, in turn until all were. */
async function each(times, does, atOnce = 10) {
  const left = Array.from({ length: times }, (_, index) => index);
  const worker = async () => {
    for (let index = left.shift(); index !== undefined; index = left.shift()) await does(index);
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, times) }, worker));
}

const TRANSPORTS = { ws: 'websocket', sse: 'sse', page: 'page' };

function begun(withCode = true) {
  count('started');
  if (withCode) count('codes');
}

function succeeded(how, isFetched = true) {
  for (const name of ['approved', 'success', TRANSPORTS[how]]) count(name);
  if (isFetched) count('handed-over');
}

/** Begins, and ends with this error. */
async function fails(code, withCode) {
  const stream = await new Somebody().startWs();
  begun(withCode);
  if (withCode) await emulator.approve((await untilCode(stream)).track);
  const end = await stream.outcome();
  assert.equal(end.data.code, code, JSON.stringify(end));
  count(code);
  if (withCode) count('approved');
}

test('before anybody came it says so', async () => {
  const told = await status();
  assert.deepEqual([told.state, told.day.counts], ['idle', {}]);
  assert.match(told.sentence, /^Nobody has signed in yet/);
  const page = await fetchWhole(`${server.ops}/status?lang=ru`);
  assert.match(page.text, /Ещё никто не входил; поломок не видно/);
});

test('who signs in, over each transport', async () => {
  for (const [how, times] of [
    ['ws', 50],
    ['sse', 40],
    ['page', 30],
  ])
    await each(times, async () => {
      await signIn({ emulator, base: server.base, how, visitor: new Somebody() });
      begun();
      succeeded(how);
    });
});

test('codes that are declined or expire, connections of MAX that are cut: the visitor signs in all the same', async () => {
  await each(8, async (index) => {
    const stream = await new Somebody().startWs();
    begun();
    const { track } = await untilCode(stream);
    await eventually(
      async () => (await emulator.codes()).some((code) => code.track === track && code.polls > 0),
      'asked',
    );
    await emulator[index % 2 ? 'decline' : 'expire'](track);
    await emulator.approve(trackOf(await stream.until('qr')));
    assert.equal((await stream.outcome()).event, 'success');
    // Nobody fetches it.
    succeeded('ws', false);
  });
  for (let n = 0; n < 5; n++) {
    const stream = await new Somebody().startWs();
    begun();
    await untilCode(stream);
    await emulator.fault({ on: 289, do: 'cut', times: 1 });
    const qr = await stream.until('qr', 15_000);
    await emulator.fault();
    await emulator.approve(trackOf(qr));
    assert.equal((await stream.outcome()).event, 'success');
    succeeded('ws', false);
  }
});

test('who leaves, and who gives up', async () => {
  await each(12, async () => {
    const stream = await new Somebody().startWs();
    begun();
    await untilCode(stream);
    await stream.cut();
    count('visitor-left');
  });
  await quiet();
  await each(15, async () => {
    const visitor = new Somebody();
    const stream = await visitor.startSse();
    begun();
    const { login } = await untilCode(stream);
    assert.equal((await visitor.giveUp(login)).status, 204);
    count('cancelled');
  });
  await quiet();
});

test('what MAX refuses', async () => {
  for (const [said, code, times, on] of REFUSED) {
    await emulator.fault({ on, do: 'error', code: said, times });
    await each(times, () => fails(code, on === 291), 5);
  }
  await emulator.fault();
});

test('a full node, an address that comes too often, a foreign origin', async () => {
  const waiting = [];
  await each(MAX_ACTIVE, async () => {
    const visitor = new Somebody();
    const stream = await visitor.startWs();
    begun();
    waiting.push([visitor, (await untilCode(stream)).login]);
  });
  for (let n = 0; n < 3; n++) {
    await assert.rejects(new Somebody().startPage(), /503.*busy/s);
    count('busy');
  }
  for (const [visitor, login] of waiting) {
    await visitor.giveUp(login);
    count('cancelled');
  }
  await quiet();
  for (let n = 0; n < PER_MINUTE + 2; n++) {
    const visitor = new Somebody('203.0.113.9');
    if (n >= PER_MINUTE) {
      await assert.rejects(visitor.startPage(), /429/);
      count('rate-limited');
      continue;
    }
    const { login } = await visitor.startPage();
    count('started');
    await visitor.giveUp(login);
    count('cancelled');
  }
  // Some of these were faster than their code.
  await quiet();
  done.codes = (await status()).day.counts.codes;
  const foreign = new Visitor(server.base, { origin: 'https://evil.example' });
  await assert.rejects(foreign.startPage(), /403/);
  count('origin-refused');
});

test('lines that freeze, and the ready page', async () => {
  await each(6, async () => {
    const visitor = new Somebody();
    const stream = await visitor.startWs();
    begun();
    const { login, qr, track } = await untilCode(stream);
    const failed = `/${login}/events?wait=0&after=${qr.id}&failed=ws.frozen`;
    assert.equal((await visitor.request(failed)).status, 200);
    count('frozen');
    await emulator.approve(track);
    const success = await stream.outcome();
    assert.equal((await visitor.callback(success.data.token)).status, 303);
    succeeded('ws');
  });
  for (let n = 0; n < 7; n++) {
    assert.equal((await fetchWhole(`${server.base}/login`)).status, 200);
    count('pages');
  }
  const profile = await browser.profile({});
  const page = await profile.page();
  await page.goto(`${server.base}/login`);
  await scan(emulator);
  await page.waitForURL(/account/);
  await profile.stop();
  // What carried it is the browser's choice.
  const { day } = await status();
  for (const name of ['pages', 'started', 'codes', 'approved', 'success', 'handed-over']) count(name);
  const carried = Object.values(TRANSPORTS).filter((name) => day.counts[name] === done[name] + 1);
  assert.equal(carried.length, 1, JSON.stringify(day.transports));
  count(carried[0]);
});

test('the figures are the true ones', async () => {
  const told = await status();
  assert.ok(done.started >= 200, `${done.started}`);
  assert.deepEqual(told.day.counts, done);
  assert.deepEqual(told.hour.counts, done);
  const failed = FAILED;
  assert.equal(told.day.failed, failed);
  assert.equal(told.day.gaveUp, done['visitor-left'] + done.cancelled);
  assert.equal(told.day.turnedAway, 3 + 2 + 1);
  const { funnel } = told.day;
  assert.deepEqual(
    [funnel.pages, funnel.begun, funnel.code, funnel.scanned, funnel.approved, funnel.success, funnel.handedOver],
    [8, done.started, done.codes, null, done.approved, done.success, done['handed-over']],
  );
  for (const step of ['code', 'approved', 'success', 'handedOver'])
    assert.ok(told.day.seconds[step].p50 > 0, `${step}: ${JSON.stringify(told.day.seconds)}`);
  for (const points of [told.points.hour, told.points.day])
    assert.equal(
      points.reduce((sum, point) => sum + point.success, 0),
      done.success,
    );
  assert.deepEqual(
    [told.state, told.reasons],
    ['degraded', ['app-version-refused', 'max-limits', 'sign-ins-fail', 'busy']],
  );
  assert.match(
    told.sentence,
    new RegExp(`^Signing in works with trouble: ${done.success} of ${done.success + failed} in`),
  );
  assert.deepEqual(told.refusals, {
    'error.profile.active.session.no2fa': 4,
    other: 2,
    'qr_login.disabled': 5,
    'service.unavailable': 10,
    'too.many.requests': 6,
  });
  assert.equal(told.failures.length, failed);
  assert.deepEqual([...new Set(told.failures.map(({ network }) => network))], ['198.51.0.0/16']);
  assert.equal(told.failures.filter(({ maxCode }) => maxCode === 'never.seen').length, 2);
  assert.deepEqual(
    told.networks.map(({ network, day }) => [network, day.frozen]),
    [['198.51.0.0/16', 6]],
  );
  assert.equal(told.streams[0].transport, 'websocket');
  assert.deepEqual(told.nodes[0].max.endpoints, [{ address: emulator.url, up: true }]);
  for (const secret of ['79991234567', 'Иван', 'Петров']) assert.ok(!JSON.stringify(told).includes(secret), secret);
});

/** Names with labels, of a text of /metrics, without those whose labels come as they are met. */
const series = (text) =>
  text
    .split('\n')
    .map((line) => line.slice(0, line.lastIndexOf(' ')))
    .filter((line) => /^[a-z]/.test(line) && !/^max_auth_request(s_total|_seconds)/.test(line));

test('every series was there from the start, and all that the dashboard and the alerts name', async () => {
  const atTheEnd = await server.metrics();
  const first = new Set(series(atTheStart));
  assert.deepEqual(
    series(atTheEnd).filter((name) => !first.has(name)),
    [],
  );
  assert.ok(first.size > 250, `${first.size}`);
  for (const file of ['alerts.yml', 'dashboard.json']) {
    const text = readFileSync(join(ROOT, 'deploy/monitoring', file), 'utf8');
    const names = new Set(text.match(/\b(max_auth|process)_[a-z0-9_]+/g));
    for (const name of names) assert.ok(new RegExp(`^${name}[{ ]`, 'm').test(atTheEnd), `${file} names ${name}`);
  }
});

/** What a page breaks of WCAG; and whether it is wider than its window. */
async function broken(page) {
  await page.addScriptTag({ path: join(ROOT, 'tests/node_modules/axe-core/axe.min.js') });
  const { violations } = await page.evaluate(() => globalThis.axe.run());
  const wider = await page.evaluate(() => document.documentElement.scrollWidth > innerWidth);
  return [...violations.map(({ id, nodes }) => `${id}: ${nodes[0].html}`), ...(wider ? ['wider than the window'] : [])];
}

test('the page says the same, to everybody: two languages, light, dark, a phone, no script', async () => {
  for (const [name, locale, options] of [
    ['light', 'ru-RU', {}],
    ['dark', 'en-GB', { colorScheme: 'dark' }],
    ['phone', 'ru-RU', { viewport: { width: 390, height: 844 } }],
    ['phone-dark', 'en-GB', { viewport: { width: 390, height: 844 }, colorScheme: 'dark' }],
  ]) {
    const profile = await browser.profile({ home: server.ops, locale, bypassCSP: true, ...options });
    const page = await profile.page();
    await page.goto(`${server.ops}/status`);
    const russian = locale === 'ru-RU';
    const title = russian ? 'Вход работает с перебоями' : 'Signing in works with trouble';
    const of = russian ? 'из' : 'of';
    const heading = await page.locator('h1').textContent();
    assert.ok(heading.startsWith(`${title}: ${done.success} ${of} ${done.success + FAILED} `), heading);
    const row = page.locator('#reasons ~ table tr', { hasText: russian ? 'Неполадки MAX' : 'MAX has trouble' });
    assert.deepEqual(await row.locator('td').allTextContents(), ['12', '12']);
    await screenshot(page, `status-${name}`);
    assert.deepEqual(await broken(page), [], name);
    // The bar of the day in which all of it was.
    await page.locator('section:has(#day) svg a').last().click();
    await page.locator('#chosen').waitFor();
    assert.ok((await page.locator('#chosen').textContent()).includes(russian ? 'Неполадки MAX' : 'MAX has trouble'));
    assert.deepEqual(await broken(page), [], `${name}, chosen`);
    if (name === 'light') await screenshot(page, 'status-chosen');
    await page.getByRole('link', { name: russian ? 'In English' : 'По-русски' }).click();
    assert.equal(await page.locator('html').getAttribute('lang'), russian ? 'en' : 'ru');
    assert.deepEqual(profile.complaints, []);
    await profile.stop();
  }
});

test('anybody may know whether it works, where that is switched on, and no more', async () => {
  const asked = async (headers) => {
    const answer = await fetchWhole(`${server.base}/health-of-sign-in`, { headers });
    assert.equal(answer.status, 200);
    return answer;
  };
  await eventually(async () => (await asked({})).json.state === 'degraded', 'it is found out');
  assert.deepEqual((await asked({})).json, { state: 'degraded' });
  const page = await asked({ accept: 'text/html', 'accept-language': 'ru' });
  assert.match(page.text, /Сейчас вход работает с перебоями\./);
  const other = cleanup.add(await startServer({ upstream: [[emulator.url, 'json']] }));
  // Both are what an unknown login would be, which takes DELETE only.
  assert.equal((await fetchWhole(`${other.base}/health-of-sign-in`)).status, 405, 'off unless wanted');
  assert.equal((await fetchWhole(`${server.base}/status`)).status, 405, 'never on the public listener');
});

test('MAX that is away is said at once', async () => {
  await emulator.stop();
  await each(5, async () => {
    const stream = await new Somebody().startWs();
    begun(false);
    const end = await stream.outcome();
    assert.equal(end.data.code, 'upstream-unreachable');
    count('upstream-unreachable');
  });
  const told = await status();
  assert.deepEqual([told.state, told.reasons[0]], ['down', 'max-unreachable']);
  assert.deepEqual(told.day.counts, done);
  assert.match((await fetchWhole(`${server.ops}/status`)).text, /MAX недоступен ни по одному из адресов/);
});

describe('two nodes with one Redis', () => {
  test('either shows both, and one that is stopped is none of them any more', async () => {
    const redis = cleanup.add(await startRedis());
    const max = cleanup.add(await startEmulator({ pollMs: 20 }));
    const key = join(tempFolder('key'), 'store.key');
    writeFileSync(key, Buffer.alloc(32, 5));
    const node = async (name) =>
      cleanup.add(
        await startServer({
          upstream: [[max.url, 'binary']],
          settings: { SERVER_NODE: name, STORE_KIND: 'redis', STORE_URL: redis.url, STORE_KEY_FILE: key },
        }),
      );
    const [one, two] = [await node('one'), await node('two')];
    for (const [at, times] of [
      [one, 3],
      [two, 2],
    ])
      for (let n = 0; n < times; n++) await signIn({ emulator: max, base: at.base });
    const names = ({ nodes }) => nodes.map((known) => known.node.split('~')[0]);
    for (const [at, order] of [
      [one, ['one', 'two']],
      [two, ['two', 'one']],
    ]) {
      const told = await eventually(async () => {
        const told = await status(at);
        return told.day.success === 5 && told;
      }, 'both are counted');
      assert.deepEqual([names(told), told.silentNodes, told.day.counts.started], [order, [], 5]);
      assert.equal(told.nodes[1].store.kind, 'redis');
      assert.match((await fetchWhole(`${at.ops}/status?lang=ru`)).text, /Вход работает: 5 из 5 за/);
    }
    await two.stop();
    const alone = await eventually(async () => {
      const told = await status(one);
      return told.nodes.length === 1 && told;
    }, 'it has left');
    assert.deepEqual([names(alone), alone.silentNodes, alone.day.success], [['one'], [], 3]);
    await redis.stop();
    const away = await eventually(async () => {
      const told = await status(one);
      return told.state === 'down' && told;
    }, 'the store is missed');
    assert.deepEqual(away.reasons, ['store-unreachable']);
    assert.match(await one.metrics(), /^max_auth_store_up 0$/m);
  });
});
