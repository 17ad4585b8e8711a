// The ready page in a real Chromium, from the real server: one answer with the code in it, and a login that lives on whatever
// happens to its connections.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { screenshot, startBrowser } from '../harness/browser.mjs';
import { fetchWhole } from '../harness/http.mjs';
import { BASE_PATH, startServer } from '../harness/server.mjs';
import { Cleanup, startPair } from '../harness/story.mjs';
import { eventually } from '../harness/time.mjs';

const PERSON = /"sub":"401041669"/;
const cleanup = new Cleanup();
let pair;
let browser;
before(async () => {
  pair = await startPair(cleanup, {
    settings: { LOGIN_PASSWORD: 'ask' },
    emulator: { args: ['--password', 'correct horse'] },
  });
  browser = cleanup.add(await startBrowser());
});
after(() => cleanup.run());

const LOOKED_AT = { 'Sec-Fetch-Mode': 'navigate', 'Sec-Fetch-Dest': 'document' };
const place = `${BASE_PATH}/session?a=b`;

async function opened({
  query = `?return_to=${encodeURIComponent(place)}`,
  prepare,
  server = pair.server,
  ...options
} = {}) {
  const profile = await browser.profile({ home: server.address, ...options });
  const page = await profile.page();
  await prepare?.(page, profile);
  await page.goto(`${server.direct}/login${query}`);
  return { profile, page };
}

const trackOf = async (page) => (await page.locator('.link').first().getAttribute('href')).split('/').pop();

async function approve(page, emulator = pair.emulator) {
  await page.locator('.code img').waitFor();
  const track = await trackOf(page);
  await emulator.approve(track);
  return track;
}

/** With a cloud password, which the plain page asks for. */
async function signedIn(page) {
  await page.locator('input[type=password]').fill('correct horse');
  await page.getByRole('button').click();
  await page.waitForURL((url) => url.pathname === `${BASE_PATH}/session`);
  assert.match(await page.locator('body').innerText(), PERSON);
}

test('one answer of 8 KB with a code in it, and nothing else is asked for', async () => {
  const asked = [];
  const { profile, page } = await opened({
    prepare: (page) => page.on('request', (request) => asked.push(request.url())),
  });
  const shown = await page.evaluate(() => {
    const image = document.querySelector('.code img');
    return { drawn: image.naturalWidth, at: performance.now() };
  });
  assert.equal(shown.drawn, 41, 'a code of version 4 with its quiet zone');
  await page.getByText('Ждём подтверждения в MAX', { exact: true }).waitFor();
  await page.getByText(/^Код действует ещё \d:\d\d$/).waitFor();
  assert.equal(await page.locator('#plain').isVisible(), false, 'the way for no script has gone');
  assert.deepEqual(
    asked.filter((url) => !url.includes('/events')),
    [asked[0]],
  );
  const [entry] = await page.evaluate(() =>
    performance.getEntriesByType('navigation').map(({ transferSize }) => ({ transferSize })),
  );
  assert.ok(entry.transferSize <= 8192, `${entry.transferSize} bytes with its headers`);
  await approve(page);
  await signedIn(page);
  // The last page is JSON, for which the browser wants an icon.
  assert.deepEqual(
    profile.complaints.filter((text) => !text.includes('favicon.ico')),
    [],
  );
  await profile.stop();
});

test('how it looks', async () => {
  for (const [name, options] of [
    ['light', { colorScheme: 'light' }],
    ['dark', { colorScheme: 'dark' }],
    ['phone', { viewport: { width: 390, height: 800 } }],
    ['english', { locale: 'en-GB' }],
  ]) {
    const { profile, page } = await opened(options);
    await page.locator('#left:not(:empty)').waitFor();
    await screenshot(page, `ready-${name}`);
    const { x, width } = await page.locator('.plain').boundingBox();
    assert.ok(Math.abs(x + width / 2 - page.viewportSize().width / 2) <= 1, 'in the middle');
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), page.viewportSize().width);
    const other = name === 'english' ? /[А-Яа-я]/ : /[A-Za-z]{4,}/;
    assert.doesNotMatch(await page.locator('main').innerText(), other, 'one language');
    await profile.stop();
  }
});

test('a code that has run out is replaced in place, the link with it', async () => {
  const { profile, page } = await opened();
  await page.locator('.code img').waitFor();
  const first = await trackOf(page);
  const drawn = await page.locator('.code img').getAttribute('src');
  await pair.emulator.expire(first);
  await eventually(async () => (await trackOf(page)) !== first, 'a fresh link');
  assert.notEqual(await page.locator('.code img').getAttribute('src'), drawn);
  await approve(page);
  await signedIn(page);
  await profile.stop();
});

test('where no WebSocket opens, pages carry it', async () => {
  for (const how of ['refused', 'silent']) {
    const { profile, page } = await opened({
      prepare: (page) =>
        page.routeWebSocket(/./, (socket) => (how === 'refused' ? socket.close({ code: 1011 }) : undefined)),
    });
    const carried = page.waitForRequest((request) => request.url().includes('wait='));
    await carried;
    const began = performance.now();
    await approve(page);
    await page.locator('input[type=password]').waitFor();
    assert.ok(performance.now() - began < 4000, `${how}: told at once`);
    const metrics = await pair.server.metrics();
    const why = how === 'refused' ? 'closed' : 'hang';
    await eventually(
      async () =>
        new RegExp(`max_auth_client_failures_total{transport="ws",why="${why}"} [1-9]`).test(
          await pair.server.metrics(),
        ),
      `${why} in ${metrics}`,
    );
    await profile.stop();
  }
});

test('a server that has lost the login begins a fresh one in the same page', async () => {
  const upstream = [[pair.emulator.url, 'json']];
  const server = cleanup.add(await startServer({ upstream }));
  const { profile, page } = await opened({ server });
  await page.locator('.code img').waitFor();
  const first = await trackOf(page);
  const { port, state } = server;
  await server.stop();
  cleanup.add(await startServer({ upstream, port, state }));
  await eventually(async () => (await trackOf(page).catch(() => first)) !== first, 'a fresh code', 30_000);
  await profile.stop();
});

/** The next event of the login comes from us: nobody here has a bot. */
async function injecting(page) {
  const carried = { socket: null, last: '' };
  await page.routeWebSocket(/./, (socket) => {
    const server = socket.connectToServer();
    server.onMessage((text) => {
      carried.last = JSON.parse(text).id ?? carried.last;
      socket.send(text);
    });
    carried.socket = socket;
  });
  return async (event, data) => {
    await eventually(() => carried.socket, 'a socket');
    // The page began with some of them.
    const begun = JSON.parse(await page.locator('#login').textContent());
    const [epoch, offset] = (carried.last || begun.after).split('-');
    carried.last = `${epoch}-${Number(offset) + 1}`;
    carried.socket.send(JSON.stringify({ id: carried.last, event, data }));
  };
}

test('a number takes the place of the code, is read out with what to do, and goes with a fresh code', async () => {
  for (const [name, options] of [
    ['pick', {}],
    ['pick-phone-dark', { viewport: { width: 390, height: 800 }, colorScheme: 'dark' }],
  ]) {
    let tell;
    const { profile, page } = await opened({ ...options, prepare: async (page) => (tell = await injecting(page)) });
    await page.locator('.code img').waitFor();
    const png = await page.locator('.code img').getAttribute('src');
    await tell('confirm', { matchCode: '42' });
    const status = page.getByRole('status').filter({ visible: true });
    await page.locator('.pick b', { hasText: '42' }).waitFor();
    assert.equal(await status.textContent(), '42Выберите это число на телефоне');
    assert.equal(await page.locator('.code').isVisible(), false);
    assert.equal(await page.locator('.pick b').evaluate((digits) => getComputedStyle(digits).userSelect), 'none');
    await screenshot(page, `ready-${name}`);
    await tell('qr', { png, qrLink: 'https://max.ru/a_bot?start=C', ttl: 60_000, expiresAt: Date.now() + 60_000 });
    await page.locator('.code img').waitFor();
    await page.getByText('Ждём подтверждения в MAX', { exact: true }).waitFor();
    assert.equal(await page.locator('.pick').count(), 0);
    await profile.stop();
  }
});

test('an error is said, with a way to begin again', async () => {
  const server = cleanup.add(
    await startServer({ upstream: [[pair.emulator.url, 'json']], settings: { LOGIN_TTL: '3s' } }),
  );
  const { profile, page } = await opened({ server, query: '?locale=en&return_to=%2Fthere' });
  await page.getByText('Could not sign in').waitFor();
  await screenshot(page, 'ready-error');
  const again = page.getByRole('link', { name: 'Try again' });
  assert.match(await again.getAttribute('href'), /\/login\?locale=en&return_to=%2Fthere$/);
  await again.click();
  await page.locator('.code img').waitFor();
  await profile.stop();
});

test('who does not look at it begins nothing', async () => {
  const server = cleanup.add(await startServer({ upstream: [[pair.emulator.url, 'json']] }));
  const codes = async () => (await pair.emulator.codes()).length;
  const before = await codes();
  const ahead = { ...LOOKED_AT, 'Sec-Purpose': 'prefetch' };
  for (const headers of [{}, { 'Sec-Fetch-Mode': 'no-cors', 'Sec-Fetch-Dest': 'image' }, ahead]) {
    const { status, text, headers: got } = await fetchWhole(`${server.direct}/login?return_to=/x`, { headers });
    assert.equal(status, 200);
    assert.equal(got['set-cookie'], undefined);
    assert.match(text, /<form method="post" action="login">.*name="return_to" value="\/x"/s);
  }
  assert.equal(await codes(), before);
  const { text } = await fetchWhole(`${server.direct}/login`, { headers: LOOKED_AT });
  assert.match(text, /data:image\/png;base64,/);
  await eventually(async () => (await codes()) === before + 1, 'one login');
});

test('a browser that does not say how it asks begins by its script', async () => {
  const { profile, page } = await opened({
    prepare: (page) =>
      page.route('**/login**', async (route) => {
        if (route.request().resourceType() !== 'document') return route.continue();
        const headers = { ...route.request().headers() };
        for (const name of Object.keys(headers)) if (name.startsWith('sec-fetch')) delete headers[name];
        const { status, headers: got, text } = await fetchWhole(route.request().url(), { headers });
        delete got['content-encoding'];
        delete got['transfer-encoding'];
        await route.fulfill({ status, headers: got, body: text });
      }),
  });
  await approve(page);
  await signedIn(page);
  await profile.stop();
});

test('too many from one address are told so on a page', async () => {
  const server = cleanup.add(
    await startServer({ upstream: [[pair.emulator.url, 'json']], settings: { LOGIN_STARTS_PER_MINUTE: '1' } }),
  );
  const [first, second] = [await opened({ server }), await opened({ server, query: '?return_to=%2Fx' })];
  await first.page.locator('.code img').waitFor();
  await second.page.getByText('Слишком много попыток. Подождите немного.').waitFor();
  assert.equal(await second.page.getByRole('link').getAttribute('href'), `${BASE_PATH}/login?locale=ru&return_to=%2Fx`);
  await first.profile.stop();
  await second.profile.stop();
});
