// The three pages on which a visitor signs in, as a visitor reads them: the widget on a site, the ready page, and the page without
// JavaScript. Each tells its link, its text code, its number, and how it ended.

import assert from 'node:assert/strict';
import { BASE_PATH } from './server.mjs';
import { eventually } from './time.mjs';

class SignInPage {
  constructor({ page, profile, words, server, driver, language, at }) {
    Object.assign(this, { page, profile, words, server, driver, language, at });
  }

  /** The session of this browser. */
  async session() {
    const answer = await this.page.context().request.get(`${this.server.base}/session`);
    return answer.ok() ? answer.json() : { status: answer.status() };
  }

  /** Signed in, on the account page, which says which way it was. */
  async signedIn(driver = this.driver) {
    const { pages, shared } = this.words;
    await this.page.waitForURL((url) => url.pathname === `${BASE_PATH}/account`);
    await this.page.getByRole('heading', { name: pages.signedIn, exact: true }).waitFor();
    await this.page.getByText(`${pages.signedInBy}: ${shared.ways[driver][0]}`, { exact: true }).waitFor();
    const session = await this.session();
    await this.page.getByText(session.name, { exact: true }).waitFor();
    return session;
  }

  /** All numbers of two digits that can be read. */
  async numbersShown() {
    return [...new Set((await this.whole.innerText()).match(/\b\d\d\b/g))];
  }

  /** Not signed in. */
  async nobody() {
    assert.deepEqual(await this.session(), { status: 401 });
  }

  async freshLink(before) {
    return eventually(async () => {
      const link = await this.peek();
      return link && link !== before && link;
    }, 'a fresh code');
  }

  /** The code's link as it stands, if there is one. */
  peek = () =>
    this.links
      .first()
      .getAttribute('href', { timeout: 1000 })
      .catch(() => null);

  link = () => this.freshLink(null);

  /** What a careful developer would not accept. A login that is over at once ends a WebSocket before it is open. */
  complaints = () =>
    this.profile.complaints.filter((text) => !/status of 401|WebSocket is closed before|favicon/.test(text));

  stop = () => this.profile.stop();
}

export class Widget extends SignInPage {
  static kind = 'the widget';
  /** A page that a test made up counts as one of the internet, which asks before it may speak to this machine. */
  static options = { permissions: ['local-network-access'] };

  async open() {
    const { page, server, driver, language } = this;
    const named = driver ? ` driver="${driver}"` : '';
    const body = `<!doctype html><html lang="${language}"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
      <title>A site</title><link rel="icon" href="data:,"><script type="module" src="${BASE_PATH}/widget.js"></script>
      <max-auth-button locale="${language}" return-to="${BASE_PATH}/account"${named}></max-auth-button></html>`;
    await page.route(`${server.address}/a-site`, (route) => route.fulfill({ contentType: 'text/html', body }));
    await page.goto(`${server.address}/a-site`);
    await page.getByRole('button', { name: this.words.shared.button, exact: true }).click();
    await page.getByRole('heading', { name: this.words.shared.title, exact: true }).waitFor();
    return this;
  }

  panel = this.page.locator('max-auth-panel');
  whole = this.panel.locator('.panel');
  links = this.page.locator('max-auth-panel a[part=link]');

  async textCode() {
    await this.link();
    await this.panel.getByText(this.words.shared.textCode, { exact: true }).click();
    const line = this.panel.locator('details[part=textcode] p');
    assert.ok((await line.textContent()).startsWith(this.words.shared.sendIt));
    return line.locator('b').textContent();
  }

  async number() {
    await this.panel.getByRole('heading', { name: this.words.shared.pick, exact: true }).waitFor();
    assert.equal(await this.links.first().isVisible(), false, 'the number alone');
    return this.panel.locator('.match').textContent();
  }

  isWaiting = () => this.panel.locator('.status').getByText(this.words.widget.waiting, { exact: true }).waitFor();

  /** What is to happen on the phone, in a line. */
  happens = (driver) =>
    this.panel.getByText(`${this.words.shared.scan} ${this.words.shared.ways[driver][1]}`, { exact: true }).waitFor();

  async ended(code) {
    const [title, advice] = this.words.widget.errors[code];
    await this.panel.getByRole('heading', { name: title, exact: true }).waitFor();
    assert.equal(await this.panel.locator('p[part=text]').textContent(), advice);
    await this.nobody();
  }

  /** The other ways, folded below the code; or those that an error offers. */
  async choose(driver, { offered = false } = {}) {
    const { otherWay, ways } = this.words.shared;
    const before = await this.peek();
    if (!offered) await this.panel.getByText(otherWay, { exact: true }).click();
    const name = offered ? `${otherWay}: ${ways[driver][0]}` : ways[driver][0];
    await this.panel.getByRole('button', { name, exact: true }).click();
    this.driver = driver;
    return this.freshLink(before);
  }

  again = () => this.panel.getByRole('button', { name: this.words.shared.retry, exact: true }).click();
}

/** The widget on the page of `serve --demo`, where the visitor says who is to ask. */
export class DemoSite extends Widget {
  static kind = 'the demo';

  async open() {
    const { page, server, driver, language, words } = this;
    const ways = { ru: { bot: 'Бот', mini_app: 'Мини-приложение' }, en: { bot: 'Bot', mini_app: 'Mini-app' } };
    await page.goto(`${server.address}/?locale=${language}`);
    await page.getByRole('radio', { name: new RegExp(`^${ways[language][driver]}`) }).check();
    await page.getByRole('button', { name: words.shared.button, exact: true }).click();
    await page.getByRole('heading', { name: words.shared.title, exact: true }).waitFor();
    return this;
  }

  /** Back on the site, which says who it is; the account page says which way. */
  async signedIn() {
    const session = await eventually(async () => {
      const answer = await this.session();
      return answer.name && answer;
    }, 'the session');
    await this.page.locator('#name').getByText(session.name, { exact: true }).waitFor();
    await this.page.goto(`${this.server.base}/account`);
    return super.signedIn();
  }
}

export class ReadyPage extends SignInPage {
  static kind = 'the ready page';

  async open() {
    const { page, server, driver, language } = this;
    const query = new URLSearchParams({ locale: language, ...(driver && { driver }) });
    await page.goto(this.at ?? `${server.direct}/login?${query}`);
    await page.getByRole('heading', { name: this.words.shared.title, exact: true }).waitFor();
    return this;
  }

  whole = this.page.locator('main');
  links = this.page.locator('a.link');

  async textCode() {
    await this.link();
    await this.page.getByText(this.words.shared.textCode, { exact: true }).click();
    const groups = this.page.locator('#sent i');
    await groups.last().waitFor();
    return (await groups.allTextContents()).join('');
  }

  async number() {
    const digits = this.page.locator('.pick b');
    await digits.waitFor();
    const number = await digits.textContent();
    assert.equal(await this.page.locator('#state').textContent(), `${number}${this.words.shared.pick}`);
    assert.equal(await this.page.locator('#code').isVisible(), false, 'the number alone');
    return number;
  }

  isWaiting = () => this.page.getByText(this.words.widget.waiting, { exact: true }).waitFor();
  happens = (driver) =>
    this.page.getByText(`${this.words.shared.scan} ${this.words.shared.ways[driver][1]}`, { exact: true }).waitFor();

  async ended(code) {
    await this.page.locator('#title', { hasText: this.words.shared.errorTitle }).waitFor();
    assert.equal(await this.page.locator('#body').textContent(), this.words.events.errors[code]);
    await this.nobody();
  }

  async choose(driver, { offered = false } = {}) {
    const before = await this.peek();
    // Unfolded already, where the way that was asked for is down.
    if (!offered) await this.page.getByText(this.words.shared.otherWay, { exact: true }).click();
    await this.page.getByRole('link', { name: this.words.shared.ways[driver][0], exact: true }).click();
    this.driver = driver;
    return this.freshLink(before);
  }

  again = () => this.page.getByRole('link', { name: this.words.shared.retry, exact: true }).click();
}

export class PlainPage extends SignInPage {
  static kind = 'the page without JavaScript';
  static options = { javaScriptEnabled: false };

  async open() {
    const { page, server, driver, language } = this;
    await page.goto(`${server.direct}/login?${new URLSearchParams({ locale: language, driver })}`);
    await this.#plainly();
    return this;
  }

  whole = this.page.locator('main');
  links = this.page.getByRole('link', { name: this.words.shared.open });

  async textCode() {
    const line = this.page.locator('p', { hasText: this.words.shared.textCode });
    await line.waitFor();
    const [text, groups] = [await line.textContent(), await line.locator('i').allTextContents()];
    assert.equal(text, `${this.words.shared.textCode} ${this.words.shared.sendIt} ${groups.join('')}`);
    return groups.join('');
  }

  async number() {
    const line = this.page.locator('.pick .state');
    await line.waitFor();
    const [, number, words] = (await line.textContent()).match(/^(\d\d)(.*)$/);
    assert.equal(words, this.words.shared.pick);
    assert.equal(await this.page.locator('.code').count(), 0, 'the number alone');
    return number;
  }

  isWaiting = () => this.page.getByText(this.words.events.waiting, { exact: true }).waitFor();
  happens = (driver) =>
    this.page.getByText(`${this.words.shared.scan} ${this.words.shared.ways[driver][1]}`, { exact: true }).waitFor();

  async ended(code) {
    await this.page.getByRole('heading', { name: this.words.shared.errorTitle, exact: true }).waitFor();
    await this.page.getByText(this.words.events.errors[code], { exact: true }).waitFor();
    await this.nobody();
  }

  again = () => this.page.getByRole('link', { name: this.words.shared.retry, exact: true }).click().then(this.#plainly);

  #plainly = async () => {
    await this.page.getByRole('link', { name: this.words.pages.withoutScript, exact: true }).click();
    await this.page.waitForURL(/\/wait$/);
  };
}
