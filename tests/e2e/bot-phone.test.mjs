// The phone's other screen in a real browser: the bot's dialogue, a link that was scanned, the mini-app in its frame.

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { startBotEmulator } from '../harness/bot.mjs';
import { screenshot, startBrowser } from '../harness/browser.mjs';
import { fetchWhole } from '../harness/http.mjs';
import { ROOT } from '../harness/paths.mjs';
import { freePort } from '../harness/process.mjs';
import { startEmulator } from '../harness/server.mjs';
import { Cleanup } from '../harness/story.mjs';
import { eventually } from '../harness/time.mjs';

const cleanup = new Cleanup();
let emulator;
let browser;
let miniApp;

/** A mini-app: it shows who opened it, and asks for a phone number. */
const PAGE = `<!doctype html><meta name="viewport" content="width=device-width"><title>app</title>
<script src="/bridge.js"></script><body style="font: 1rem sans-serif"><p id=who></p><button id=ask>Phone</button><p id=phone></p>
<button id=leave>Leave</button><script>
const { WebApp } = window, by = (id) => document.getElementById(id);
by('who').textContent = WebApp.initDataUnsafe.user.first_name + ' ' + WebApp.initDataUnsafe.start_param;
by('ask').onclick = () => WebApp.requestContact().then(
  ({ phone }) => (by('phone').textContent = '+' + phone), (error) => (by('phone').textContent = error.message));
by('leave').onclick = () => WebApp.close();
</script>`;

before(async () => {
  const port = await freePort();
  const bridge = readFileSync(join(ROOT, 'web/max-web-app.js'));
  const server = createServer((request, response) => {
    const isBridge = request.url === '/bridge.js';
    response.setHeader('content-type', isBridge ? 'text/javascript' : 'text/html; charset=utf-8');
    response.end(isBridge ? bridge : request.url === '/favicon.ico' ? '' : PAGE);
  });
  await new Promise((resolve) => server.listen(port, '127.0.0.1', resolve));
  cleanup.add({ stop: () => (server.closeAllConnections(), server.close()) });
  miniApp = `http://127.0.0.1:${port}/app`;
  emulator = cleanup.add(await startBotEmulator({ args: ['--mini-app', miniApp] }));
  browser = cleanup.add(await startBrowser());
});
after(() => cleanup.run());

const LOOKS = [
  ['light', {}],
  ['dark', { colorScheme: 'dark' }],
  ['narrow', { viewport: { width: 360, height: 740 }, deviceScaleFactor: 2, hasTouch: true }],
];

for (const [number, [look, options]] of LOOKS.entries()) {
  test(`a conversation on the screen (${look})`, async () => {
    const id = 100 + number;
    const profile = await browser.profile({ ...options });
    const page = await profile.page();
    await page.goto(`${emulator.address}/phone?person=${id}`);
    await page.getByRole('button', { name: 'Бот', exact: true }).click();
    await screenshot(page, `bot-new-${look}`);
    await page.getByRole('button', { name: 'Начать' }).click();
    const messages = page.getByRole('log', { name: 'Сообщения' });
    const buttons = [
      [
        { type: 'callback', text: '17', payload: 'a/17' },
        { type: 'callback', text: '42', payload: 'a 42' },
        { type: 'callback', text: '63', payload: 'b%63' },
        { type: 'callback', text: '88', payload: 'b?88' },
      ],
      [{ type: 'callback', text: 'Это не я', payload: 'no' }],
      [{ type: 'request_contact', text: 'Мой номер' }],
    ];
    const text = 'Войти на example.ru?\nFirefox, Windows 11. Выберите число, которое видите на странице.';
    const keyboard = { type: 'inline_keyboard', payload: { buttons } };
    await eventually(async () => (await emulator.person(id).dialog()).started, 'the start');
    const sent = await emulator.ask('POST', `/messages?user_id=${id}`, { text, attachments: [keyboard] });
    assert.equal(sent.status, 200, sent.text);
    await messages.getByText('Войти на example.ru?').waitFor();
    await screenshot(page, `bot-asked-${look}`);

    for (const key of ['42', '17', '63', '88']) {
      const before = (await emulator.botStats()).updates;
      await messages.getByRole('button', { name: key, exact: true }).click();
      await eventually(async () => (await emulator.botStats()).updates === before + 1, `a press of ${key}`);
    }
    const { updates } = (await emulator.ask('GET', '/updates?types=message_callback')).json;
    const callback = updates.filter((update) => update.callback.user.user_id === id).at(-1).callback;
    assert.equal(callback.payload, 'b?88');
    const answer = { notification: 'Готово', message: { text: 'Вы вошли.', attachments: [] } };
    await emulator.ask('POST', `/answers?callback_id=${callback.callback_id}`, answer);
    await messages.getByText('Вы вошли.').waitFor();
    await page.getByText('Готово', { exact: true }).waitFor();
    assert.equal(await messages.getByRole('button').count(), 0);

    await page.getByRole('textbox', { name: 'Сообщение' }).fill('привет <b>');
    await page.keyboard.press('Enter');
    await messages.getByText('привет <b>').waitFor();
    await page.getByRole('button', { name: 'Чужой контакт' }).click();
    await messages.getByText('Контакт:').waitFor();
    await screenshot(page, `bot-later-${look}`);

    // A link that makes no event any more says so; after a stop it begins anew.
    await page.getByRole('textbox', { name: 'Ссылка' }).fill('https://max.ru/emulator_bot?start=one');
    await page.getByRole('button', { name: 'Открыть' }).click();
    await page.getByText('Диалог уже начат').waitFor();
    await page.getByRole('button', { name: 'Остановить' }).click();
    await page.getByRole('button', { name: 'Открыть' }).click();
    await page.getByRole('button', { name: 'Остановить' }).waitFor();
    await page.getByRole('textbox', { name: 'Ссылка' }).fill('https://max.ru/other_bot?start=one');
    await page.getByRole('button', { name: 'Открыть' }).click();
    await page.getByText('это не ссылка на @emulator_bot').waitFor();
    assert.deepEqual(profile.complaints, []);

    await profile.stop();
  });
}

for (const [number, [look, options]] of LOOKS.entries()) {
  test(`a scanned link opens the mini-app in a frame (${look})`, async () => {
    const id = 200 + number;
    const profile = await browser.profile(options);
    const page = await profile.page();
    await page.goto(`${emulator.address}/phone?person=${id}`);
    await page.getByText('Открытых кодов нет').waitFor();
    const link = `https://max.ru/emulator_bot?startapp=code-${look}`;
    const scan = { method: 'POST', body: JSON.stringify({ link }) };
    assert.equal((await fetchWhole(`${emulator.address}/phone/bot/scan`, scan)).json.kind, 'startapp');
    // The screen turns to it by itself.
    await page.getByRole('button', { name: 'Открыть' }).click();
    const app = page.frameLocator('#frame');
    const { name } = (await emulator.person(id).dialog()).person;
    await app.getByText(`${name.split(' ')[0]} code-${look}`).waitFor();
    assert.equal((await emulator.person(id).dialog()).standing, 'new', 'a launch starts no dialogue');

    await app.getByRole('button', { name: 'Phone' }).click();
    await page.getByText('Приложение просит ваш номер').waitFor();
    await screenshot(page, `bot-app-${look}`);
    await page.getByRole('button', { name: 'Не сейчас' }).click();
    await app.getByText('declined').waitFor();
    await app.getByRole('button', { name: 'Phone' }).click();
    await page.getByRole('button', { name: 'Поделиться' }).click();
    await app.getByText(/^\+7\d{10}$/).waitFor();
    await app.getByRole('button', { name: 'Leave' }).click();
    await page.getByRole('button', { name: 'Начать' }).waitFor();
    assert.deepEqual(profile.complaints, []);
    await profile.stop();
  });
}

test('the screen is there only with a bot, and only its mini-app may be framed', async () => {
  const plain = cleanup.add(await startEmulator());
  const page = await fetchWhole(`${plain.address}/phone`);
  assert.match(page.text, /<body>/);
  assert.doesNotMatch(page.headers['content-security-policy'], /frame-src/);
  assert.equal((await fetchWhole(`${plain.address}/bot-api/me`)).status, 404);
  const withBot = await fetchWhole(`${emulator.address}/phone`);
  assert.match(withBot.text, /<body data-bot="emulator_bot">/);
  assert.match(withBot.headers['content-security-policy'], new RegExp(`frame-src ${new URL(miniApp).origin}$`));
});

test('people who cannot see it can use it', async () => {
  const profile = await browser.profile({ bypassCSP: true });
  const page = await profile.page();
  await page.goto(`${emulator.address}/phone?person=300#bot`);
  await page.getByRole('button', { name: 'Начать' }).click();
  await page.getByRole('button', { name: 'Мой контакт' }).click();
  await page.getByText('Контакт:').waitFor();
  await page.addScriptTag({ path: join(ROOT, 'tests/node_modules/axe-core/axe.min.js') });
  const { violations } = await page.evaluate(() => globalThis.axe.run());
  assert.deepEqual(
    violations.map(({ id, nodes }) => `${id}: ${nodes[0].html}`),
    [],
  );
  await profile.stop();
});
