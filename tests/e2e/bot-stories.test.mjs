// Whole sign-ins by the bot, in a real browser with the emulator's phone beside it: each on the widget, on the ready page and on the page
// without JavaScript, in Russian and in English.

import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { LANGUAGES, WORDS, another, done, isTold, startWorld } from '../harness/bot-story.mjs';
import { screenshot, startBrowser } from '../harness/browser.mjs';
import { PlainPage, ReadyPage, Widget } from '../harness/sign-in-pages.mjs';
import { Cleanup } from '../harness/story.mjs';
import { eventually } from '../harness/time.mjs';

const cleanup = new Cleanup();
let browser;
let world;
before(async () => {
  browser = cleanup.add(await startBrowser());
  world = await startWorld(cleanup, browser);
});
afterEach(() => world.leave());
after(() => cleanup.run());

/** Some of what people read, word by word: the table of texts may not lose its meaning unseen. */
const LITERALLY = {
  ru: {
    question: /^Вход на 127\.0\.0\.1\nБраузер: Chrome, Linux\n\nВыберите число, которое видите на странице входа\./,
    done: 'Готово: вы входите на 127.0.0.1. Вернитесь к браузеру.',
    wrong: 'Это не то число, вход остановлен. Обновите страницу входа и отсканируйте новый код.',
    stopped: 'Хорошо, вход остановлен. Никто не вошёл.',
    used: 'Этот код уже открыл другой человек. Обновите страницу входа и отсканируйте новый.',
    locked: 'Слишком много неверных ответов. Попробуйте через 60 мин.',
    already: 'Диалог уже начат: MAX не сообщает боту, что вы открыли ссылку.',
    pick: 'Выберите это число на телефоне',
    declined: /На телефоне отказались/,
    paused: /Трижды выбрано не то число/,
    happens: 'Наведите на код камеру телефона. Откроется чат с ботом сайта. Бот спросит число с этого экрана.',
    signedInBy: 'Способ: бот в MAX',
    other: 'Другой способ',
  },
  en: {
    question: /^Sign in to 127\.0\.0\.1\nBrowser: Chrome, Linux\n\nPick the number that you see on the sign-in page\./,
    done: 'Done: you are signing in to 127.0.0.1. Go back to the browser.',
    wrong: 'That is not the number; the sign-in is stopped. Refresh the sign-in page and scan the new code.',
    stopped: 'All right, the sign-in is stopped. Nobody was signed in.',
    used: 'Somebody else has opened this code. Refresh the sign-in page and scan the new one.',
    locked: 'Too many wrong answers. Try again in 60 min.',
    already: 'Диалог уже начат: MAX не сообщает боту, что вы открыли ссылку.',
    pick: 'Pick this number on the phone',
    declined: /refused on the phone/,
    paused: /wrong number was picked three times/,
    happens:
      "Point your phone's camera at the code. A chat with the site's bot opens. The bot asks for the number on this screen.",
    signedInBy: 'By: bot in MAX',
    other: 'Another way',
  },
};

for (const Kind of [Widget, ReadyPage, PlainPage])
  for (const language of LANGUAGES.filter((each) => isTold(Kind.kind, each)))
    describe(`${Kind.kind}, ${language}`, () => {
      const words = WORDS[language];
      const literally = LITERALLY[language];
      const visitor = (driver) => world.visitor(language, driver, Kind);
      const named = (name) => `${Kind.kind.replace(/\W/g, '-')}-${language}-${name}`;

      test('a first-time user, by the link', async () => {
        const [site, phone] = [await visitor(), await world.phone(language)];
        await site.isWaiting();
        await site.happens('bot');
        await site.page.getByText(literally.happens, { exact: true }).waitFor();
        await screenshot(site.page, named('code'));
        await phone.open(await site.link());
        const numbers = await phone.asked(words);
        assert.match((await phone.said()).at(-1), literally.question);
        const number = await site.number();
        await site.page.getByText(literally.pick).filter({ visible: true }).first().waitFor();
        await screenshot(site.page, named('number'));
        await screenshot(phone.page, named('asked'));
        another(numbers, number);
        await phone.press(number);
        await phone.told(done(words), []);
        await phone.told(literally.done);
        const session = await site.signedIn();
        await site.page.getByText(literally.signedInBy, { exact: true }).waitFor();
        assert.deepEqual([session.driver, session.sub], ['bot', `bot:${phone.id}`]);
        assert.deepEqual(site.complaints(), []);
      });

      test('"not me"', async () => {
        const [site, phone] = [await visitor(), await world.phone(language)];
        await phone.open(await site.link());
        await phone.asked(words);
        await phone.press(words.bot.notMe);
        await phone.told(words.bot.stopped, []);
        await phone.told(literally.stopped);
        await site.ended('declined');
      });

      // It refreshes itself every few seconds: the rest in one language, which says that it is the same.
      if (Kind === PlainPage && language !== 'ru') return;

      test('a returning user: the link says nothing, the text code does', async () => {
        const phone = await world.acquainted(language);
        const site = await visitor();
        await phone.open(await site.link());
        await phone.page.getByRole('status').getByText(literally.already).waitFor();
        await world.settled();
        assert.equal((await phone.said()).length, 1, 'MAX tells the bot nothing');
        await site.isWaiting();
        await phone.say(await site.textCode());
        await phone.asked(words);
        await phone.press(await site.number());
        await phone.told(done(words));
        assert.equal((await site.signedIn()).sub, `bot:${phone.id}`);
      });

      test('stopped and started again: the link is enough', async () => {
        const phone = await world.acquainted(language);
        await phone.stop();
        const site = await visitor();
        await phone.open(await site.link());
        await phone.asked(words);
        await phone.press(await site.number());
        await phone.told(literally.done);
        assert.equal((await site.signedIn()).sub, `bot:${phone.id}`);
      });

      test('a wrong number: nobody signed in, on either side, and the next one is right', async () => {
        const [site, phone] = [await visitor(), await world.phone(language)];
        await phone.open(await site.link());
        const wrong = another(await phone.asked(words), await site.number());
        await phone.press(wrong);
        await phone.told(words.bot.wrong, []);
        await phone.told(literally.wrong);
        await site.ended('declined');
        await site.page.getByText(literally.declined).filter({ visible: true }).first().waitFor();
        await screenshot(site.page, named('declined'));
        await site.again();
        await site.isWaiting();
        await phone.say(await site.textCode());
        await phone.asked(words);
        await phone.press(await site.number());
        await site.signedIn();
      });

      for (const victim of ['presses "not me"', 'guesses'])
        test(`a relayed code: the victim, who sees no number, ${victim}, and the attacker has nothing`, async () => {
          const [attacker, phone] = [await visitor(), await world.phone(language)];
          const link = await attacker.link();
          const code = await attacker.textCode();
          await phone.open(link);
          const numbers = await phone.asked(words);
          const number = await attacker.number();
          // All that the attacker has is one of the four: nothing to choose from, nothing to press.
          assert.deepEqual(await attacker.numbersShown(), [number]);
          await attacker.nobody();

          // Somebody else who has the code, as a link and as a text, is told so and asked nothing.
          const accomplice = await world.phone(language);
          await accomplice.open(link);
          await accomplice.told(words.bot.used, []);
          await accomplice.say(code);
          await eventually(async () => (await accomplice.said()).length === 2, 'the answer to the text');
          await accomplice.told(literally.used, []);
          await attacker.nobody();

          await phone.press(victim === 'guesses' ? another(numbers, number) : words.bot.notMe);
          await phone.told(victim === 'guesses' ? literally.wrong : literally.stopped, []);
          await attacker.ended('declined');
          // And the code is of no use to anybody any more.
          await phone.say(code);
          await phone.told(words.bot.expired, []);
          await attacker.nobody();
        });

      test('three wrong numbers within the hour: the person waits, and is told how long', async () => {
        const phone = await world.acquainted(language);
        const before = await world.visitor(language);
        for (let time = 0; time < 3; time++) {
          if (time > 0) await before.again();
          await before.isWaiting();
          await phone.say(await before.textCode());
          await phone.press(another(await phone.asked(words), await before.number()));
          await phone.told(words.bot.wrong, []);
          await before.ended('declined');
        }
        const site = await visitor();
        await phone.say(await site.textCode());
        await phone.told(words.bot.locked.replace('{minutes}', '60'), []);
        await phone.told(literally.locked);
        await site.ended('locked');
        await site.page.getByText(literally.paused).filter({ visible: true }).first().waitFor();
        await screenshot(site.page, named('locked'));
        // Another person is not meant.
        const [other, theirs] = [await visitor(), await world.phone(language)];
        await theirs.open(await other.link());
        await theirs.asked(words);
        await theirs.press(await other.number());
        await other.signedIn();
      });

      if (Kind !== PlainPage)
        test('another way is chosen on the page', async () => {
          const [site, phone] = [await visitor(null), await world.phone(language)];
          assert.match(await site.link(), /\?startapp=/, 'the first of login.drivers');
          await site.happens('mini_app');
          await site.page.getByText(literally.other, { exact: true }).waitFor();
          const link = await site.choose('bot');
          assert.match(link, /\?start=/);
          await site.happens('bot');
          await phone.open(link);
          await phone.asked(words);
          await phone.press(await site.number());
          await site.signedIn('bot');
        });
    });
