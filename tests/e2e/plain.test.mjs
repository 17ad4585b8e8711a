// Without JavaScript: the ready page begins with a form and refreshes itself from the code to the session.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { screenshot, startBrowser } from '../harness/browser.mjs';
import { fetchWhole } from '../harness/http.mjs';
import { BASE_PATH, startServer } from '../harness/server.mjs';
import { Cleanup, startPair } from '../harness/story.mjs';
import { eventually } from '../harness/time.mjs';

const cleanup = new Cleanup();
let pair;
let browser;
before(async () => {
  pair = await startPair(cleanup, {
    dialect: 'binary',
    settings: { LOGIN_PASSWORD: 'ask' },
    emulator: { args: ['--password', 'correct horse'] },
  });
  browser = cleanup.add(await startBrowser());
});
after(() => cleanup.run());

async function begin(returnTo, { server = pair.server, ...options } = {}) {
  const home = server.address;
  const profile = await browser.profile({ home, javaScriptEnabled: false, ...options });
  const page = await profile.page();
  const query = returnTo === undefined ? '' : `?return_to=${encodeURIComponent(returnTo)}`;
  await page.goto(`${home}${BASE_PATH}/login${query}`);
  // The code is on the first page; what follows it is a page that refreshes itself.
  await page.locator('.code img').waitFor();
  await page.getByRole('link', { name: /Простая страница|The plain page/ }).click();
  return { profile, page };
}

/** From the code to the field for the password. */
async function upToPassword(page) {
  const link = page.locator('a[href*="max.ru"]').first();
  await link.waitFor({ state: 'attached' });
  await pair.emulator.approve((await link.getAttribute('href')).split('/').pop());
  const field = page.locator('input[type=password]');
  await field.waitFor();
  return field;
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
  await page.getByText('Пароль не подошёл').waitFor();
  await screenshot(page, 'plain-password');
  await field.fill('correct horse');
  await page.getByRole('button').click();

  await page.waitForURL((url) => url.pathname === `${BASE_PATH}/session`);
  const url = new URL(page.url());
  assert.equal(
    decodeURIComponent(url.searchParams.get('from')),
    'a"b<c>',
    'the return address came through the form unharmed',
  );
  assert.match(await page.locator('body').innerText(), /"sub":"401041669"/);
  // The last page is JSON, for which the browser wants an icon.
  assert.deepEqual(
    profile.complaints.filter((text) => !text.includes('favicon.ico')),
    [],
  );
  await profile.stop();
  // MAX may still be answering when the visitor has been told.
  await eventually(async () => {
    const { logins, logouts } = await pair.emulator.stats();
    return logins === logouts;
  }, 'the MAX session to end');
});

test("in the visitor's language, with the site's name and the time left, in the middle; and to the account page", async () => {
  for (const [locale, scan, left] of [
    ['ru-RU', 'Отсканируйте код в MAX', /^Код действует ещё \d:\d\d$/],
    ['en-GB', 'Scan the code in MAX', /^This code is valid for \d:\d\d$/],
  ]) {
    const { profile, page } = await begin(undefined, { locale });
    await page.getByText(scan, { exact: true }).waitFor();
    await page.getByText(left).waitFor();
    await page.getByText(new URL(pair.server.address).host).waitFor();
    assert.equal(await page.locator('html').getAttribute('lang'), locale.slice(0, 2));
    const other = locale === 'ru-RU' ? /[A-Za-z]{4,}/ : /[А-Яа-я]/;
    assert.doesNotMatch(await page.locator('main').innerText(), other, 'one language');
    const { x, width } = await page.locator('.plain').boundingBox();
    assert.ok(Math.abs(x + width / 2 - page.viewportSize().width / 2) <= 1, 'in the middle');
    const field = await upToPassword(page);
    await screenshot(page, `plain-password-${locale}`);
    await field.fill('correct horse');
    await page.getByRole('button').click();
    await page.waitForURL((url) => url.pathname === `${BASE_PATH}/account`);
    await page.getByText('Иван Петров').waitFor();
    await screenshot(page, `account-${locale}`);
    await page.getByRole('button', { name: locale === 'ru-RU' ? 'Выйти' : 'Sign out', exact: true }).click();
    await page.getByText(locale === 'ru-RU' ? 'Вы не вошли' : 'You are not signed in').waitFor();
    assert.deepEqual(profile.complaints, []);
    await profile.stop();
  }
});

test('the page with the first code goes on by itself, to one that refreshes itself', async () => {
  const profile = await browser.profile({ home: pair.server.address, javaScriptEnabled: false });
  const page = await profile.page();
  await page.goto(`${pair.server.address}${BASE_PATH}/login`);
  const { x, width } = await page.locator('.plain').boundingBox();
  assert.ok(Math.abs(x + width / 2 - page.viewportSize().width / 2) <= 1, 'in the middle');
  await screenshot(page, 'plain-first');
  await page.waitForURL(/\/wait$/);
  await page.locator('.code svg').waitFor();
  assert.deepEqual(profile.complaints, []);
  await profile.stop();
});

test('the login waits for who types a password for longer than it waits for who has left', async () => {
  const server = cleanup.add(
    await startServer({
      upstream: [[pair.emulator.url, 'binary']],
      settings: { LOGIN_PASSWORD: 'ask', LOGIN_GRACE: '6s', LOGIN_GRACE_PHONE: '6s' },
    }),
  );
  const { profile, page } = await begin(undefined, { server });
  const field = await upToPassword(page);
  await field.pressSequentially('correct', { delay: 1200 }); // 8 s
  await field.pressSequentially(' horse');
  await page.getByRole('button').click();
  await page.waitForURL((url) => url.pathname === `${BASE_PATH}/account`);
  await profile.stop();
});

test('a password that is too long is not passed on and costs no try', async () => {
  const { profile, page } = await begin();
  await upToPassword(page);
  const { pathname } = new URL(page.url());
  const cookies = (await profile.context.cookies()).map(({ name, value }) => `${name}=${value}`).join('; ');
  const answer = await fetchWhole(`${pair.server.address}${pathname}`, {
    method: 'POST',
    headers: { cookie: cookies, origin: pair.server.address, 'content-type': 'application/x-www-form-urlencoded' },
    body: `password=${'x'.repeat(7000)}`,
  });
  assert.equal(answer.status, 200);
  assert.match(answer.text, /Такой длинный пароль не подойдёт/);
  assert.match(answer.text, /type="password"/);
  await page.reload();
  await page.locator('input[type=password]').fill('correct horse');
  await page.getByRole('button').click();
  await page.waitForURL((url) => url.pathname === `${BASE_PATH}/account`);
  await profile.stop();
});

test('an address of another site is refused, with a way to begin again', async () => {
  const profile = await browser.profile({ home: pair.server.address, javaScriptEnabled: false });
  const page = await profile.page();
  await page.goto(`${pair.server.address}${BASE_PATH}/login?return_to=${encodeURIComponent('https://evil.example/')}`);
  await page.getByText('не относится к этому сайту').waitFor();
  await page.getByRole('link', { name: 'Попробовать ещё раз' }).click();
  await page.locator('.code img').waitFor();
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
