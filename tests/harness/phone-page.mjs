// The emulator's phone in a page of a browser: one person, who reads the bot's dialogue and presses what is on the screen.

import assert from 'node:assert/strict';
import { eventually } from './time.mjs';

export const PHONE = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true, deviceScaleFactor: 2 };

export class PhonePage {
  constructor(page, person, id) {
    Object.assign(this, { page, person, id });
    this.log = page.getByRole('log', { name: 'Сообщения' });
    this.app = page.frameLocator('#frame');
  }

  /** What a camera that saw the code, or a touch of the link, leads to. */
  async open(link) {
    await this.page.getByRole('textbox', { name: 'Ссылка из QR-кода' }).fill(link);
    await this.page.getByRole('button', { name: 'Открыть' }).click();
  }

  /** The camera saw the code by itself: the demo's page shows it to the phone. */
  async openSeen(link) {
    const seen = this.page.getByRole('textbox', { name: 'Ссылка из QR-кода' });
    await eventually(async () => (await seen.inputValue()) === link, 'the phone to see the code');
    await this.page.getByRole('button', { name: 'Открыть' }).click();
  }

  async stop() {
    await this.page.getByRole('button', { name: 'Остановить' }).click();
    await this.page.getByRole('button', { name: 'Начать' }).waitFor();
  }

  async say(text) {
    await this.page.getByRole('textbox', { name: 'Сообщение' }).fill(text);
    await this.page.getByRole('button', { name: 'Отправить' }).click();
  }

  /** The newest button of that name in the dialogue. */
  press = (name) => this.log.getByRole('button', { name, exact: true }).last().click();

  /** A button below the dialogue, or on the phone itself. */
  tap = (name) => this.page.getByRole('button', { name, exact: true }).click();

  /** What the bot has said, in order. */
  said = () => this.log.locator('.bot > p').allTextContents();

  /** The bot's last words are these, with these buttons. */
  async told(text, buttons) {
    await eventually(async () => (await this.said()).at(-1) === text, `the bot to say ${JSON.stringify(text)}`).catch(
      async (error) => assert.equal((await this.said()).join('\n---\n'), text, error.message),
    );
    if (buttons) assert.deepEqual(await this.buttons(), buttons);
  }

  /** Of the bot's last message. */
  buttons = () => this.log.locator('.bot').last().getByRole('button').allTextContents();

  /** The bot's question, word by word; the numbers in it. */
  async asked({ bot }, site = '127.0.0.1') {
    const question = bot.question.replace('{site}', site);
    await eventually(async () => (await this.said()).at(-1)?.startsWith(question), 'the question').catch(
      async (error) => assert.equal((await this.said()).join('\n---\n'), question, error.message),
    );
    const browser = bot.browser.replace('{browser}', 'Chrome, Linux');
    assert.equal((await this.said()).at(-1), `${question}\n${browser}\n\n${bot.pick}`);
    const buttons = await this.buttons();
    assert.equal(buttons.pop(), bot.notMe);
    assert.equal(new Set(buttons).size, 4, buttons.join());
    return buttons;
  }

  /** The question of the mini-app; the numbers in it. */
  async askedInApp(words, site = '127.0.0.1', at = this.app) {
    const { app } = words;
    await at.getByRole('heading', { level: 1, name: app.title.replace('{site}', site), exact: true }).waitFor();
    await at.getByText(`${app.browser} Chrome, Linux`, { exact: true }).waitFor();
    await at.getByText(app.note, { exact: true }).waitFor();
    const numbers = await at.getByRole('group', { name: app.pick }).getByRole('button').allTextContents();
    assert.equal(new Set(numbers).size, 4, numbers.join());
    return numbers;
  }
}
