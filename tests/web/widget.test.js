// @ts-check
/**
 * The widget and the pages in a real Chromium, under the strict policy that the server sends, against the fake server.
 * Skipped where there is no Chromium, unless MAX_AUTH_NEED_BROWSER is set; CHROMIUM names another binary.
 */
import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { chromium } from 'playwright-core';
import { CHROMIUM, CHROMIUM_ARGS } from '../harness/chromium.mjs';
import { startFakeServer } from './fake-server.js';

const skip = CHROMIUM || process.env.MAX_AUTH_NEED_BROWSER ? false : 'no Chromium here';

/** @type {import('playwright-core').Browser} */
let browser;
/** @type {import('playwright-core').Page} */
let page;
/** @type {Awaited<ReturnType<typeof startFakeServer>>} */
let server;
/** @type {string[]} */
let complaints = [];

before(async () => {
  if (!skip) browser = await chromium.launch({ executablePath: CHROMIUM, args: CHROMIUM_ARGS });
});
after(async () => {
  await browser?.close();
});
beforeEach(async () => {
  if (skip) return;
  server = await startFakeServer({ codeAfter: 30 });
  page = await open({});
});
afterEach(async () => {
  if (skip) return;
  await page.context().close();
  await server.close();
});

/** @param {import('playwright-core').BrowserContextOptions} options */
async function open(options) {
  complaints = [];
  const context = await browser.newContext({ locale: 'en-US', ...options });
  const made = await context.newPage();
  made.setDefaultTimeout(8000);
  made.on('pageerror', (error) => complaints.push(String(error)));
  made.on('console', (message) => {
    if (/Content.Security.Policy|violates/i.test(message.text())) complaints.push(message.text());
  });
  return made;
}

/** @param {() => unknown} condition @param {string} what */
async function eventually(condition, what) {
  for (let i = 0; i < 300; i++) {
    if (await condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  assert.fail(`never: ${what}`);
}

const login = () => {
  const found = [...server.logins.values()].at(-1);
  assert.ok(found);
  return found;
};
const pressButton = async () => {
  await page.goto(server.origin);
  await page.getByRole('button', { name: 'Sign in with MAX' }).click();
};
const openDialog = async () => {
  await pressButton();
  await page.getByRole('img', { name: 'QR code to sign in with MAX' }).waitFor();
};

test('the dialog shows a code, names the site, and Escape gives the login up', { skip }, async () => {
  await openDialog();
  const dialog = page.getByRole('dialog', { name: 'Sign in with MAX' });
  await dialog.getByText(new URL(server.origin).host).waitFor();
  await dialog.getByText(/never send QR codes/).waitFor();
  await dialog.getByText(/valid for [01]:\d\d/).waitFor();
  await eventually(() => server.seen.ws === 1, 'the WebSocket');
  await page.keyboard.press('Escape');
  await dialog.waitFor({ state: 'hidden' });
  await eventually(() => server.seen.delete === 1, 'DELETE');
  await eventually(() => server.seen.closeReasons.includes('1000 Client closed'), 'close 1000');
  const focused = await page.evaluate(() => document.activeElement?.localName);
  assert.equal(focused, 'max-auth-button', 'focus is back where it was');
  assert.deepEqual(complaints, []);
});

test('a whole sign-in on the demo site, approved on the simulated phone', { skip }, async () => {
  await openDialog();
  const phone = await page.context().newPage();
  await phone.goto(`${server.origin}/phone`);
  await phone.getByRole('button', { name: /^Подтвердить/ }).click();
  await page.getByText('Анна Смирнова').waitFor();
  await page.getByText('+79001234567').waitFor();
  await page.getByText('Signed in', { exact: true }).waitFor();
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.getByRole('button', { name: 'Sign in with MAX' }).waitFor();
  assert.deepEqual(complaints, []);
});

test('the ready page begins by itself and comes back to return_to', { skip }, async () => {
  await page.goto(`${server.base}/login?return_to=/phone&locale=ru`);
  await page.getByRole('img', { name: 'QR-код для входа через MAX' }).waitFor();
  assert.equal(login().start.returnTo, '/phone');
  assert.equal(login().start.locale, 'ru');
  login().approve();
  await page.waitForURL('**/phone');
  assert.deepEqual(complaints, []);
});

test('preventDefault on success keeps the page, and the dialog closes', { skip }, async () => {
  await page.goto(server.origin);
  await page.evaluate(() => {
    document.addEventListener('max-auth-success', (event) => {
      event.preventDefault();
      document.title = /** @type {CustomEvent} */ (event).detail.redirect;
    });
  });
  await page.getByRole('button', { name: 'Sign in with MAX' }).click();
  await page.getByRole('img', { name: /QR/ }).waitFor();
  login().approve();
  await eventually(async () => (await page.title()).includes('/callback?token='), 'the event');
  await page.getByRole('dialog').waitFor({ state: 'hidden' });
  assert.equal(new URL(page.url()).pathname, '/');
});

test(
  'redirect="false": signed in when it says so, with the session in the event, and the page stays',
  { skip },
  async () => {
    await page.goto(server.origin);
    const session = page.evaluate(async () => {
      document.querySelector('max-auth-button')?.setAttribute('redirect', 'false');
      const detail = await new Promise((resolve) =>
        document.addEventListener('max-auth-success', (event) => resolve(/** @type {CustomEvent} */ (event).detail)),
      );
      return [detail.session, await (await fetch('/api/auth/max/session')).json()];
    });
    await page.getByRole('button', { name: 'Sign in with MAX' }).click();
    await page.getByRole('img', { name: /QR/ }).waitFor();
    login().approve();
    const [told, is] = await session;
    assert.equal(told.name, 'Анна Смирнова');
    assert.deepEqual(told, is);
    assert.equal(server.seen.redeemed, 1);
    await page.getByText('You are signed in.', { exact: true }).waitFor();
    assert.equal(new URL(page.url()).pathname, '/');
    assert.deepEqual(complaints, []);
  },
);

test('redirect="false": a token that is worth nothing is no success', { skip }, async () => {
  await page.goto(server.origin);
  await page.evaluate(() => document.querySelector('max-auth-button')?.setAttribute('redirect', 'false'));
  await page.getByRole('button', { name: 'Sign in with MAX' }).click();
  await page.getByRole('img', { name: /QR/ }).waitFor();
  await page.route('**/callback', (route) =>
    route.fulfill({ status: 400, contentType: 'application/problem+json', body: '{"code":"grant-invalid"}' }),
  );
  login().approve();
  await page.getByRole('heading', { name: 'Not signed in' }).waitFor();
});

test('the ring of a fresh code is full at once', { skip }, async () => {
  await openDialog();
  const offset = await page.evaluate(() => {
    const panel = document.querySelector('max-auth-button')?.shadowRoot?.querySelector('max-auth-panel');
    const rest = panel?.shadowRoot?.querySelector('.rest');
    return rest ? parseFloat(getComputedStyle(rest).strokeDashoffset) : NaN;
  });
  assert.ok(offset < 5, `${offset} of 100 missing`);
});

test(
  'back and forward: the browser keeps the page, the same login goes on, the time shown is right at once',
  { skip },
  async (t) => {
    const keeping = await chromium.launch({
      executablePath: CHROMIUM,
      args: CHROMIUM_ARGS,
      ignoreDefaultArgs: ['--disable-back-forward-cache'],
    });
    t.after(() => keeping.close());
    const kept = await (await keeping.newContext({ locale: 'en-US' })).newPage();
    await kept.addInitScript(() =>
      window.addEventListener('pageshow', (event) => (document.title = event.persisted ? 'kept' : 'new')),
    );
    await kept.goto(`${server.base}/login?locale=en&return_to=/phone`);
    await kept.getByText(/valid for 0:5\d/).waitFor();
    await eventually(() => server.seen.ws === 1, 'the WebSocket');
    await kept.waitForTimeout(500);
    await kept.goto(`${server.origin}/phone`);
    await eventually(() => server.seen.closeReasons.includes('4001 May come back'), 'a close that says so');
    await kept.waitForTimeout(2500);
    await kept.goBack({ waitUntil: 'commit' });
    assert.equal(await kept.title(), 'kept', 'from the back/forward cache');
    const left = (await kept.getByText(/valid for/).textContent())?.match(/0:(\d\d)/)?.[1];
    assert.ok(Number(left) <= 57, `shows 0:${left}`);
    assert.deepEqual([server.logins.size, server.seen.post, server.seen.delete], [1, 1, 0]);
    await kept.goForward({ waitUntil: 'commit' });
    await kept.goBack({ waitUntil: 'commit' });
    login().approve();
    await kept.waitForURL('**/phone');
  },
);

test('an error says what to do, and its button begins again', { skip }, async () => {
  server.fault.stage = 'error';
  server.fault.code = 'max-trouble';
  await pressButton();
  await page.getByRole('heading', { name: 'MAX is having trouble' }).waitFor();
  delete server.fault.stage;
  const again = page.getByRole('button', { name: 'Try again' });
  await eventually(() => again.evaluate((button) => button.matches(':focus')), 'focus on the way out');
  await page.keyboard.press('Enter');
  await page.getByText(/valid for/).waitFor();
  assert.equal(server.seen.post, 2);
});

test('busy counts down before it lets one try again', { skip }, async () => {
  server.fault.post = 'busy';
  await pressButton();
  const again = page.getByRole('button', { name: /Try again in 1\d s/ });
  await again.waitFor();
  assert.equal(await again.isDisabled(), true);
});

for (const [locale, title, advice] of [
  ['ru', 'Вход отклонён', /^На телефоне отказались/],
  ['en', 'The sign-in was declined', /^It was refused on the phone/],
]) {
  test(`declined on the phone is said so: ${locale}`, { skip }, async () => {
    Object.assign(server.fault, { stage: 'error', code: 'declined' });
    await page.goto(`${server.base}/login?locale=${locale}`);
    await page.getByRole('heading', { name: String(title), exact: true }).waitFor();
    await page.getByText(advice).first().waitFor();
  });
}

test(
  'a number takes the place of the code, is read out, cannot be selected, and goes with a fresh code',
  { skip },
  async () => {
    server.fault.drivers = 'mini_app';
    await openDialog();
    await page.evaluate(() =>
      document.addEventListener('max-auth-confirm', (event) =>
        Object.assign(globalThis, { told: /** @type {CustomEvent} */ (event).detail }),
      ),
    );
    login().confirm('42');
    const dialog = page.getByRole('dialog');
    const heading = dialog.getByRole('heading', { name: 'Pick this number on the phone', exact: true });
    await heading.waitFor();
    assert.deepEqual(await page.evaluate('told'), { matchCode: '42' });
    const number = dialog.locator('.match');
    assert.equal(await number.textContent(), '42');
    const { size, select } = await number.evaluate((element) => {
      const { fontSize, userSelect } = getComputedStyle(element);
      return { size: parseFloat(fontSize), select: userSelect };
    });
    assert.ok(size >= 80 && select === 'none', `${size} ${select}`);
    assert.equal(await dialog.locator('.sr-status').textContent(), 'Pick this number on the phone. 42');
    assert.equal(await dialog.getByRole('img', { name: /QR/ }).isVisible(), false);
    assert.equal(await dialog.getByText(/valid for/).isVisible(), false);
    const state = () =>
      page.evaluate(
        () =>
          /** @type {any} */ (document.querySelector('max-auth-button'))?.shadowRoot.querySelector('max-auth-panel')
            .state,
      );
    assert.equal(await state(), 'confirm');
    // That the server waits is no news.
    login().stage('waiting');
    login().confirm('17');
    await eventually(async () => (await number.textContent()) === '17', 'the other number');
    login().code(60_000);
    await dialog.getByRole('img', { name: /QR/ }).waitFor();
    assert.equal(await heading.isVisible(), false);
    login().confirm('42');
    await heading.waitFor();
    login().approve();
    await page.getByText('Анна Смирнова').waitFor();
    assert.deepEqual(complaints, []);
  },
);

test('what happens on the phone is said of each driver, and another one is a click away', { skip }, async () => {
  server.fault.drivers = 'bot,mini_app,account_qr';
  await openDialog();
  const dialog = page.getByRole('dialog');
  const steps = dialog.getByRole('list', { name: 'How to sign in' });
  await dialog
    .getByText("Point your phone's camera at the code. A chat with the site's bot opens.", { exact: false })
    .waitFor();
  assert.equal(await steps.isVisible(), false);
  const bot = dialog.getByRole('button', { name: 'bot in MAX' });
  const account = dialog.getByRole('button', { name: 'MAX web sign-in code' });
  assert.deepEqual([await bot.count(), await account.isVisible()], [0, false]);
  await dialog.getByText('Another way', { exact: true }).click();
  await account.click();
  await steps.waitFor();
  await eventually(() => server.logins.size === 1 && login().start.driver === 'account_qr', 'a login by that driver');
  assert.equal(server.seen.delete, 1, 'the other one was given up');
  await dialog.getByRole('img', { name: /QR/ }).waitFor();
  assert.equal(await dialog.getByText("Point your phone's camera at the code.").isVisible(), false);
  await dialog.getByText('Another way', { exact: true }).click();
  assert.equal(await bot.isVisible(), true);
  await eventually(
    () =>
      page.evaluate(() => {
        let element = document.activeElement;
        while (element?.shadowRoot?.activeElement) element = element.shadowRoot.activeElement;
        return element?.textContent === 'Another way';
      }),
    'the focus stays',
  );
});

test('a text for the bot: folded, in two groups, one word to who copies it', { skip }, async () => {
  server.fault.drivers = 'bot';
  await page.context().grantPermissions(['clipboard-read', 'clipboard-write'], { origin: server.origin });
  await openDialog();
  const dialog = page.getByRole('dialog');
  const copy = dialog.getByRole('button', { name: 'Copy' });
  assert.equal(await copy.isVisible(), false);
  await dialog.getByText('Written to the bot before?').click();
  assert.deepEqual(await dialog.locator('details b span').allTextContents(), ['ABCD', 'EFGH']);
  await copy.click();
  await dialog.getByRole('button', { name: 'Copied' }).waitFor();
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), 'ABCDEFGH');
  assert.equal(await dialog.getByText('Another way', { exact: true }).isVisible(), false, 'there is none');
  assert.equal(await page.getByRole('link', { name: 'Open in MAX' }).getAttribute('href'), login().link);
});

test('driver="…" begins by that one; where it is down the others are offered at once', { skip }, async () => {
  Object.assign(server.fault, { drivers: 'mini_app,bot', stage: 'error', code: 'driver-down' });
  await page.goto(server.origin);
  await page.evaluate(() => document.querySelector('max-auth-button')?.setAttribute('driver', 'bot'));
  await page.getByRole('button', { name: 'Sign in with MAX' }).click();
  await page.getByRole('heading', { name: 'This way does not work right now' }).waitFor();
  assert.equal(login().start.driver, 'bot');
  delete server.fault.stage;
  await page.getByRole('button', { name: 'Try again' }).click();
  await eventually(() => server.seen.post === 2, 'a second login');
  assert.equal(login().start.driver, undefined, 'the server chooses: the same would be refused again');
  Object.assign(server.fault, { stage: 'error' });
  await page.keyboard.press('Escape');
  await page.getByRole('button', { name: 'Sign in with MAX' }).click();
  const other = page.getByRole('button', { name: 'Another way: MAX mini-app' });
  await other.waitFor();
  delete server.fault.stage;
  await other.click();
  await page.getByText("The site's mini-app opens.", { exact: false }).waitFor();
  assert.equal(login().start.driver, 'mini_app');
});

for (const [code, title] of [
  ['expired', 'Time is up'],
  ['locked', 'Paused for a while'],
]) {
  test(`${code} is said so, and no other way is pressed on anybody`, { skip }, async () => {
    Object.assign(server.fault, { drivers: 'mini_app,bot', stage: 'error', code });
    await pressButton();
    await page.getByRole('heading', { name: title }).waitFor();
    await page.getByRole('button', { name: 'Try again' }).waitFor();
    assert.equal(await page.getByRole('button', { name: /Another way/ }).count(), 0);
  });
}

test('the title has the focus again after a new try', { skip }, async () => {
  Object.assign(server.fault, { stage: 'error', code: 'max-trouble' });
  await pressButton();
  const again = page.getByRole('button', { name: 'Try again' });
  await again.waitFor();
  delete server.fault.stage;
  await again.click();
  const title = page.getByRole('heading', { name: 'Sign in with MAX', exact: true });
  await eventually(() => title.evaluate((heading) => heading.matches(':focus')), 'focus on the title');
});

test('texts that are no JSON are told to the console, and ours are shown', { skip }, async () => {
  /** @type {string[]} */
  const told = [];
  page.on('console', (message) => message.type() === 'error' && told.push(message.text()));
  await page.goto(server.origin);
  await page.evaluate(() => document.querySelector('max-auth-button')?.setAttribute('texts', '{title: 1}'));
  await page.getByRole('button', { name: 'Sign in with MAX' }).click();
  await page.getByRole('dialog', { name: 'Sign in with MAX' }).waitFor();
  assert.ok(
    told.some((text) => text.startsWith('max-auth: the attribute texts of <max-auth-button> is not JSON')),
    told.join('\n'),
  );
});

test('an error without retry offers none', { skip }, async () => {
  Object.assign(server.fault, {
    stage: 'error',
    code: 'password-not-supported',
    retry: '0',
    message: 'Use another way.',
  });
  await pressButton();
  await page.getByRole('dialog').getByText('Use another way.', { exact: true }).waitFor();
  assert.equal(await page.getByRole('button', { name: /Try again/ }).count(), 0);
});

test('the password form comes only when asked, survives a wrong one, and keeps nothing', { skip }, async () => {
  server.fault.stage = 'password';
  await page.goto(server.origin);
  assert.equal(await page.getByLabel('Password').count(), 0);
  await page.getByRole('button', { name: 'Sign in with MAX' }).click();
  const field = page.getByLabel('Password');
  await field.waitFor();
  await page.getByText(/^Your account .* is not kept anywhere/).waitFor();
  await field.fill('wrong');
  await page.keyboard.press('Enter');
  await page.getByText('That password did not work. Please try again.').waitFor();
  assert.equal(await field.inputValue(), '');
  await field.fill('right');
  await page.getByRole('button', { name: 'Continue' }).click();
  await page.getByText('Анна Смирнова').waitFor();
  const kept = await page.evaluate(() => JSON.stringify([{ ...sessionStorage }, { ...localStorage }]));
  assert.ok(!kept.includes('right'));
});

test('on a phone the link into MAX comes first; on a desktop it is a small one', { skip }, async () => {
  await openDialog();
  const link = page.getByRole('link', { name: 'Open in MAX' });
  assert.equal(await link.count(), 1);
  assert.equal(await link.getAttribute('href'), login().link);
  assert.equal(await link.getAttribute('rel'), 'noopener noreferrer');
  const desktop = await link.boundingBox();
  await page.context().close();

  page = await open({ viewport: { width: 320, height: 568 }, hasTouch: true, isMobile: true });
  await openDialog();
  const phone = await page.getByRole('link', { name: 'Open in MAX' }).boundingBox();
  const code = await page.getByRole('img', { name: /QR/ }).boundingBox();
  assert.ok(
    phone && code && desktop && phone.width > 240 && phone.height >= 44 && phone.y < code.y && desktop.width < 200,
  );
  const wide = await page.evaluate(() => document.documentElement.scrollWidth > innerWidth);
  assert.equal(wide, false, 'nothing is wider than 320');
});

test('of a drawing only shapes survive', { skip }, async () => {
  await page.goto(server.origin);
  const result = await page.evaluate(async () => {
    const address = '/api/auth/max/dialog.js';
    const { adoptDrawing } = await import(address);
    const evil = `<svg xmlns="http://www.w3.org/2000/svg" xmlns:x="http://www.w3.org/1999/xlink" viewBox="0 0 9 9" onload="alert(1)" style="color:red">
      <script>alert(1)</script><style>*{}</style><foreignObject><b xmlns="http://www.w3.org/1999/xhtml">b</b></foreignObject>
      <image href="https://evil.test/a.png"/><use x:href="#a"/><a href="javascript:alert(1)"><path d="M0 0h1"/></a>
      <path d="M0 0h9" fill="url(https://evil.test/#a)" stroke="#000" onclick="alert(1)" class="c" id="i"/><rect width="9px" height="9px" fill="#fff"/></svg>`;
    return [adoptDrawing(evil)?.outerHTML, adoptDrawing('<svg><path'), adoptDrawing('<p>hi</p>'), adoptDrawing(7)];
  });
  assert.equal(
    result[0],
    '<svg viewBox="0 0 9 9"><path d="M0 0h9" stroke="#000"></path><rect width="9px" height="9px" fill="#fff"></rect></svg>',
  );
  assert.deepEqual(result.slice(1), [null, null, null]);
});

for (const fault of /** @type {Record<string, string>[]} */ ([
  {},
  { ws: 'refuse' },
  { ws: 'refuse', sse: 'held' },
  { ws: 'hang' },
  { cut: '400' },
])) {
  test(`in a browser with ${JSON.stringify(fault)}: cuts all along, the story is whole`, { skip }, async () => {
    Object.assign(server.fault, fault);
    await openDialog();
    for (const stage of ['waiting', 'approved', 'finishing', 'waiting', 'approved']) {
      server.cutAll();
      login().stage(stage);
      await new Promise((resolve) => setTimeout(resolve, 150));
    }
    login().approve();
    await page.getByText('Анна Смирнова').waitFor();
    const story = await page.locator('#story code').allTextContents();
    const sent = login().events.map(({ event, data }) => (event === 'status' ? `status · ${data.stage}` : event));
    assert.deepEqual(
      story.map((line) => (line.startsWith('qr') ? 'qr' : line)),
      sent,
    );
    assert.equal(server.seen.post, 1);
  });
}

test('a server that forgot everything is answered by a fresh code, not by an error', { skip }, async () => {
  await openDialog();
  server.logins.clear();
  server.cutAll();
  await eventually(() => server.logins.size === 1, 'a fresh login');
  await page.getByRole('img', { name: /QR/ }).waitFor();
  login().approve();
  await page.getByText('Анна Смирнова').waitFor();
});
