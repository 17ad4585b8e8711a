// The first thing anybody runs: no network, no configuration, one address, a real browser.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { screenshot, startBrowser } from '../harness/browser.mjs';
import { fetchWhole } from '../harness/http.mjs';
import { BINARY } from '../harness/paths.mjs';
import { freePort, launch, tempFolder } from '../harness/process.mjs';
import { environment } from '../harness/server.mjs';
import { Cleanup } from '../harness/story.mjs';
import { eventually } from '../harness/time.mjs';

const cleanup = new Cleanup();
let demo;
let home;
let browser;

before(async () => {
  const port = await freePort();
  home = `http://127.0.0.1:${port}`;
  demo = cleanup.add(
    await launch('max-auth serve --demo', BINARY, ['serve', '--demo', '--listen', `127.0.0.1:${port}`], {
      // Nothing is configured but the operator's port, so that a demo that somebody has open does not matter.
      env: environment({ SERVER_OPS_LISTEN: `127.0.0.1:${await freePort()}` }),
      cwd: tempFolder('demo'),
      ready: (self) => self.printed(new RegExp(`http://(127\\.0\\.0\\.1|localhost):${port}`)),
    }),
  );
  browser = cleanup.add(await startBrowser());
});
after(() => cleanup.run());

const LOOKS = {
  ru: { locale: 'ru-RU' },
  en: { locale: 'en-GB' },
  dark: { locale: 'ru-RU', colorScheme: 'dark' },
  narrow: { locale: 'ru-RU', viewport: { width: 360, height: 740 }, deviceScaleFactor: 2, hasTouch: true },
};

const sessionOf = (page) =>
  page.evaluate(async () => {
    const answer = await fetch('/api/auth/max/session');
    return answer.ok ? answer.json() : { status: answer.status };
  });

/** "Who is signed in?" is answered with 401 when nobody is, and Chromium logs every 401. Nothing else may be said. */
function nothingToComplainOf(profile) {
  assert.deepEqual(
    profile.complaints.filter((text) => !/status of 401.*\/session\)$/.test(text)),
    [],
  );
}

async function openDialog(page) {
  await page.goto(`${home}/`);
  await page.locator('max-auth-button').getByRole('button').first().click();
  await page.locator('max-auth-button .card svg[role=img]').waitFor();
}

test('one address is printed, and nothing is asked', async () => {
  const origins = new Set(demo.stdout.match(/https?:\/\/[^\s'"/)]+/g));
  assert.deepEqual([...origins], [home], demo.stdout);
});

for (const [look, options] of Object.entries(LOOKS)) {
  test(`a person signs in and out: ${look}`, async () => {
    const profile = await browser.profile({ home, ...options });
    const page = await profile.page();
    await page.goto(`${home}/`);
    await screenshot(page, `demo-${look}-1-start`);
    await openDialog(page);
    await screenshot(page, `demo-${look}-2-code`);

    const phone = await profile.page();
    await phone.goto(`${home}/phone`);
    const approve = phone.getByRole('button', { name: /approve|подтвердить|войти|разрешить/i }).first();
    await approve.waitFor();
    await screenshot(phone, `demo-${look}-3-phone`);
    await approve.click();

    const session = await eventually(
      async () => {
        const answer = await sessionOf(page).catch(() => ({})); // the page may be on its way
        return answer.name && answer;
      },
      'the page to be signed in',
      15_000,
      100,
    );
    await page.getByText(session.name).first().waitFor();
    await screenshot(page, `demo-${look}-4-signed-in`);

    // Signing out is something a person can do on the page.
    await page
      .getByRole('button', { name: /log ?out|sign ?out|выйти/i })
      .first()
      .click();
    await eventually(
      async () => (await sessionOf(page).catch(() => ({}))).status === 401,
      'the page to be signed out',
      10_000,
      100,
    );
    await page.locator('max-auth-button').getByRole('button').first().waitFor();

    nothingToComplainOf(profile);
    await profile.stop();
  });
}

describe('the dialog', () => {
  test('Escape closes it, gives up the login, and the button has the focus again', async () => {
    const profile = await browser.profile({ home });
    const page = await profile.page();
    await openDialog(page);
    const gaveUp = page.waitForRequest((request) => request.method() === 'DELETE');
    await page.keyboard.press('Escape');
    await gaveUp;
    assert.equal(await page.evaluate(() => document.activeElement?.localName), 'max-auth-button');
    nothingToComplainOf(profile);
    await profile.stop();
  });

  test('it works from the keyboard alone', async () => {
    const profile = await browser.profile({ home });
    const page = await profile.page();
    await page.goto(`${home}/`);
    const open = page.locator('max-auth-button').getByRole('button').first();
    await open.waitFor();
    for (let steps = 0; steps < 20 && !(await open.evaluate((one) => one.matches(':focus'))); steps++)
      await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    await page.locator('max-auth-button .card svg[role=img]').waitFor();
    await profile.stop();
  });

  test('declined on the phone, the page offers a new code or a new try', async () => {
    const profile = await browser.profile({ home });
    const page = await profile.page();
    await openDialog(page);
    const phone = await profile.page();
    await phone.goto(`${home}/phone`);
    const before = await page.locator('max-auth-button a[href^="https://max.ru/:auth/"]').first().getAttribute('href');
    await phone
      .getByRole('button', { name: /decline|отклонить|отказать|отмен/i })
      .first()
      .click();
    await eventually(
      async () => {
        const link = await page
          .locator('max-auth-button a[href^="https://max.ru/:auth/"]')
          .first()
          .getAttribute('href', { timeout: 200 })
          .catch(() => null);
        const again = await page.locator('max-auth-button button.again:visible').count();
        return again > 0 || (link && link !== before);
      },
      'another code, or a button to try again',
      15_000,
      100,
    );
    await profile.stop();
  });
});

describe('the page as it is sent', () => {
  test('a strict policy, nothing from elsewhere, nothing that sniffs or frames', async () => {
    for (const path of ['/', '/phone', '/api/auth/max/login']) {
      const { status, headers } = await fetchWhole(home + path);
      assert.equal(status, 200, path);
      assert.match(headers['content-security-policy'] ?? '', /default-src 'none'|default-src 'self'/, path);
      // The phone shows the site's mini-app in a frame, as MAX does.
      const policy = headers['content-security-policy'].replace(`frame-src ${home}`, '');
      assert.doesNotMatch(policy, /unsafe-(inline|eval)|https?:/, path);
      assert.equal(headers['x-content-type-options'], 'nosniff', path);
      assert.match(headers['referrer-policy'], /^(no-referrer|same-origin)$/, path);
      assert.match(headers['content-security-policy'], /frame-ancestors 'none'/, path);
    }
  });
});

test('it ends when it is told to', async () => {
  const { code } = await demo.stop('SIGTERM', 10_000);
  assert.equal(code, 0);
});
