// The button where dialog.js does not arrive: light.js takes its place, the visitor signs in all the same.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { screenshot, startBrowser } from '../harness/browser.mjs';
import { BASE_PATH, startServer } from '../harness/server.mjs';
import { Cleanup } from '../harness/story.mjs';
import { eventually } from '../harness/time.mjs';

const cleanup = new Cleanup();
let server;
let browser;
before(async () => {
  server = cleanup.add(await startServer({ args: ['--demo'] }));
  browser = cleanup.add(await startBrowser());
});
after(() => cleanup.run());

/** The demo's page, on which what is `missing` fails; a route would switch the browser's cache off. */
async function opened({ missing = ['*/dialog.js*'], html, ...options } = {}) {
  const profile = await browser.profile({ home: server.address, ...options });
  const page = await profile.page();
  const devtools = await profile.context.newCDPSession(page);
  await devtools.send('Network.enable');
  await devtools.send('Network.setBlockedURLs', { urls: missing });
  await page.goto(`${server.address}/`);
  if (html) await page.evaluate((text) => document.body.insertAdjacentHTML('afterbegin', text), html);
  await page.evaluate(() => {
    window.told = [];
    for (const name of ['status', 'qr', 'confirm', 'success', 'error', 'close'])
      window.addEventListener(`max-auth-${name}`, ({ detail }) => window.told.push([name, detail]));
  });
  return { profile, page, stop: profile.stop };
}

const trackOf = async (page) =>
  (await page.locator('max-auth-panel .link').first().getAttribute('href')).split('/').pop();

/** On the demo's phone. */
async function approve(page) {
  const { status } = await fetch(`${server.address}/phone/approve/${await trackOf(page)}`, { method: 'POST' });
  assert.ok(status < 300, `${status}`);
}

test("a code within three seconds of the click, in the site's language, and the visitor is sent on", async () => {
  const { profile, page, stop } = await opened();
  await page.locator('max-auth-button').first().click();
  const began = performance.now();
  await page.getByRole('img', { name: 'QR-код для входа через MAX' }).waitFor();
  assert.ok(performance.now() - began < 3000, 'in time');
  await page.getByText('Ждём подтверждения в MAX', { exact: true }).waitFor();
  await screenshot(page, 'light-dialog');
  await approve(page);
  await page.getByText('Иван Петров').first().waitFor();
  assert.deepEqual(
    profile.complaints.filter((text) => !/401|ERR_BLOCKED|ERR_CACHE/.test(text)),
    [],
    'not even of the policy',
  );
  await stop();
});

test('what was learnt is known on the next page: it is not tried again', async () => {
  const { page, stop } = await opened();
  await page.locator('max-auth-button').first().click();
  await page.locator('max-auth-panel .code img').waitFor();
  const asked = [];
  page.on('request', (request) => request.url().includes('/dialog.js') && asked.push(request.url()));
  await page.reload();
  await page.locator('max-auth-button').first().click();
  await page.locator('max-auth-panel .code img').waitFor();
  assert.deepEqual(asked, []);
  await stop();
});

test('who closes it gives the login up', async () => {
  const { page, stop } = await opened({ colorScheme: 'dark', viewport: { width: 390, height: 800 } });
  await page.locator('max-auth-button').first().click();
  await page.locator('max-auth-panel .code img').waitFor();
  await screenshot(page, 'light-phone');
  const track = await trackOf(page);
  const discarded = page.waitForRequest((request) => request.method() === 'DELETE');
  await page.getByRole('button', { name: 'Закрыть' }).click();
  await discarded;
  const codes = async () => (await (await fetch(`${server.address}/phone/codes`)).json()).codes;
  await eventually(async () => !(await codes()).some((code) => code.track === track), 'no code any more');
  assert.equal((await page.evaluate(() => window.told)).at(-1)[0], 'close');
  await stop();
});

test('signed in without leaving the page: the events of the other dialog, and the session with success', async () => {
  const { page, stop } = await opened({ html: '<max-auth-button redirect="false"></max-auth-button>' });
  await page.locator('max-auth-button').first().click();
  await page.locator('max-auth-panel .code img').waitFor();
  await approve(page);
  await page.getByText('Готово!').waitFor();
  const told = await page.evaluate(() => window.told);
  assert.deepEqual(
    told.map(([name, detail]) => detail?.stage ?? name),
    ['connecting', 'code', 'qr', 'waiting', 'approved', 'finishing', 'success'],
  );
  assert.equal(told.at(-1)[1].session.sub, '401041669');
  await eventually(async () => !(await page.locator('max-auth-panel').isVisible()), 'it closes by itself');
  await stop();
});

test('the number, the line of the driver and the text for the bot, in small', async () => {
  const { page, stop } = await opened({ colorScheme: 'dark' });
  let socket;
  let last = '';
  // Of a bot, which nobody has here.
  await page.routeWebSocket(/./, (from) => {
    socket = from;
    from.connectToServer().onMessage((text) => {
      const message = JSON.parse(text);
      last = message.id ?? last;
      if (message.data?.login) message.data.driver = 'bot';
      if (message.event === 'qr') message.data.textCode = 'ABCDEFGH';
      from.send(JSON.stringify(message));
    });
  });
  await page
    .locator('max-auth-button')
    .first()
    .evaluate((button) => button.setAttribute('driver', 'account_qr'));
  await page.locator('max-auth-button').first().click();
  await page.getByText('Откроется чат с ботом сайта. Бот спросит число с этого экрана.', { exact: true }).waitFor();
  const panel = page.locator('max-auth-panel');
  assert.equal(await panel.locator('ol').isVisible(), false, 'those steps are of another code');
  await panel.getByText('Уже писали боту?').click();
  assert.deepEqual(await panel.locator('i').allTextContents(), ['ABCD', 'EFGH']);
  await screenshot(page, 'light-bot');
  await page.getByText('Ждём подтверждения в MAX', { exact: true }).waitFor();
  await eventually(async () => (await panel.evaluate(({ state }) => state)) === 'waiting', 'all events');
  await page.waitForTimeout(300); // the status behind the code
  const [epoch, offset] = last.split('-');
  socket.send(JSON.stringify({ id: `${epoch}-${Number(offset) + 1}`, event: 'confirm', data: { matchCode: '42' } }));
  await panel.locator('.pick b', { hasText: '42' }).waitFor();
  assert.equal(await panel.locator('.state').textContent(), '42Выберите это число на телефоне');
  assert.equal(await panel.evaluate(({ state }) => state), 'confirm');
  assert.deepEqual((await page.evaluate(() => window.told)).at(-1), ['confirm', { matchCode: '42' }]);
  assert.equal(await panel.locator('.code').isVisible(), false);
  await screenshot(page, 'light-pick');
  await stop();
});

test('a server that is out of reach is said to be so', async () => {
  const { profile, page, stop } = await opened();
  const button = page.locator('max-auth-button').first();
  await button.hover();
  await page.waitForResponse(/light\.js/);
  await profile.context.setOffline(true);
  await button.click();
  await page.getByText('Нет связи с сервером.').waitFor();
  await page.getByRole('button', { name: 'Попробовать ещё раз' }).waitFor();
  await stop();
});

test('a panel of its own on a page, begun by itself', async () => {
  const { page, stop } = await opened({
    html: `<max-auth-panel autostart return-to="${BASE_PATH}/session"></max-auth-panel>`,
  });
  await page.locator('max-auth-panel .code img').waitFor();
  assert.equal(await page.evaluate(() => document.querySelector('max-auth-panel').state), 'waiting');
  await approve(page);
  await page.waitForURL((url) => url.pathname === `${BASE_PATH}/session`);
  await stop();
});
