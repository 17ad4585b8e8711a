// A button on a site that is not the server's: in Chromium and in Firefox, with the cookies of other sites blocked, behind nginx with
// TLS. The site's backend is the snippet of docs/how-to/another-site.md.

import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { chromium } from 'playwright-core';
import { screenshot } from '../harness/browser.mjs';
import { certificate } from '../harness/certificate.mjs';
import { CHROMIUM, CHROMIUM_ARGS } from '../harness/chromium.mjs';
import { SECRET } from '../harness/app.mjs';
import { startFirefox } from '../harness/firefox.mjs';
import { fetchWhole } from '../harness/http.mjs';
import { PATH, nginxArgs, nginxConfig } from '../harness/nginx.mjs';
import { ROOT, python } from '../harness/paths.mjs';
import { freePort, launch, tempFolder } from '../harness/process.mjs';
import { startEmulator, startServer } from '../harness/server.mjs';
import { Cleanup } from '../harness/story.mjs';
import { eventually } from '../harness/time.mjs';

const cleanup = new Cleanup();
after(() => cleanup.run());

const DOCUMENT = readFileSync(join(ROOT, 'docs/how-to/another-site.md'), 'utf8');

/** The fenced block whose first line names this file. */
function snippet(file) {
  const blocks = [...DOCUMENT.matchAll(/^```\w+\n(.*?)^```$/gms)].map(([, text]) => text);
  const found = blocks.find((text) => /^(#|\/\/) ([\w.-]+);/.exec(text)?.[2] === file);
  assert.ok(found, `docs/how-to/another-site.md has a block for ${file}`);
  return found;
}

let emulator, server, shop, ports, login;

before(async () => {
  emulator = cleanup.add(await startEmulator());
  ports = { login: await freePort(), shop: await freePort(), backend: await freePort() };
  login = `https://login.localhost:${ports.login}`;
  shop = `https://shop.localhost:${ports.shop}`;
  const client = (more) => `{ redirect_uris = ["${shop}/", "${shop}/back"], ${more} }`;
  const clients = [
    // Who agreed is remembered, so each browser has its own.
    ...Object.keys(BROWSERS).flatMap((browser) =>
      ['shop', 'asks'].map((id) => client(`id = "${id}-${browser}", name = "Лавка", secret = "${SECRET}"`)),
    ),
    client(`id = "quick", secret = "${SECRET}", consent = "never"`),
    client(`id = "page", auth = "none", consent = "never"`),
    client(`id = "loose", secret = "${SECRET}", consent = "never", pkce = "optional"`),
  ];
  server = cleanup.add(
    await startServer({
      upstream: [[emulator.url, 'binary']],
      publicUrl: login,
      settings: { OIDC_CLIENTS: `[${clients.join(', ')}]` },
    }),
  );
  cleanup.add(await startBackend(ports.backend));
  cleanup.add(await startNginx());
});

/** Both sites, each under a name of its own. */
async function startNginx() {
  const folder = tempFolder('nginx-sites');
  const { key, certificate: chain } = certificate();
  const site = (name, port, to) => `
    server {
        listen 127.0.0.1:${port} ssl;
        http2 on;
        server_name ${name}.localhost;
        ssl_certificate ${chain};
        ssl_certificate_key ${key};
        location / {
            proxy_pass http://127.0.0.1:${to};
            proxy_http_version 1.1;
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-Proto https;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_upgrade;
        }
    }`;
  const http = `map $http_upgrade $connection_upgrade { default upgrade; '' close; }
    ${site('login', ports.login, server.port)}${site('shop', ports.shop, ports.backend)}`;
  const file = join(folder, 'nginx.conf');
  writeFileSync(file, nginxConfig({ folder, http }).replace(/http2 on;/g, ''));
  return launch('nginx', 'nginx', nginxArgs({ folder, file }), {
    env: { PATH },
    ready: () =>
      eventually(async () => (await fetchWhole(`https://127.0.0.1:${ports.shop}/`, { ms: 1000 })).status > 0, 'nginx'),
  });
}

/** The other site: pages with a button as `?attributes` says, and a backend that keeps sessions of its own. */
async function startBackend(port) {
  const folder = tempFolder('shop');
  writeFileSync(join(folder, 'redeem.mjs'), snippet('redeem.mjs'));
  Object.assign(process.env, { MAX_AUTH_BASE: server.direct, MAX_AUTH_CLIENT: 'quick', MAX_AUTH_SECRET: SECRET });
  const { redeem } = await import(pathToFileURL(join(folder, 'redeem.mjs')).href);
  const sessions = new Map();
  const http = createServer(async (request, response) => {
    const url = new URL(request.url, shop);
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const session = sessions.get(/session=(\w+)/.exec(request.headers.cookie ?? '')?.[1]);
    if (url.pathname === '/max-auth/redeem') {
      const person = await redeem(JSON.parse(Buffer.concat(chunks)));
      if (!person) return response.writeHead(401).end('{}');
      const id = randomBytes(16).toString('hex');
      sessions.set(id, person);
      response.setHeader('set-cookie', `session=${id}; Path=/; Secure; HttpOnly; SameSite=Lax`);
      return response.end(JSON.stringify({ name: person.name }));
    }
    if (url.pathname === '/me') return response.writeHead(session ? 200 : 401).end(JSON.stringify(session ?? {}));
    if (url.pathname !== '/') return response.writeHead(404).end();
    if (url.searchParams.get('coop')) response.setHeader('cross-origin-opener-policy', 'same-origin');
    const attributes = url.searchParams.get('attributes') ?? 'client-id="quick"';
    response.setHeader(
      'content-security-policy',
      `default-src 'none'; script-src 'unsafe-inline' ${login}; style-src 'unsafe-inline'; connect-src 'self' ${login}; img-src data:`,
    );
    response.setHeader('content-type', 'text/html; charset=utf-8');
    response.end(`<!doctype html><html lang="ru"><meta charset="utf-8"><link rel="icon" href="data:,"><title>A shop</title>
      <script>window.told = []; for (const name of ['success', 'error', 'close'])
        addEventListener('max-auth-' + name, ({ detail }) => told.push({ name, detail, at: location.href }));</script>
      <script type="module" src="${login}/api/auth/max/widget.js"></script>
      <h1>A shop</h1><max-auth-button ${attributes}>a link</max-auth-button></html>`);
  });
  await new Promise((resolve) => http.listen(port, '127.0.0.1', resolve));
  return { stop: () => new Promise((resolve) => (http.closeAllConnections(), http.close(resolve))) };
}

/** What a visitor does, by the words that both drivers share. `press` is theirs: it must count as a click of a person. */
const visitor = ({ newPage, pages, press, forget, stop, picture = () => {} }) => ({
  async open(url) {
    const page = await newPage();
    const console = [];
    page.on('console', (message) => console.push(message.text()));
    await page.goto(url);
    return {
      console,
      read: (script) => page.evaluate(script),
      press: () => press(page),
      async window() {
        const ours = async () => (await pages()).find((each) => each !== page && each.url().startsWith(login));
        const popup = await eventually(ours, 'a window');
        return {
          popup,
          text: () => popup.evaluate('document.body.innerText'),
          has: (selector) => popup.waitForSelector(selector),
          click: (selector) => popup.click(selector),
          isOpen: async () => (await pages()).includes(popup),
          close: () => popup.close(),
          picture: (name) => picture(popup, name),
        };
      },
      close: () => page.close(),
    };
  },
  forget,
  stop,
});

/** Each blocks the cookies of other sites. */
const BROWSERS = {
  async Chromium() {
    const context = await chromium.launchPersistentContext(tempFolder('chromium'), {
      executablePath: CHROMIUM,
      args: [...CHROMIUM_ARGS, '--ignore-certificate-errors', '--test-third-party-cookie-phaseout'],
      ignoreHTTPSErrors: true,
      locale: 'ru-RU',
      viewport: { width: 900, height: 700 },
    });
    return visitor({
      newPage: () => context.newPage(),
      pages: () => context.pages(),
      press: (page) => page.locator('max-auth-button').locator('button').click(),
      forget: () => context.clearCookies(),
      stop: () => context.close(),
      picture: screenshot,
    });
  },
  async Firefox() {
    // 1: no cookie of another site, whatsoever.
    const { browser, stop } = await startFirefox({ preferences: { 'network.cookie.cookieBehavior': 1 } });
    return visitor({
      newPage: () => browser.newPage(),
      pages: () => browser.pages(),
      async press(page) {
        await page.waitForFunction(() => document.querySelector('max-auth-button').shadowRoot);
        const { x, y } = await page.evaluate(() => {
          const { left, top, width, height } = document.querySelector('max-auth-button').getBoundingClientRect();
          return { x: left + width / 2, y: top + height / 2 };
        });
        await page.mouse.click(x, y);
      },
      async forget() {
        for (const cookie of await browser.cookies()) await browser.deleteCookie(cookie);
      },
      stop,
    });
  },
};

const address = (attributes, more = {}) => `${shop}/?${new URLSearchParams({ attributes, ...more })}`;
/** Scans the code of this window, which is not the only one. */
async function approve({ popup }) {
  const link = await popup.evaluate(() => document.querySelector('a[href^="https://max.ru/"]').href);
  await emulator.approve(link.split('/').at(-1));
}

const told = (at, count = 1) =>
  eventually(
    async () => {
      const told = await at.read('window.told').catch(() => null);
      return told?.length >= count && told;
    },
    'the page is told',
    15_000,
  );

for (const [name, start] of Object.entries(BROWSERS)) {
  describe(name, { timeout: 240_000 }, () => {
    let browser;
    before(async () => (browser = cleanup.add(await start())));

    test('a window signs in, the page stays where it is and the backend knows who it is', async () => {
      const at = await browser.open(address('client-id="quick" redeem="/max-auth/redeem" redirect="false"'));
      assert.equal(await at.read('fetch("/me").then(({ status }) => status)'), 401);
      await at.press();
      const window = await at.window();
      await window.has('.code img');
      assert.match(await window.text(), /shop\.localhost|quick/);
      await approve(window);
      const [{ name: event, detail, at: where }] = await told(at);
      assert.equal(event, 'success', JSON.stringify(detail));
      assert.equal(new URL(where).pathname, '/');
      assert.ok(detail.session.name && detail.code && detail.codeVerifier && detail.iss === login, detail);
      const me = await at.read('fetch("/me").then(async (answer) => [answer.status, await answer.json()])');
      assert.equal(me[0], 200);
      assert.ok(me[1].sub && me[1].id_token.split('.').length === 3 && me[1].sid && me[1].auth_time);
      await eventually(async () => !(await window.isOpen()), 'the window closes');
      assert.deepEqual(
        at.console.filter((text) => /max-auth/.test(text)),
        [],
      );
      await at.close();
    });

    test('who is known there needs no second scan, and is asked whether the site may know', async () => {
      const at = await browser.open(address(`client-id="shop-${name}"`));
      await at.press();
      const window = await at.window();
      await window.has('button[value=yes]');
      assert.match(await window.text(), /Лавка/);
      await window.picture('another-site-ask');
      await window.click('button[value=yes]');
      const [{ name: event, detail }] = await told(at);
      assert.deepEqual([event, Boolean(detail.session)], ['success', false]);
      // The site redeems it as a form, with its secret in the body.
      const fields = { client_id: `shop-${name}`, client_secret: SECRET, code: detail.code };
      const redeem = (fields) =>
        fetchWhole(`${server.direct}/redeem`, {
          method: 'POST',
          headers: { 'content-type': 'application/x-www-form-urlencoded' },
          body: new URLSearchParams(fields).toString(),
        });
      const stolen = await redeem({ ...fields, code_verifier: 'x'.repeat(43) });
      assert.deepEqual([stolen.status, stolen.json.code], [400, 'grant-invalid']);
      const nobody = await redeem({ ...fields, client_secret: 'no', code_verifier: detail.codeVerifier });
      assert.deepEqual([nobody.status, nobody.json.code], [401, 'client-refused']);
      const person = await redeem({ ...fields, code_verifier: detail.codeVerifier });
      assert.equal(person.status, 200, person.text);
      assert.ok(person.json.sub && person.json.name);
      const again = await redeem({ ...fields, code_verifier: detail.codeVerifier });
      assert.deepEqual([again.status, again.json.code], [400, 'grant-invalid']);
      await at.close();
    });

    test('a page without a backend redeems its code itself', async () => {
      const at = await browser.open(address('client-id="page" scope="openid"'));
      await at.press();
      const [{ name: event, detail }] = await told(at);
      assert.equal(event, 'success', JSON.stringify(detail));
      const body = { client_id: 'page', code: detail.code, code_verifier: detail.codeVerifier };
      const script = `fetch('${login}/api/auth/max/redeem', { method: 'POST', headers: { 'content-type': 'application/json' },
        body: ${JSON.stringify(JSON.stringify(body))} }).then((answer) => answer.json())`;
      const person = await at.read(script);
      assert.ok(person.sub && person.id_token && !person.name, JSON.stringify(person));
      await at.close();
    });

    test('without a window the visitor leaves and comes back signed in, to a clean address', async () => {
      const attributes = 'client-id="quick" mode="redirect" redeem="/max-auth/redeem" return-to="/?signed=in"';
      const back = `${shop}/?${new URLSearchParams({ attributes })}`;
      const at = await browser.open(back);
      await at.press();
      // "/" of the shop has another button of the same client, which finishes what this one began.
      await eventually(async () => (await at.read('location.href').catch(() => '')).includes('code') === false, 'back');
      const [{ name: event, detail, at: where }] = await told(at);
      assert.equal(event, 'success', JSON.stringify(detail));
      assert.deepEqual([new URL(where).pathname, new URL(where).search], ['/', '']);
      assert.equal(await at.read('history.length > 1'), true);
      await at.close();
    });

    test('who closes the window, or does not agree, is told of and may try again', async () => {
      const at = await browser.open(address(`client-id="asks-${name}"`));
      await at.press();
      let window = await at.window();
      await window.has('button[value=no]');
      await window.click('button[value=no]');
      const [{ name: event, detail }] = await told(at);
      assert.deepEqual([event, detail.code], ['error', 'declined']);
      await at.press();
      window = await at.window();
      await window.has('button[value=no]');
      await window.close();
      assert.equal((await told(at, 2))[1].name, 'close');
      const said = at.console.filter((text) => /max-auth:/.test(text));
      assert.deepEqual(said, [], 'nothing is wrong with the page');
      await at.close();
    });

    test('only the window of the server is believed, and only by who began', async () => {
      await browser.forget();
      const at = await browser.open(address('client-id="quick"'));
      await at.press();
      const window = await at.window();
      await window.has('.code img');
      const forged = { type: 'authorization_response', response: { code: 'x', state: 'y', iss: login } };
      await at.read(`postMessage(${JSON.stringify(forged)}, '*')`);
      // The right window with another state.
      await window.popup.evaluate(`opener.postMessage(${JSON.stringify(forged)}, '${shop}')`);
      await new Promise((resolve) => setTimeout(resolve, 300));
      assert.deepEqual(await at.read('window.told'), []);
      await approve(window);
      const [{ name: event }] = await told(at);
      assert.equal(event, 'success');
      await at.close();
    });

    test('a stranger that opens the same window hears nothing of who is signed in there', async () => {
      const query = new URLSearchParams({
        response_type: 'code',
        response_mode: 'web_message',
        client_id: 'quick',
        redirect_uri: `${shop}/`,
        scope: 'openid profile',
        state: 's',
        code_challenge: createHash('sha256').update('v').digest('base64url'),
        code_challenge_method: 'S256',
      });
      const at = await browser.open(`http://127.0.0.1:${ports.backend}/?attributes=hidden`);
      await at.read(`(() => {
        window.heard = [];
        addEventListener('message', ({ data }) => heard.push(data));
        window.opened = open('${login}/oauth2/authorize?${query}');
      })()`);
      await eventually(() => at.read('window.opened.closed'), 'the window has told, and closed');
      await new Promise((resolve) => setTimeout(resolve, 500));
      assert.deepEqual(await at.read('window.heard'), []);
      await at.close();
    });

    test('what is set up wrongly is said in the console', async () => {
      const parted = await browser.open(address('client-id="quick"', { coop: '1' }));
      await parted.press();
      await told(parted);
      const hinted = /max-auth: this page sends Cross-Origin-Opener-Policy: same-origin/;
      await eventually(async () => hinted.test(parted.console.join('\n')), 'a hint');
      const alone = await parted.window();
      await alone.has('#alone a');
      assert.match(await alone.text(), /больше не ждёт/);
      await alone.picture('another-site-alone');
      await alone.close();
      await parted.close();

      const wrong = await browser.open(address('client-id="quick" redeem="/nowhere-at-all"'));
      await wrong.press();
      assert.equal((await told(wrong))[0].name, 'error');
      assert.match(wrong.console.join('\n'), /max-auth: .*\/nowhere-at-all, which redeems the code/);
      await wrong.close();

      const foreign = await browser.open(address('client-id="quick" redirect-uri="/other"'));
      await foreign.press();
      const window = await foreign.window();
      assert.match(await window.text(), /redirect_uri is not registered/);
      await window.close();
      await foreign.close();

      const forgotten = await browser.open(address('redirect="false"'));
      await forgotten.press();
      await eventually(async () => /max-auth: .*client-id/.test(forgotten.console.join('\n')), 'a hint', 15_000);
      await forgotten.close();
    });
  });
}

test('the snippet in Python does the same', async () => {
  const folder = tempFolder('shop-python');
  writeFileSync(join(folder, 'redeem.py'), snippet('redeem.py'));
  const env = { ...process.env, MAX_AUTH_BASE: server.direct, MAX_AUTH_CLIENT: 'quick', MAX_AUTH_SECRET: SECRET };
  const { execFileSync } = await import('node:child_process');
  const ask = 'import redeem; print(redeem.redeem({"code": "none", "code_verifier": "' + 'x'.repeat(43) + '"}))';
  assert.equal(execFileSync(python('.venv'), ['-c', ask], { cwd: folder, env, encoding: 'utf8' }).trim(), 'None');
});
