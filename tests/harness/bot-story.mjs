// Our server, the emulator's bot and mini-app, and a browser: what a story of somebody who signs in by an official driver needs.

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { TEXTS } from '../../web/texts.js';
import { TEXTS as ON_THE_PHONE } from '../../web/texts-phone.js';
import { startWithBot } from './bot-double.mjs';
import { TOKEN, phoneOf, startBotEmulator } from './bot.mjs';
import { PHONE, PhonePage } from './phone-page.mjs';
import { freePort, tempFolder } from './process.mjs';
import { BASE_PATH, startServer } from './server.mjs';
import { Widget } from './sign-in-pages.mjs';
import { eventually } from './time.mjs';

/** All that people read, by language. */
export const WORDS = { ru: { ...TEXTS.ru, ...ON_THE_PHONE.ru }, en: { ...TEXTS.en, ...ON_THE_PHONE.en } };
export const LANGUAGES = ['ru', 'en'];
/** Each page in one language and each language on some page; ALL=1 tells every story on every page in both. */
export const isTold = (kind, language) =>
  process.env.ALL === '1'
  || { 'the widget': 'ru', 'the ready page': 'en', 'the page without JavaScript': 'ru' }[kind] === language;
const LOCALES = { ru: 'ru-RU', en: 'en-GB' };

let people = 2000;

/** `options` are those of startWithBot; all three drivers unless it says otherwise. */
export async function startWorld(cleanup, browser, { emulator: emulatorOptions = {}, settings, ...options } = {}) {
  const port = await freePort();
  const app = `http://127.0.0.1:${port}${BASE_PATH}/app`;
  const { args = [] } = emulatorOptions;
  const emulator = cleanup.add(await startBotEmulator({ args: ['--mini-app', app, ...args] }));
  const token_file = join(tempFolder('token'), 'token');
  writeFileSync(token_file, TOKEN, { mode: 0o600 });
  const double = { url: emulator.api, subscriptions: async () => (await emulator.botStats()).subscriptions };
  const { bot, miniApp, ...more } = options;
  const server = cleanup.add(
    await startWithBot(double, {
      port,
      drivers: ['mini_app', 'bot', 'account_qr'],
      bot: { name: 'emulator_bot', token_file, ...bot },
      miniApp: { bridge_url: `${emulator.address}/phone/bot/max-web-app.js`, ...miniApp },
      settings: { UPSTREAM_ENDPOINTS: `[{ url = "${emulator.url}", dialect = "binary" }]`, ...settings },
      ...more,
    }),
  );
  return new World({ browser, server, emulator });
}

/** `serve --demo`: site and phone share an address, so that the phone may frame the mini-app. */
export async function startDemo(cleanup, browser, settings = {}) {
  const server = cleanup.add(await startServer({ args: ['--demo'], settings }));
  const { address } = server;
  return new World({ browser, server, emulator: { address, person: (id) => phoneOf(address, id) } });
}

export class World {
  #open = new Set();

  constructor({ browser, server, emulator }) {
    Object.assign(this, { browser, server, emulator });
  }

  async #profile(options) {
    const profile = await this.browser.profile(options);
    this.#open.add(profile);
    return profile;
  }

  /** A visitor's page, the sign-in begun. */
  async visitor(language, driver = 'bot', Kind = Widget, { at, ...options } = {}) {
    const { server } = this;
    const profile = await this.#profile({
      home: server.address,
      locale: LOCALES[language],
      ...Kind.options,
      ...options,
    });
    const page = await profile.page();
    return new Kind({ page, profile, words: WORDS[language], server, driver, language, at }).open();
  }

  /** A person with a phone; without `id` somebody who was not there before. */
  async phone(language, { id = ++people } = {}) {
    const { address } = this.emulator;
    const person = this.emulator.person(id);
    await person.change({ locale: language });
    const profile = await this.#profile({ ...PHONE, locale: LOCALES[language] });
    const page = await profile.page();
    await page.goto(`${address}/phone?person=${id}#bot`);
    await page.getByRole('log').getByText('Бот ').waitFor();
    return new PhonePage(page, person, id);
  }

  /** The mini-app in a window of its own, as MAX opens one on a phone. */
  async miniApp(language, fragment) {
    const profile = await this.#profile({ ...PHONE, locale: LOCALES[language] });
    const page = await profile.page();
    await page.goto(`${this.server.base}/app#${fragment}`);
    return page;
  }

  /** Once the person has spoken with the bot. */
  async acquainted(language, more) {
    const phone = await this.phone(language, more);
    await phone.tap('Начать');
    await phone.told(WORDS[language].bot.hello.replace('{site}', '127.0.0.1'));
    return phone;
  }

  /** All pages of a story are left. */
  async leave() {
    const profiles = [...this.#open];
    this.#open.clear();
    for (const profile of profiles) await profile.stop();
  }

  /** Every update was delivered. */
  settled = () =>
    eventually(async () => (await this.emulator.botStats()).webhook.pending === 0, 'the updates to be delivered');
}

export const done = ({ bot }) => bot.done.replace('{site}', '127.0.0.1');

/** One of the numbers that is not this one. */
export function another(numbers, right) {
  assert.ok(numbers.includes(right), `${right} among ${numbers}`);
  return numbers.find((number) => number !== right);
}

/** The code in a link. */
export const codeOf = (link) => [...new URL(link).searchParams.values()][0];
