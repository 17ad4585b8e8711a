// Whole sign-ins by the mini-app: in the frame of the demo's phone, as a person presses it, and in a window of its own, with what MAX did not
// sign. Then the three ways side by side: who somebody is to the site, and what an app is told.

import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import * as oidc from '../harness/app.mjs';
import { SECRET, startApp } from '../harness/app.mjs';
import { LANGUAGES, WORDS, another, codeOf, done, startDemo, startWorld } from '../harness/bot-story.mjs';
import { screenshot, startBrowser } from '../harness/browser.mjs';
import { fetchWhole } from '../harness/http.mjs';
import { DemoSite, ReadyPage } from '../harness/sign-in-pages.mjs';
import { Cleanup } from '../harness/story.mjs';

const cleanup = new Cleanup();
let browser;
before(async () => {
  browser = cleanup.add(await startBrowser());
});
after(() => cleanup.run());

/** Some of what people read, word by word. */
const LITERALLY = {
  ru: {
    title: 'Войти на 127.0.0.1?',
    done: 'Вернитесь к браузеру.',
    mismatch: 'Число не то. Обновите страницу сайта и начните ещё раз.',
    declined: 'Вход отклонён. Если это были вы, начните на сайте ещё раз.',
    locked: 'Трижды выбрано не то число. Попробуйте через 60 мин.',
    used: 'Его открыл кто-то другой. Обновите страницу сайта и отсканируйте новый код.',
    forged: 'Закройте это окно и откройте его снова: из чата с ботом или по коду на сайте.',
    contact: '127.0.0.1 просит ваш номер из MAX. MAX спросит вас ещё раз.',
  },
  en: {
    title: 'Sign in to 127.0.0.1?',
    done: 'Go back to the browser.',
    mismatch: "That was another number. Reload the site's page and start again.",
    declined: 'The sign-in was declined. If it was you, start again on the site.',
    locked: 'The wrong number was picked three times. Try again in 60 min.',
    used: "Somebody else opened it. Reload the site's page and scan the fresh code.",
    forged: 'Close this window and open it again: from the chat with the bot, or by the code on the site.',
    contact: '127.0.0.1 asks for your number in MAX. MAX will ask you once more.',
  },
};

/** What the mini-app says at its end, or instead of a beginning. */
async function reads(at, title, advice) {
  await at.getByRole('heading', { level: 1, name: title, exact: true }).waitFor();
  await at.getByText(advice, { exact: true }).waitFor();
}
const picks = (at, number) => at.getByRole('button', { name: number, exact: true }).click();

describe("in the phone's frame", () => {
  let world;
  before(async () => {
    world = await startDemo(cleanup, browser);
  });
  afterEach(() => world.leave());

  for (const language of LANGUAGES) {
    const words = WORDS[language];
    const { app } = words;
    const literally = LITERALLY[language];

    async function opened(phone) {
      phone ??= await world.phone(language);
      const site = await world.visitor(language, 'mini_app', DemoSite);
      await site.isWaiting();
      await site.happens('mini_app');
      const link = await site.link();
      await phone.openSeen(link);
      const numbers = await phone.askedInApp(words);
      return { site, phone, link, numbers, number: await site.number() };
    }

    test(`signed in, and every time again (${language})`, async () => {
      const { site, phone, numbers, number } = await opened();
      another(numbers, number);
      await phone.app.getByRole('heading', { name: literally.title, exact: true }).waitFor();
      await screenshot(phone.page, `mini-app-asked-${language}`);
      await picks(phone.app, number);
      await reads(phone.app, app.done, app.doneText);
      await phone.app.getByText(literally.done, { exact: true }).waitFor();
      const session = await site.signedIn();
      assert.deepEqual([session.driver, session.sub], ['mini_app', `mini_app:${phone.id}`]);
      await screenshot(site.page, `mini-app-account-${language}`);
      await phone.app.getByRole('button', { name: app.close, exact: true }).click();
      const again = await opened(phone);
      await picks(phone.app, again.number);
      assert.equal((await again.site.signedIn()).sub, session.sub);
    });

    test(`another number, and "it is not me" (${language})`, async () => {
      const { site, phone, numbers, number } = await opened();
      await picks(phone.app, another(numbers, number));
      await reads(phone.app, app.declined, app.mismatchText);
      await phone.app.getByText(literally.mismatch, { exact: true }).waitFor();
      await site.ended('declined');

      const second = await opened();
      await picks(second.phone.app, app.notMe);
      await reads(second.phone.app, app.declined, app.declinedText);
      await second.phone.app.getByText(literally.declined, { exact: true }).waitFor();
      await second.site.ended('declined');
    });

    test(`a relayed code has one finder, and its relayer has nothing (${language})`, async () => {
      const { site: attacker, phone, link, numbers, number } = await opened();
      assert.deepEqual(await attacker.numbersShown(), [number]);
      const accomplice = await world.phone(language);
      await accomplice.open(link);
      await reads(accomplice.app, app.problems['code-used'][0], literally.used);
      await attacker.nobody();
      await picks(phone.app, another(numbers, number));
      await attacker.ended('declined');
    });

    test(`three wrong numbers: the person waits (${language})`, async () => {
      const phone = await world.phone(language);
      for (let time = 0; time < 3; time++) {
        const { site, numbers, number } = await opened(phone);
        await picks(phone.app, another(numbers, number));
        await site.ended('declined');
        await phone.app.getByRole('button', { name: app.close, exact: true }).click();
        await site.stop();
      }
      const site = await world.visitor(language, 'mini_app', DemoSite);
      await phone.openSeen(await site.link());
      await reads(phone.app, app.problems['person-locked'][0], literally.locked);
      await site.ended('locked');
    });
  }
});

describe("the phone's number, in its frame", () => {
  let world;
  before(async () => {
    world = await startDemo(cleanup, browser, { SESSION_PHONE: 'true' });
  });
  afterEach(() => world.leave());

  for (const language of LANGUAGES) {
    const { app } = WORDS[language];

    async function asked() {
      const [site, phone] = [await world.visitor(language, 'mini_app', DemoSite), await world.phone(language)];
      await phone.openSeen(await site.link());
      await phone.askedInApp(WORDS[language]);
      await picks(phone.app, await site.number());
      await reads(phone.app, app.contactTitle, LITERALLY[language].contact);
      await site.nobody();
      return { site, phone };
    }

    test(`kept back, then given (${language})`, async () => {
      const { site, phone } = await asked();
      await picks(phone.app, app.contactShare);
      await phone.tap('Не сейчас');
      await phone.app.getByRole('alert').getByText(app.contactKept, { exact: true }).waitFor();
      await picks(phone.app, app.contactShare);
      await phone.tap('Поделиться');
      await reads(phone.app, app.done, app.doneText);
      const { phone: number } = await site.signedIn();
      assert.equal(`${number}`.replace(/^\+/, ''), String(79_990_000_000 + phone.id));
    });

    test(`not given (${language})`, async () => {
      const { site, phone } = await asked();
      await picks(phone.app, app.contactWithout);
      await reads(phone.app, app.done, app.doneText);
      assert.equal((await site.signedIn()).phone ?? null, null);
    });
  }
});

const FORGED = ['wrong-token', 'bad-hash', 'repeated-key', 'future', 'old', 'no-user'];
const GENUINE = ['good', 'ms', 'no-chat', 'percent', 'plus', 'fragment'];

describe('what MAX did not sign', () => {
  let world;
  before(async () => {
    world = await startWorld(cleanup, browser);
  });
  afterEach(() => world.leave());
  const fragment = (initData, kind) =>
    kind === 'fragment'
      ? initData
      : `WebAppData=${encodeURIComponent(initData)}&WebAppPlatform=web&WebAppVersion=26.37.1`;

  for (const language of LANGUAGES) {
    const words = WORDS[language];
    const { app } = words;

    test(`is told so, and the browser still waits for what MAX did (${language})`, async () => {
      const [site, phone] = [await world.visitor(language, 'mini_app'), await world.phone(language)];
      const link = await site.link();
      const startParam = codeOf(link);
      for (const kind of FORGED) {
        const page = await world.miniApp(language, fragment(await phone.person.initData(kind, { startParam }), kind));
        await reads(page, app.problems['init-data-invalid'][0], app.problems['init-data-invalid'][1]);
        await page.getByText(LITERALLY[language].forged, { exact: true }).waitFor();
        assert.equal(await page.getByRole('button').count(), 1, 'closing is all that there is');
        await site.isWaiting();
        assert.equal(await site.peek(), link, kind);
        await site.nobody();
        await page.close();
      }
      const good = await phone.person.initData('good', { startParam });
      const page = await world.miniApp(language, fragment(good));
      await phone.askedInApp(words, '127.0.0.1', page);
      const number = await site.number();
      // The same once more, as somebody who looked over the shoulder has it.
      const copy = await world.miniApp(language, fragment(good));
      await reads(copy, ...app.problems['init-data-used']);
      await picks(page, number);
      await reads(page, app.done, app.doneText);
      await site.signedIn();
    });

    test(`what MAX did sign, however it is written (${language})`, async () => {
      for (const kind of language === 'ru' ? GENUINE : GENUINE.slice(0, 2)) {
        const [site, phone] = [await world.visitor(language, 'mini_app'), await world.phone(language)];
        const initData = await phone.person.initData(kind, { startParam: codeOf(await site.link()) });
        const page = await world.miniApp(language, fragment(initData, kind));
        await phone.askedInApp(words, '127.0.0.1', page);
        await picks(page, await site.number());
        await reads(page, app.done, app.doneText);
        const { first_name } = await site.signedIn();
        if (kind === 'percent') assert.match(first_name, / 100%25$/);
        if (kind === 'plus') assert.match(first_name, / \+ Ко & Ко$/);
        await world.leave();
      }
    });

    test(`from the bot's menu, and with a code that is over (${language})`, async () => {
      const phone = await world.phone(language);
      for (const [startParam, code] of [
        [undefined, 'code-missing'],
        ['a'.repeat(22), 'code-expired'],
      ]) {
        const page = await world.miniApp(language, fragment(await phone.person.initData('good', { startParam })));
        await reads(page, ...app.problems[code]);
      }
    });
  }
});

describe('who somebody is, by each way', () => {
  /** Of the account whose code the emulator confirms. */
  const ID = 401041669;
  afterEach(async () => worlds.at(-1)?.leave());
  const worlds = [];

  async function signsIn(world, language, driver) {
    const site = await world.visitor(language, driver);
    const link = await site.link();
    if (driver === 'account_qr') {
      await world.emulator.approve(new URL(link).pathname.split('/').pop());
    } else if (driver === 'bot') {
      const phone = await world.phone(language, { id: ID });
      await phone.open(link);
      await phone.asked(WORDS[language]);
      await phone.press(await site.number());
      await phone.told(done(WORDS[language]));
    } else {
      const { initData } = await world.emulator.person(ID).launch(codeOf(link));
      const page = await world.miniApp(language, `WebAppData=${encodeURIComponent(initData)}`);
      await picks(page, await site.number());
      await reads(page, WORDS[language].app.done, WORDS[language].app.doneText);
    }
    return site.signedIn(driver);
  }

  for (const [merge, language, subs] of [
    ['false', 'ru', { account_qr: `${ID}`, bot: `bot:${ID}`, mini_app: `mini_app:${ID}` }],
    ['official', 'en', { account_qr: `${ID}`, bot: `bot:${ID}`, mini_app: `bot:${ID}` }],
    ['true', 'ru', { account_qr: `${ID}`, bot: `${ID}`, mini_app: `${ID}` }],
  ])
    test(`identity.merge = ${merge}`, async () => {
      const world = await startWorld(cleanup, browser, { settings: { IDENTITY_MERGE: merge } });
      worlds.push(world);
      const found = {};
      for (const driver of ['account_qr', 'bot', 'mini_app']) {
        const session = await signsIn(world, language, driver);
        found[driver] = session.sub;
        assert.equal(session.driver, driver === 'account_qr' ? undefined : driver);
      }
      assert.deepEqual(found, subs);
    });

  for (const language of LANGUAGES)
    test(`an app is told that it was the bot (${language})`, async () => {
      const app = cleanup.add(await startApp());
      const clients = `[{ id = "app", name = "Касса", secret = "${SECRET}", redirect_uris = ["${app.address}/cb"] }]`;
      const world = await startWorld(cleanup, browser, { settings: { OIDC_CLIENTS: clients } });
      worlds.push(world);
      const metadata = (await fetchWhole(`${world.server.address}/.well-known/openid-configuration`)).json;
      assert.ok(metadata.acr_values_supported.includes('urn:max-auth:bot'));
      const asked = oidc.request(metadata, app, 'app', { scope: 'openid profile' });
      const site = await world.visitor(language, null, ReadyPage, { at: asked.url, home: undefined });
      await site.page.getByText('Касса', { exact: true }).waitFor();
      const link = await site.choose('bot');
      await site.page.getByText('Касса', { exact: true }).waitFor();
      const phone = await world.phone(language);
      await phone.open(link);
      await phone.asked(WORDS[language]);
      await phone.press(await site.number());
      await phone.told(done(WORDS[language]));
      const { params } = await app.next(site.page);
      const tokens = await oidc.redeem(metadata, asked, params.code);
      assert.equal(tokens.status, 200, tokens.text);
      const claims = await oidc.claimsOf(metadata, tokens.json.id_token);
      assert.deepEqual([claims.acr, claims.amr], ['urn:max-auth:bot', ['max_bot']]);
      assert.equal(claims.aud, 'app');
    });
});
