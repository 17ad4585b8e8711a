// What a site makes of the widget: its colours, logo and words, in the dialog and in the small one that takes its place; where the
// focus goes, what a phone shows first, and what stands there before the script.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { screenshot, startBrowser } from '../harness/browser.mjs';
import { fetchWhole } from '../harness/http.mjs';
import { startServer } from '../harness/server.mjs';
import { Cleanup } from '../harness/story.mjs';
import { eventually } from '../harness/time.mjs';

const cleanup = new Cleanup();
let server;
let browser;
before(async () => {
  server = cleanup.add(await startServer({ args: ['--demo'] }));
  browser = cleanup.add(await startBrowser());
});
after(() => cleanup.run());

const PHONE = { viewport: { width: 390, height: 780 }, hasTouch: true, isMobile: true, deviceScaleFactor: 2 };
const DIALOGS = { whole: [], small: ['*/dialog.js*'] };

/** The demo's page with `html` on it in place of its own. */
async function opened({ missing = [], html = '<max-auth-button></max-auth-button>', css = '', ...options } = {}) {
  const profile = await browser.profile({ home: server.address, ...options });
  const page = await profile.page();
  const devtools = await profile.context.newCDPSession(page);
  await devtools.send('Network.enable');
  await devtools.send('Network.setBlockedURLs', { urls: missing });
  await page.goto(`${server.address}/`);
  await page.evaluate(
    ([html, css]) => {
      const sheet = new CSSStyleSheet();
      sheet.replaceSync(css);
      document.adoptedStyleSheets = [sheet];
      document.querySelector('main').innerHTML = html;
    },
    [html, css],
  );
  const button = page.locator('max-auth-button, max-auth-panel').first();
  return { page, button, stop: profile.stop };
}

/** What the demo's MAX does wrong next. */
async function fault(...faults) {
  const { status } = await fetch(`${server.address}/phone/fault`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ faults }),
  });
  assert.ok(status < 300, `${status}`);
}

async function withCode({ page, button }) {
  await button.click();
  await page.locator('max-auth-panel').locator('.card svg[role=img], .code img').waitFor();
}

/** Within the elements' shadows, whichever of the two dialogs it is. */
const inside = (page, selector, read) => page.locator('max-auth-panel').locator(selector).first().evaluate(read);
const styleOf = (page, selector, property) =>
  page
    .locator(selector)
    .first()
    .evaluate((element, property) => getComputedStyle(element)[property], property);

test('the button comes in 2 KB, the small dialog in 7', async () => {
  for (const [name, most] of [
    ['widget.js', 2200],
    ['light.js', 7200],
  ]) {
    const { headers } = await fetchWhole(`${server.direct}/${name}`, { headers: { 'accept-encoding': 'gzip' } });
    assert.equal(headers['content-encoding'], 'gzip');
    const bytes = Number(headers['content-length']);
    assert.ok(bytes > 1000 && bytes <= most, `${name}: ${bytes} bytes`);
  }
});

for (const [dialog, missing] of Object.entries(DIALOGS)) {
  test(`${dialog}: a site's colours, corners, font and logo`, async () => {
    const css = `max-auth-button {
      --max-auth-accent: #0a7d33; --max-auth-surface: #fffbe8; --max-auth-text: #203010; --max-auth-radius: 4px;
      --max-auth-button: #0a7d33; --max-auth-button-text: #ffffe0; --max-auth-font: serif;
    }`;
    const logo = `data:image/svg+xml,${encodeURIComponent('<svg xmlns="http://www.w3.org/2000/svg" width="90" height="30"><rect width="90" height="30" rx="6" fill="#0a7d33"/></svg>')}`;
    const html = `<max-auth-button><img slot="logo" alt="Linkoo" src="${logo}"></max-auth-button>`;
    const at = await opened({ missing, css, html });
    const { page } = at;
    await withCode(at);
    await screenshot(page, `widget-${dialog}-themed`);
    assert.equal(await styleOf(page, 'max-auth-button button', 'backgroundColor'), 'rgb(10, 125, 51)');
    assert.equal(await styleOf(page, 'max-auth-button button', 'color'), 'rgb(255, 255, 224)');
    assert.equal(await styleOf(page, 'max-auth-button button', 'borderRadius'), '4px');
    assert.equal(await styleOf(page, 'max-auth-panel', 'backgroundColor'), 'rgb(255, 251, 232)');
    assert.equal(await styleOf(page, 'max-auth-panel', 'color'), 'rgb(32, 48, 16)');
    assert.match(await styleOf(page, 'max-auth-panel', 'fontFamily'), /^serif/);
    assert.equal(await styleOf(page, 'max-auth-button dialog', 'borderRadius'), '8px');
    assert.ok((await page.getByAltText('Linkoo').boundingBox())?.width === 90, 'the logo is seen');
    await at.stop();
  });

  for (const [theme, system, dark] of [
    ['dark', 'light', true],
    ['light', 'dark', false],
    ['auto', 'dark', true],
    ['auto', 'light', false],
  ]) {
    test(`${dialog}: theme="${theme}" where the system is ${system}`, async () => {
      const at = await opened({
        missing,
        colorScheme: system,
        html: `<max-auth-button theme="${theme}"></max-auth-button>`,
        css: 'max-auth-button { --max-auth-button: light-dark(#fafafa, #050505) }',
      });
      const button = () => styleOf(at.page, 'max-auth-button button', 'backgroundColor');
      assert.equal(await button(), dark ? 'rgb(5, 5, 5)' : 'rgb(250, 250, 250)', 'before there is a dialog');
      await withCode(at);
      assert.equal(await button(), dark ? 'rgb(5, 5, 5)' : 'rgb(250, 250, 250)', 'and with it');
      await screenshot(at.page, `widget-${dialog}-${theme}-on-${system}`);
      const surface = await styleOf(at.page, 'max-auth-panel', 'backgroundColor');
      assert.equal(surface, dark ? 'rgb(28, 27, 39)' : 'rgb(255, 255, 255)');
      assert.equal(await styleOf(at.page, 'max-auth-panel', 'colorScheme'), dark ? 'dark' : 'light');
      await at.stop();
    });
  }

  test(`${dialog}: a site's words, as a property and as an attribute`, async () => {
    const html = `<max-auth-button texts='{"title":"Вход в Linkoo","warning":"Только для вас."}'></max-auth-button>`;
    const at = await opened({ missing, html });
    await withCode(at);
    await at.page.getByText('Вход в Linkoo', { exact: true }).waitFor();
    await at.page.getByText('Только для вас.').waitFor();
    await at.page.keyboard.press('Escape');
    await at.page.locator('max-auth-button').evaluate((button) => (button.texts = { title: 'Ещё иначе' }));
    await at.button.click();
    await at.page.getByText('Ещё иначе', { exact: true }).waitFor();
    await at.stop();
  });

  test(`${dialog}: the first focus is on the title`, async () => {
    const at = await opened({ missing });
    // What happens within a shadow tree is told there.
    await at.page.evaluate(() => {
      window.focused = [];
      const { shadowRoot } = document.querySelector('max-auth-button');
      shadowRoot.addEventListener('focusin', (event) => window.focused.push(event.target.className), true);
    });
    await withCode(at);
    const focused = () =>
      at.page.evaluate(() => {
        let element = document.activeElement;
        while (element?.shadowRoot?.activeElement) element = element.shadowRoot.activeElement;
        return element?.textContent;
      });
    await eventually(async () => (await focused()) === 'Вход через MAX', 'the title has the focus');
    const had = await at.page.evaluate(() => window.focused);
    assert.ok(had.length > 1 && !had.includes('close'), `and "close" never had it: ${had}`);
    const scrolled = await at.page.locator('max-auth-button dialog').evaluate((dialog) => dialog.scrollTop);
    assert.equal(scrolled, 0, 'the dialog begins at its beginning');
    await at.page.keyboard.press('Escape');
    assert.equal(await at.page.evaluate(() => document.activeElement.localName), 'max-auth-button');
    await at.stop();
  });

  test(`${dialog}: on a phone "Open in MAX" is there from the first paint, and nothing moves when the code comes`, async () => {
    const at = await opened({ missing, ...PHONE });
    const { page } = at;
    await fault({ on: 288, do: 'delay', ms: 3000 });
    await page.evaluate(() => {
      window.moved = [];
      // A line whose words change is another line; what matters is that nothing goes up or down.
      new PerformanceObserver((list) => {
        for (const { sources } of list.getEntries())
          for (const { previousRect, currentRect } of sources)
            if (previousRect.y !== currentRect.y) window.moved.push([previousRect.toJSON(), currentRect.toJSON()]);
      }).observe({ type: 'layout-shift', buffered: false });
    });
    await at.button.tap();
    const link = page.locator('max-auth-panel .app .primary').first();
    await link.waitFor();
    await page.waitForTimeout(400); // the dialog has risen
    const places = () =>
      page.locator('max-auth-panel').evaluate((panel) =>
        ['.app .primary, a.primary.link', '.frame, .code', '.status, .state'].map((selector) => {
          const { x, y, width, height } = panel.shadowRoot.querySelector(selector).getBoundingClientRect();
          return [x, y, width, height].map(Math.round);
        }),
      );
    assert.equal(await link.isVisible(), true);
    await screenshot(page, `widget-${dialog}-phone-first`);
    const first = await places();
    assert.equal(await link.getAttribute('href'), null, 'still no code');
    await page.locator('max-auth-panel').locator('.card svg[role=img], .code img').waitFor();
    await screenshot(page, `widget-${dialog}-phone-code`);
    const [button, code] = await places();
    assert.deepEqual([button, code], first.slice(0, 2));
    assert.match(await link.getAttribute('href'), /^https:\/\/max\.ru\/:auth\//);
    assert.deepEqual(await page.evaluate(() => window.moved), []);
    await at.stop();
  });
}

test('a part is styled from outside, in the panel within the dialog, too', async () => {
  const css =
    'max-auth-button::part(title) { letter-spacing: 3px } max-auth-button::part(dialog) { border-radius: 40px }';
  const at = await opened({ css });
  await withCode(at);
  assert.equal(await styleOf(at.page, 'max-auth-panel h2', 'letterSpacing'), '3px');
  assert.equal(await styleOf(at.page, 'max-auth-button dialog', 'borderRadius'), '40px');
  await at.stop();
});

test('--max-auth-logo is shown, and without it there is no room for one', async () => {
  const logo = encodeURIComponent(
    '<svg xmlns="http://www.w3.org/2000/svg" width="80" height="24"><rect width="80" height="24"/></svg>',
  );
  const with_ = await opened({ css: `max-auth-button { --max-auth-logo: url("data:image/svg+xml,${logo}") }` });
  await withCode(with_);
  // As laid out: the dialog grows as it opens.
  const shown = with_.page.locator('max-auth-panel .logo');
  assert.deepEqual(await shown.evaluate(({ offsetWidth, offsetHeight }) => [offsetWidth, offsetHeight]), [80, 24]);
  await screenshot(with_.page, 'widget-logo');
  await with_.stop();
  const without = await opened();
  await withCode(without);
  assert.equal(await without.page.locator('max-auth-panel .logo').isVisible(), false);
  await without.stop();
});

test('the ring is full before the code and when it comes, whatever the clock of the visitor', async () => {
  const at = await opened();
  const { page } = at;
  await page.addInitScript(() => {
    const now = Date.now.bind(Date);
    Date.now = () => now() + 25_000;
  });
  await page.reload();
  await page.locator('max-auth-button').first().click();
  await page.locator('max-auth-panel .card svg[role=img]').waitFor();
  const missing = await inside(page, '.rest', (rest) => parseFloat(getComputedStyle(rest).strokeDashoffset));
  assert.ok(missing < 5, `${missing} of 100 missing`);
  await at.stop();
});

test('what stands in the element is there until the script has come, and then is not', async () => {
  const profile = await browser.profile({ home: server.address });
  const page = await profile.page();
  let go;
  const held = new Promise((resolve) => (go = resolve));
  await page.route('**/widget.js', async (route) => {
    await held;
    await route.continue();
  });
  const html = `<!doctype html><html lang="ru"><meta charset="utf-8"><link rel="icon" href="data:,"><title>A shop</title>
    <script type="module" src="/api/auth/max/widget.js"></script>
    <max-auth-button><a href="/api/auth/max/login">Войти через MAX (страница)</a></max-auth-button></html>`;
  await page.route('**/shop', (route) => route.fulfill({ contentType: 'text/html; charset=utf-8', body: html }));
  await page.goto(`${server.address}/shop`, { waitUntil: 'commit' });
  const link = page.getByRole('link', { name: 'Войти через MAX (страница)' });
  await link.waitFor();
  go();
  await page.locator('max-auth-button').getByRole('button', { name: 'Войти через MAX' }).waitFor();
  assert.equal(await link.isVisible(), false);
  await profile.stop();
});

test("the demo serves the page of reference, and each of its examples is alive under the demo's policy", async () => {
  const profile = await browser.profile({ home: server.address, locale: 'en-GB' });
  const page = await profile.page();
  await page.goto(`${server.address}/widget`);
  await page.getByRole('heading', { name: 'Themes' }).waitFor();
  const source = (await fetchWhole(`${server.address}/widget.md`)).text;
  const cells = source
    .split('\n')
    .filter((line) => /^\| .* \| `[^|]+` \|$/.test(line) && /(max-auth-|button\.|panel\.)[^|]*` \|$/.test(line));
  const fences = source
    .split('\n```html\n')
    .slice(1)
    .filter((fence) => !fence.startsWith('<script'));
  assert.equal(await page.locator('.example').count(), cells.length + fences.length);
  assert.ok(cells.length > 55, `${cells.length}`);
  // Each has an element, or a button that brings one; each rule is one that the browser knows.
  const dead = await page
    .locator('.example')
    .evaluateAll((boxes) =>
      boxes.filter((box) => !box.querySelector('max-auth-button, max-auth-panel, button')).map((box) => box.id),
    );
  assert.deepEqual(dead, []);
  const empty = await page.evaluate(() =>
    document.adoptedStyleSheets
      .flatMap((sheet) => [...sheet.cssRules])
      .filter((rule) => rule.style.length === 0)
      .map((rule) => rule.cssText),
  );
  assert.deepEqual(empty, []);
  await screenshot(page, 'reference');

  const row = (name) =>
    page.locator('tr').filter({ has: page.locator('td:first-child').getByText(name, { exact: true }) });
  await row('max-auth-qr').locator('max-auth-button').getByRole('button').click();
  await page.locator('dialog[open] max-auth-panel .card svg[role=img]').waitFor();
  await row('max-auth-qr')
    .getByText(/^max-auth-(qr|status) \{/)
    .waitFor();
  await page.keyboard.press('Escape');
  const green = page.locator('.example max-auth-button[theme=dark] b[slot=logo]').locator('..');
  await green.getByRole('button').click();
  await page.locator('dialog[open] max-auth-panel .card svg[role=img]').waitFor();
  await screenshot(page, 'reference-green-night');
  await page.keyboard.press('Escape');
  const method = page.locator('tr').filter({ hasText: 'panel.start()' });
  await method.getByRole('button', { name: 'Show' }).click();
  await method.getByRole('button', { name: 'Run' }).click();
  await method.locator('max-auth-panel .card svg[role=img]').waitFor();
  assert.deepEqual(profile.complaints, []);
  await profile.stop();
});
