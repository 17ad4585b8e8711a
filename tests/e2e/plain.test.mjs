// Without JavaScript: the ready page begins with a form and refreshes itself from the code to the session.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { screenshot, startBrowser } from './harness/browser.mjs';
import { BASE_PATH } from './harness/server.mjs';
import { Cleanup, startPair } from './harness/story.mjs';

const cleanup = new Cleanup();
let pair;
let browser;
before(async () => {
  pair = await startPair(cleanup, { dialect: 'binary', settings: { LOGIN_PASSWORD: 'ask' }, emulator: { args: ['--password', 'correct horse'] } });
  browser = cleanup.add(await startBrowser());
});
after(() => cleanup.run());

async function begin(returnTo) {
  const home = pair.server.address;
  const profile = await browser.profile({ home, javaScriptEnabled: false });
  const page = await profile.page();
  await page.goto(`${home}${BASE_PATH}/login?return_to=${encodeURIComponent(returnTo)}`);
  await page.getByRole('button').click();
  return { profile, page };
}

test('from the code to the session, with a cloud password', async () => {
  const place = `${BASE_PATH}/session?from=a"b<c>`;
  const { profile, page } = await begin(place);
  const link = page.getByRole('link', { name: /Открыть в MAX/ });
  await link.waitFor();
  await page.locator('.code svg').waitFor();
  await screenshot(page, 'plain-code');
  const track = (await link.getAttribute('href')).split('/').pop();
  await pair.emulator.approve(track);

  const field = page.locator('input[type=password]');
  await field.fill('wrong one');
  await page.getByRole('button').click();
  await page.getByText('Пароль неверный').waitFor();
  await screenshot(page, 'plain-password');
  await field.fill('correct horse');
  await page.getByRole('button').click();

  await page.waitForURL((url) => url.pathname === `${BASE_PATH}/session`);
  const url = new URL(page.url());
  assert.equal(decodeURIComponent(url.searchParams.get('from')), 'a"b<c>', 'the return address came through the form unharmed');
  assert.match(await page.locator('body').innerText(), /"sub":"401041669"/);
  // The last page is JSON, for which the browser wants an icon.
  assert.deepEqual(profile.complaints.filter((text) => !text.includes('favicon.ico')), []);
  await profile.stop();
  const { logins, logouts } = await pair.emulator.stats();
  assert.equal(logins, logouts);
});

test('an address of another site is refused, with a way to begin again', async () => {
  const { profile, page } = await begin('https://evil.example/');
  await page.getByText('не относится к этому сайту').waitFor();
  await page.getByRole('link', { name: /Начать ещё раз/ }).click();
  await page.getByRole('button').waitFor();
  await profile.stop();
});

test('another browser sees nothing of it', async () => {
  const { profile, page } = await begin('/');
  await page.locator('.code svg').waitFor();
  const other = await browser.profile({ javaScriptEnabled: false });
  const stranger = await other.page();
  await stranger.goto(page.url());
  await stranger.getByText('Этого входа больше нет').waitFor();
  assert.equal(await stranger.locator('.code svg').count(), 0);
  await other.stop();
  await profile.stop();
});
