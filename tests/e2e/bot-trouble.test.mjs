// Sign-ins by the bot while something goes wrong at MAX, on the way, or with the time: what the people on both screens read.

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { after, afterEach, before, describe, test } from 'node:test';
import { LANGUAGES, WORDS, done, isTold, startWorld } from '../harness/bot-story.mjs';
import { screenshot, startBrowser } from '../harness/browser.mjs';
import { ReadyPage, Widget } from '../harness/sign-in-pages.mjs';
import { Cleanup } from '../harness/story.mjs';
import { eventually } from '../harness/time.mjs';

const cleanup = new Cleanup();
let browser;
before(async () => {
  browser = cleanup.add(await startBrowser());
});
after(() => cleanup.run());

/** Some of what people read, word by word. */
const LITERALLY = {
  ru: {
    over: 'Этот код больше не действует. Обновите страницу входа и отсканируйте новый.',
    expired: 'Код открыли на телефоне, но не ответили вовремя. Начните ещё раз.',
    down: /^Этот способ (входа )?сейчас не работает/,
    account: 'Способ: код веб-входа MAX',
    contactWrong: 'Это не ваш номер. Нажмите «Отправить номер»: карточка другого человека не подойдёт.',
  },
  en: {
    over: 'This code is over. Refresh the sign-in page and scan the new one.',
    expired: 'The code was opened on the phone, but nobody answered in time. Please start again.',
    down: /^This way (to sign in )?does not work right now/,
    account: 'By: MAX web sign-in code',
    contactWrong: "That is not your own number. Press “Send my number”: somebody else's card will not do.",
  },
};

/** Somebody else's webhook of the same bot. */
async function startRecorder() {
  const heard = [];
  const http = createServer(async (request, response) => {
    let text = '';
    for await (const part of request) text += part;
    heard.push(JSON.parse(text));
    response.end();
  });
  await new Promise((resolve) => http.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${http.address().port}/theirs`;
  return { url, heard, stop: () => (http.closeAllConnections(), http.close()) };
}

/** A newcomer signs in by the link. */
async function signsIn(world, language) {
  const words = WORDS[language];
  const [site, phone] = [await world.visitor(language), await world.phone(language)];
  await phone.open(await site.link());
  await phone.asked(words);
  await phone.press(await site.number());
  await phone.told(done(words), []);
  assert.equal((await site.signedIn()).sub, `bot:${phone.id}`);
  return { site, phone };
}

describe('what comes too late', () => {
  let world;
  before(async () => {
    world = await startWorld(cleanup, browser, { bot: { code_ttl: '4s' } });
  });
  afterEach(() => world.leave());

  for (const language of LANGUAGES) {
    const words = WORDS[language];
    const literally = LITERALLY[language];

    for (const Kind of [Widget, ReadyPage].filter((each) => isTold(each.kind, language)))
      test(`nobody opens it: a fresh code by itself; opened and not answered: over (${Kind.kind}, ${language})`, async () => {
        const [site, phone] = [await world.visitor(language, 'bot', Kind), await world.phone(language)];
        const first = await site.link();
        const second = await site.freshLink(first);
        await phone.open(first);
        await phone.told(words.bot.expired, []);
        await phone.told(literally.over);
        await site.isWaiting();

        await site.nobody();
        const third = await site.freshLink(second);
        await phone.stop();
        await phone.open(third);
        const numbers = await phone.asked(words);
        assert.ok(numbers.includes(await site.number()));
        await site.ended('expired');
        await site.page.getByText(literally.expired).filter({ visible: true }).first().waitFor();
        await screenshot(site.page, `expired-${language}`);
        await phone.press(numbers[0]);
        await phone.told(words.bot.expired, []);
        await site.nobody();
      });

    test(`MAX brings the start when the code is over (${language})`, async () => {
      const [site, phone] = [await world.visitor(language), await world.phone(language)];
      const link = await site.link();
      await world.emulator.botFault([{ on: 'update', do: 'hold', ms: 5000 }]);
      await phone.open(link);
      await phone.told(literally.over, []);
      await site.isWaiting();
      assert.notEqual(await site.peek(), link);
      // What the page shows now is good.
      await phone.stop();
      await phone.open(await site.freshLink(await site.peek()));
      await phone.asked(words);
      await phone.press(await site.number());
      await phone.told(done(words), []);
      await site.signedIn();
    });
  }
});

describe('what comes twice, to others, or not at all', () => {
  let world;
  before(async () => {
    world = await startWorld(cleanup, browser, { emulator: { args: ['--bot-clock', '300'] } });
  });
  afterEach(async () => {
    await world.emulator.botFault([]);
    await world.leave();
  });
  const subscriptions = async () => (await world.emulator.botStats()).subscriptions.map(({ url }) => url ?? '');

  for (const language of LANGUAGES) {
    test(`each update twice: asked once, told once (${language})`, async () => {
      const before = (await world.emulator.botStats()).webhook.delivered;
      await world.emulator.botFault([{ on: 'update', do: 'duplicate', times: 2 }]);
      const { phone } = await signsIn(world, language);
      await eventually(
        async () => (await world.emulator.botStats()).webhook.delivered === before + 4,
        'both updates, and both of them again',
      );
      await world.settled();
      assert.deepEqual(await phone.said(), [done(WORDS[language])]);
    });

    test(`the answer to a delivery is lost, and it comes again (${language})`, async () => {
      await world.emulator.botFault([{ on: 'delivery', do: 'answer-lost' }]);
      const before = (await world.emulator.botStats()).webhook.tries;
      const { phone } = await signsIn(world, language);
      await eventually(
        async () => (await world.emulator.botStats()).webhook.tries === before + 3,
        'the same once more',
      );
      await world.settled();
      assert.deepEqual(await phone.said(), [done(WORDS[language])]);
    });

    test(`somebody else is subscribed, too (${language})`, async () => {
      const theirs = cleanup.add(await startRecorder());
      const { status } = await world.emulator.ask('POST', '/subscriptions', { url: theirs.url });
      assert.equal(status, 200);
      const { phone } = await signsIn(world, language);
      await eventually(() => theirs.heard.length === 2, 'their copies');
      assert.deepEqual(
        theirs.heard.map(({ update_type }) => update_type),
        ['bot_started', 'message_callback'],
      );
      assert.equal((await phone.said()).length, 1);
      await world.emulator.ask('DELETE', `/subscriptions?url=${encodeURIComponent(theirs.url)}`);
    });

    test(`somebody takes the subscription away: it is ours again, and the next one signs in (${language})`, async () => {
      const theirs = cleanup.add(await startRecorder());
      const { webhook } = world.server;
      // As MAX's own library does at its start.
      await world.emulator.ask('DELETE', `/subscriptions?url=${encodeURIComponent(webhook)}`);
      await world.emulator.ask('POST', '/subscriptions', { url: theirs.url });
      await eventually(async () => (await subscriptions()).includes(webhook), 'ours again', 5000);
      await world.server.printed(/somebody took the bot's subscription away/);
      await signsIn(world, language);
      await world.emulator.ask('DELETE', `/subscriptions?url=${encodeURIComponent(theirs.url)}`);
    });
  }
});

describe('MAX refuses the token', () => {
  let world;
  before(async () => {
    world = await startWorld(cleanup, browser);
  });
  afterEach(() => world.leave());
  const isUp = (up) =>
    eventually(async () => new RegExp(`^max_auth_bot_up ${up}$`, 'm').test(await world.server.metrics()), `up: ${up}`);

  for (const language of LANGUAGES)
    for (const Kind of [Widget, ReadyPage].filter((each) => isTold(each.kind, language)))
      test(`the page offers the other ways, and one click leads on (${Kind.kind}, ${language})`, async () => {
        const refused = { do: 'refuse', status: 401, code: 'verify.token', message: 'Invalid access_token' };
        await world.emulator.botFault([{ on: 'any', times: 1_000_000, ...refused }]);
        await isUp(0);
        const site = await world.visitor(language, 'bot', Kind);
        await site.ended('driver-down');
        await site.page.getByText(LITERALLY[language].down).filter({ visible: true }).first().waitFor();
        await screenshot(site.page, `down-${Kind.name}-${language}`);
        await site.choose('account_qr', { offered: true });
        await site.page.getByText(WORDS[language].shared.step2, { exact: true }).waitFor();
        const phone = await browser.profile();
        const page = await phone.page();
        await page.goto(`${world.emulator.address}/phone`);
        await page.getByRole('button', { name: 'Подтвердить' }).first().click();
        const session = await site.signedIn('account_qr');
        await site.page.getByText(LITERALLY[language].account, { exact: true }).waitFor();
        assert.equal(session.driver ?? 'account_qr', 'account_qr');
        await phone.stop();

        // Who does not ask for a way is led to the one that works.
        const other = await world.visitor(language, null, Kind);
        assert.match(await other.link(), /^https:\/\/max\.ru\/:auth\//);
        await world.emulator.botFault([]);
        await isUp(1);
      });
});

describe('the site wants a phone number', () => {
  let world;
  before(async () => {
    world = await startWorld(cleanup, browser, { settings: { SESSION_PHONE: 'true' } });
  });
  afterEach(() => world.leave());

  for (const language of LANGUAGES) {
    const words = WORDS[language];
    const { bot } = words;
    const asks = bot.contact.replace('{site}', '127.0.0.1');

    async function asked() {
      const [site, phone] = [await world.visitor(language), await world.phone(language)];
      await phone.open(await site.link());
      await phone.asked(words);
      await phone.press(await site.number());
      await phone.told(asks, [bot.sendContact, bot.withoutContact]);
      await site.nobody();
      return { site, phone };
    }

    test(`somebody else's card and a forged one are refused, the own one is taken (${language})`, async () => {
      const { site, phone } = await asked();
      await phone.tap('Чужой контакт');
      await phone.told(bot.contactWrong, [bot.sendContact, bot.withoutContact]);
      await phone.told(LITERALLY[language].contactWrong);
      await site.nobody();
      const before = (await phone.said()).length;
      await phone.person.contact('forged');
      await eventually(async () => (await phone.said()).length === before + 1, 'the answer to the forged card');
      await phone.told(bot.contactWrong, [bot.sendContact, bot.withoutContact]);
      await site.nobody();
      await screenshot(phone.page, `contact-${language}`);
      await phone.press(bot.sendContact);
      await phone.told(done(words), []);
      const session = await site.signedIn();
      assert.equal(`${session.phone}`.replace(/^\+/, ''), String(79_990_000_000 + phone.id));
      await site.page.getByText(new RegExp(String(79_990_000_000 + phone.id).slice(1))).waitFor();
    });

    test(`who keeps the number signs in without it (${language})`, async () => {
      const { site, phone } = await asked();
      await phone.press(bot.withoutContact);
      await phone.told(done(words), []);
      const session = await site.signedIn();
      assert.equal(session.phone ?? null, null);
    });
  }
});
