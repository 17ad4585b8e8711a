// The mini-app's page in a real Chromium, from the real server, as MAX opens it: what MAX signed is behind the address, its script
// beside the page. What the page asks is answered here.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { screenshot, startBrowser } from '../harness/browser.mjs';
import { fetchWhole } from '../harness/http.mjs';
import { ROOT } from '../harness/paths.mjs';
import { BASE_PATH, startServer } from '../harness/server.mjs';
import { Cleanup } from '../harness/story.mjs';
import { eventually } from '../harness/time.mjs';

/** What the bot itself says is not needed here. */
const WITH_A_BOT = {
  LOGIN_DRIVERS: '["account_qr", "mini_app"]',
  DRIVER_BOT_NAME: 'a_bot',
  DRIVER_BOT_TOKEN: 'a-token-of-nobody',
  DRIVER_BOT_API_URL: 'http://127.0.0.1:1/bot-api',
  DRIVER_BOT_RECEIVE: 'poll',
};

const cleanup = new Cleanup();
let server;
let browser;
before(async () => {
  server = cleanup.add(await startServer({ args: ['--demo'], settings: WITH_A_BOT }));
  browser = cleanup.add(await startBrowser());
});
after(() => cleanup.run());

const BRIDGE = 'https://st.max.ru/js/max-web-app.js';
const PHONE = { viewport: { width: 390, height: 780 }, hasTouch: true, isMobile: true, deviceScaleFactor: 2 };
const OPENED = {
  ticket: 'T1',
  site: 'example.ru',
  browser: 'Firefox, Windows 11',
  choices: ['17', '42', '63', '88'],
  contact: false,
  warning: null,
  locale: 'ru',
};
/** With what a careless decoder would spoil: a plus, a percent sign, Cyrillic letters. */
const signed = (language = 'ru', hash = 'aa11') =>
  new URLSearchParams({
    auth_date: '1790000000',
    hash,
    start_param: 'CODE',
    user: JSON.stringify({ id: 7, first_name: 'Ян + 100% & Ко', language_code: language }),
  }).toString();
const addressOf = (initData) =>
  `${server.address}${BASE_PATH}/app#WebAppData=${encodeURIComponent(initData)}&WebAppPlatform=ios&WebAppVersion=26.37`;

/** `answers`: by question, one after the other; the last one stays. A number is a status with the code behind it. */
async function opened({
  answers = { open: [OPENED] },
  bridge = 'window.WebApp = { close: () => (document.title = "closed") }',
  initData = signed(),
  address = addressOf(initData),
  ...options
} = {}) {
  const profile = await browser.profile({ home: server.address, ...PHONE, ...options });
  const page = await profile.page();
  const asked = [];
  await page.route(BRIDGE, (route) =>
    bridge === null ? route.abort() : route.fulfill({ contentType: 'text/javascript', body: bridge }),
  );
  await page.route('**/app/*', async (route) => {
    const question = new URL(route.request().url()).pathname.split('/').pop();
    asked.push([question, route.request().postDataJSON()]);
    const of = answers[question] ?? [];
    const answer = of.length > 1 ? of.shift() : of[0];
    if (answer === 'cut') return route.abort();
    if (!Array.isArray(answer)) return route.fulfill({ json: answer });
    const [status, code, headers = {}] = answer;
    await route.fulfill({ status, headers, contentType: 'application/problem+json', body: JSON.stringify({ code }) });
  });
  await page.goto(address);
  return { page, asked, profile, stop: profile.stop };
}

/** What a page breaks of WCAG; and whether it is wider than its window. */
async function broken(page) {
  const { violations } = await page.evaluate(() => globalThis.axe.run());
  const { width } = page.viewportSize();
  const wider = (await page.evaluate(() => document.documentElement.scrollWidth)) > width;
  return [...violations.map(({ id, nodes }) => `${id}: ${nodes[0].html}`), ...(wider ? ['wider than the window'] : [])];
}
const withAxe = async (profile) =>
  profile.context.addInitScript({ path: join(ROOT, 'tests/node_modules/axe-core/axe.min.js') });

const titled = (page, name) => page.getByRole('heading', { level: 1, name, exact: true }).waitFor();
/** Of a page whose bridge and answers are ours. */
const complaints = (profile) =>
  profile.complaints.filter(
    (text) => !text.includes(BRIDGE) && !/the server responded with a status|ERR_FAILED/.test(text),
  );

test('one answer, with everything inside but the script of MAX, which may show it in a frame', async () => {
  const { headers, text } = await fetchWhole(`${server.direct}/app`, { headers: { 'accept-encoding': 'gzip' } });
  const size = Number(headers['content-length']);
  assert.ok(size > 3000 && size <= 6500, `${size} bytes`);
  const policy = headers['content-security-policy'];
  assert.match(policy, /frame-ancestors 'self' https:\/\/web\.max\.ru https:\/\/max\.ru$/);
  assert.equal(headers['x-frame-options'], undefined);
  assert.match(policy, /connect-src 'self';/);
  assert.ok(policy.includes(` ${BRIDGE};`) && !policy.includes('unsafe'), policy);
  const asked = [];
  const profile = await browser.profile(PHONE);
  const page = await profile.page();
  page.on('request', (request) => asked.push(request.url()));
  await page.route(BRIDGE, (route) => route.fulfill({ contentType: 'text/javascript', body: '' }));
  await page.route('**/app/open', (route) => route.fulfill({ json: OPENED }));
  await page.goto(addressOf(signed()));
  await titled(page, 'Войти на example.ru?');
  assert.deepEqual(
    asked.map((url) => url.split('#')[0]).sort(),
    [BRIDGE, `${server.direct}/app`, `${server.direct}/app/open`].sort(),
  );
  assert.ok(
    !asked.some((url) => !url.startsWith(`${server.direct}/app#`) && url.includes('hash')),
    'and no address tells',
  );
  await profile.stop();
  assert.ok(text !== undefined);
});

test('a number is picked: what MAX signed goes as it was, and the end sends back to the browser', async () => {
  const { page, asked, profile, stop } = await opened({
    answers: { open: [OPENED], confirm: [{ outcome: 'approved' }] },
  });
  await titled(page, 'Войти на example.ru?');
  await page.getByText('Firefox, Windows 11').waitFor();
  const group = page.getByRole('group', { name: 'Выберите число, которое он показывает' });
  assert.deepEqual(await group.getByRole('button').allTextContents(), OPENED.choices);
  for (const box of await Promise.all((await group.getByRole('button').all()).map((one) => one.boundingBox())))
    assert.ok(box.height >= 72 && box.width >= 120, JSON.stringify(box));
  await group.getByRole('button', { name: '42' }).tap();
  await titled(page, 'Готово');
  await page.getByText('Вернитесь к браузеру.').waitFor();
  assert.deepEqual(asked, [
    ['open', { initData: signed() }],
    ['confirm', { ticket: 'T1', choice: '42' }],
  ]);
  await page.getByRole('button', { name: 'Закрыть' }).tap();
  assert.equal(await page.title(), 'closed', "by MAX's script");
  assert.deepEqual(complaints(profile), []);
  await stop();
});

test('without the script of MAX all but its own things works', async () => {
  const { page, stop } = await opened({
    bridge: null,
    answers: { open: [OPENED], confirm: [{ outcome: 'contact' }], contact: [{ outcome: 'approved' }] },
  });
  await page.getByRole('button', { name: '42' }).tap();
  await titled(page, 'Номер телефона');
  await page.getByRole('button', { name: 'Передать номер' }).tap();
  await page.getByText('Сейчас номер передать нельзя. Продолжите без него.').waitFor();
  await page.getByRole('button', { name: 'Без номера' }).tap();
  await titled(page, 'Готово');
  assert.equal(await page.getByRole('button').count(), 0, 'nothing that would not work');
  await stop();
});

test('where the address has nothing, the script of MAX is waited for', async () => {
  const { page, asked, stop } = await opened({
    address: `${server.address}${BASE_PATH}/app`,
    bridge: `setTimeout(() => (window.WebApp = { initData: ${JSON.stringify(signed('en'))} }), 400)`,
    answers: { open: [{ ...OPENED, locale: undefined }] },
  });
  await titled(page, 'Sign in to example.ru?');
  assert.deepEqual(asked, [['open', { initData: signed('en') }]]);
  await stop();
});

test('a raw fragment goes to the server as it is', async () => {
  const raw = `WebAppData=hash%3Daa%ZZ&WebAppPlatform=ios`;
  const { page, asked, stop } = await opened({
    address: `${server.address}${BASE_PATH}/app#${raw}`,
    answers: { open: [[401, 'init-data-invalid']] },
  });
  await titled(page, 'Не получилось открыть');
  assert.deepEqual(asked, [['open', { initData: raw }]]);
  await stop();
});

test('"It is not me", and another number: nobody signed in', async () => {
  for (const [pressed, choice, advice] of [
    ['Это не я', null, 'Вход отклонён. Если это были вы, начните на сайте ещё раз.'],
    ['17', '17', 'Число не то. Обновите страницу сайта и начните ещё раз.'],
  ]) {
    const { page, asked, stop } = await opened({ answers: { open: [OPENED], confirm: [{ outcome: 'declined' }] } });
    await page.getByRole('button', { name: pressed, exact: true }).tap();
    await titled(page, 'Никто не вошёл');
    await page.getByText(advice, { exact: true }).waitFor();
    assert.deepEqual(asked.at(-1), ['confirm', { ticket: 'T1', choice }]);
    await stop();
  }
});

test('a site without numbers is answered by yes and no', async () => {
  const { page, asked, stop } = await opened({
    locale: 'en-GB',
    answers: { open: [{ ...OPENED, choices: [], browser: null, locale: 'en' }], confirm: [{ outcome: 'approved' }] },
  });
  await titled(page, 'Sign in to example.ru?');
  assert.deepEqual(await page.getByRole('button').allTextContents(), ['Yes, sign in', 'It is not me']);
  await page.getByRole('button', { name: 'Yes, sign in' }).tap();
  await titled(page, 'Done');
  assert.deepEqual(asked.at(-1), ['confirm', { ticket: 'T1', choice: 'yes' }]);
  await stop();
});

test('the phone number: given, kept back, refused', async () => {
  const contact = { phone: '79990000000', authDate: 5, hash: 'h' };
  const { page, asked, stop } = await opened({
    bridge: `window.WebApp = { requestContact: async () => (window.tried = (window.tried ?? 0) + 1) === 1 ? Promise.reject(new Error("no")) : ${JSON.stringify(contact)} }`,
    answers: {
      open: [{ ...OPENED, contact: true }],
      confirm: [{ outcome: 'contact' }],
      contact: [[401, 'contact-invalid'], { outcome: 'approved' }],
    },
  });
  await page.getByRole('button', { name: '42' }).tap();
  const share = page.getByRole('button', { name: 'Передать номер' });
  await share.tap();
  await page.getByRole('alert').getByText('Номер не передан.').waitFor();
  await share.tap();
  await page.getByRole('alert').getByText('Этот номер не подтвердился.').waitFor();
  await share.tap();
  await titled(page, 'Готово');
  assert.deepEqual(asked.slice(-1), [['contact', { ticket: 'T1', ...contact }]]);
  await stop();

  const without = await opened({
    answers: { open: [OPENED], confirm: [{ outcome: 'contact' }], contact: [{ outcome: 'approved' }] },
  });
  await without.page.getByRole('button', { name: '42' }).tap();
  await without.page.getByRole('button', { name: 'Без номера' }).tap();
  await titled(without.page, 'Готово');
  assert.deepEqual(without.asked.at(-1), ['contact', { ticket: 'T1', phone: null }]);
  await without.stop();
});

test('a reload goes on where the window stood: what MAX signed is good once', async () => {
  const { page, asked, stop } = await opened({
    answers: {
      open: [OPENED, [409, 'init-data-used']],
      confirm: [{ outcome: 'contact' }],
      contact: [{ outcome: 'approved' }],
    },
  });
  await titled(page, 'Войти на example.ru?');
  await page.reload();
  await page.getByRole('button', { name: '42' }).tap();
  await titled(page, 'Номер телефона');
  await page.reload();
  await page.getByRole('button', { name: 'Без номера' }).tap();
  await titled(page, 'Готово');
  await page.reload();
  await titled(page, 'Готово');
  assert.deepEqual(
    asked.map(([question]) => question),
    ['open', 'confirm', 'contact'],
  );
  // Another launch is another window.
  await page.goto('about:blank');
  await page.goto(addressOf(signed('ru', 'bb22')));
  await titled(page, 'Это окно уже было открыто');
  await stop();
});

const PROBLEMS = [
  [401, 'init-data-invalid', 'Не получилось открыть', 'This could not be opened'],
  [409, 'init-data-used', 'Это окно уже было открыто', 'This window was opened before'],
  [409, 'code-used', 'Этот код уже открыт', 'This code is open already'],
  [410, 'code-expired', 'Код устарел', 'The code is too old'],
  [400, 'code-missing', 'Начните на сайте', 'Start on the site'],
  [403, 'other-network', 'Разные сети', 'Two networks'],
  [403, 'person-locked', 'Вход приостановлен', 'Paused for a while'],
  [503, 'busy', 'Сейчас много входов', 'Many people are signing in'],
  [500, 'internal', 'Не получилось войти', 'Could not sign in'],
];

test('each problem has its own words in both languages, and what to do', async () => {
  const advices = new Set();
  for (const [status, code, ru, en] of PROBLEMS) {
    for (const [language, title] of [
      ['ru', ru],
      ['en', en],
    ]) {
      const { page, stop } = await opened({
        initData: signed(language),
        answers: { open: [[status, code, { 'retry-after': '1500' }]] },
      });
      await titled(page, title);
      const advice = await page.locator('.say').innerText();
      assert.ok(advice.length > 20 && !advices.has(advice), advice);
      advices.add(advice);
      if (code === 'person-locked') assert.match(advice, language === 'ru' ? /через 25 мин\.$/ : /in 25 min\.$/);
      assert.equal(await page.evaluate(() => document.documentElement.lang), language);
      await stop();
    }
  }
});

test('outside MAX it says where it belongs', async () => {
  const { page, asked, stop } = await opened({ address: `${server.address}${BASE_PATH}/app`, bridge: null });
  await page.getByText('Проверяем…').waitFor();
  await titled(page, 'Откройте в MAX');
  assert.deepEqual(asked, []);
  await stop();
});

test('a line that is cut: the same is asked again', async () => {
  const { page, asked, stop } = await opened({
    answers: { open: [OPENED], confirm: ['cut', { outcome: 'approved' }] },
  });
  await page.getByRole('button', { name: '42' }).tap();
  await titled(page, 'Нет связи с сайтом');
  await page.getByRole('button', { name: 'Попробовать ещё раз' }).tap();
  await titled(page, 'Готово');
  assert.deepEqual(asked[1], asked[2]);
  await stop();
});

test('by keyboard: the title has the focus, then the numbers come, and none is pressed twice', async () => {
  const { page, asked, stop } = await opened({ answers: { open: [OPENED], confirm: [{ outcome: 'approved' }] } });
  await titled(page, 'Войти на example.ru?');
  const focused = () => page.evaluate(() => document.activeElement.textContent);
  assert.equal(await focused(), 'Войти на example.ru?');
  const order = [];
  for (let i = 0; i < 5; i++) {
    await page.keyboard.press('Tab');
    order.push(await focused());
  }
  assert.deepEqual(order, [...OPENED.choices, 'Это не я']);
  await page.getByRole('button', { name: '63' }).focus();
  await page.keyboard.press('Enter');
  await page.keyboard.press('Enter');
  await titled(page, 'Готово');
  assert.equal(await focused(), 'Готово');
  assert.equal(asked.filter(([question]) => question === 'confirm').length, 1);
  await stop();
});

test('in a frame of MAX in a browser, and in no other', async () => {
  const { headers, text: body } = await fetchWhole(`${server.direct}/app`);
  const { page, stop } = await opened();
  // Chromium lets no page of the internet show one of this machine: the same answer, from a name.
  await page.route('https://shop.example/**', (route) =>
    route.request().method() === 'POST' ? route.fulfill({ json: OPENED }) : route.fulfill({ headers, body: body }),
  );
  for (const [host, shown] of [
    ['https://web.max.ru', true],
    ['https://evil.example', false],
  ]) {
    const frame = `<!doctype html><iframe src="https://shop.example/app#WebAppData=${encodeURIComponent(signed())}"></iframe>`;
    await page.route(`${host}/`, (route) => route.fulfill({ contentType: 'text/html', body: frame }));
    const refused = page.waitForEvent('console', (message) => /frame-ancestors/.test(message.text()));
    refused.catch(() => {});
    await page.goto(`${host}/`);
    if (shown) await page.frameLocator('iframe').getByRole('heading', { name: 'Войти на example.ru?' }).waitFor();
    else await refused;
  }
  await stop();
});

test('how it looks: two languages, light, dark, a small phone; nothing breaks WCAG', async () => {
  const long = { ...OPENED, site: 'ochen-dlinnoe-imya-sayta.primer.example.ru:8443', warning: 'elsewhere' };
  for (const [name, answer, options] of [
    ['light', OPENED, {}],
    ['dark', { ...OPENED, locale: 'en' }, { colorScheme: 'dark', locale: 'en-GB' }],
    ['warned', long, {}],
    ['warned-small', { ...long, locale: 'en' }, { viewport: { width: 320, height: 568 }, colorScheme: 'dark' }],
    ['yes', { ...OPENED, choices: [] }, {}],
    ['desktop', OPENED, { viewport: { width: 900, height: 760 }, isMobile: false, hasTouch: false }],
  ]) {
    const { page, profile, stop } = await opened({
      answers: { open: [answer], confirm: [{ outcome: 'contact' }], contact: [{ outcome: 'approved' }] },
      bypassCSP: true,
      ...options,
    });
    await withAxe(profile);
    await page.reload();
    await eventually(() => page.locator('.quiet').isVisible(), 'the question');
    await screenshot(page, `mini-app-${name}`);
    assert.deepEqual(await broken(page), [], name);
    if (answer.warning)
      await page
        .getByRole('alert')
        .getByText(answer.locale === 'ru' ? /не в той сети/ : /not on the network/)
        .waitFor();
    await page.locator('.number, .primary').first().click();
    await page.locator('.quiet', { hasText: /Без номера|Without a number/ }).waitFor();
    await screenshot(page, `mini-app-${name}-contact`);
    assert.deepEqual(await broken(page), [], `${name}, the number`);
    await page.locator('.quiet').click();
    await page.locator('.badge.good').waitFor();
    await screenshot(page, `mini-app-${name}-done`);
    assert.deepEqual(await broken(page), [], `${name}, the end`);
    await stop();
  }
});
