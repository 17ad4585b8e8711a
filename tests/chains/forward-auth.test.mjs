// `max-auth setup TARGET --protect`, started as printed: only who is signed in gets to the application, and it learns who that
// is from the proxy alone. Around the text is only what its first lines say that the file is put into.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { after, before, describe, test } from 'node:test';
import { startBrowser } from '../harness/browser.mjs';
import { CHROMIUM } from '../harness/chromium.mjs';
import { fetchWhole } from '../harness/http.mjs';
import { Jar } from '../harness/jar.mjs';
import { nginxConfig } from '../harness/nginx.mjs';
import { BINARY } from '../harness/paths.mjs';
import { run } from '../harness/process.mjs';
import { BASE_PATH, startServer } from '../harness/server.mjs';
import { untilCode } from '../harness/story.mjs';
import { eventually } from '../harness/time.mjs';
import { Visitor } from '../harness/visitor.mjs';
import { missing, startChain, startMax } from './setup.mjs';

const FAST = process.env.FAST === '1';

/** What is asked for: a query that changes when somebody encodes it once more or once less. */
const PAGE = '/deep/page?x=1&y=%20z&to=/other&u=%D0%B9%26';
const NAVIGATE = { accept: 'text/html,*/*;q=0.8', 'sec-fetch-mode': 'navigate' };
const SCRIPT = { accept: '*/*', 'sec-fetch-mode': 'cors' };

/** The application behind the proxies: it answers what it received. */
async function startApplication() {
  const server = createServer((request, response) => {
    application.asked += 1;
    const { method, url, headers } = request;
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify({ method, url, headers }));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const application = { asked: 0, port: server.address().port };
  application.stop = () => {
    server.closeAllConnections();
    server.close();
  };
  return application;
}

let application, max;
before(async () => {
  application = await startApplication();
  max = await startMax();
});
after(async () => {
  application?.stop();
  await max?.stop();
});

const printed = (target, domain, { listen, next, certificate }, tls, site = application.port) =>
  execFileSync(
    BINARY,
    [
      ...['setup', target, '--domain', domain, ...(site === next ? [] : ['--protect'])],
      ...['--listen', tls && target === 'caddy' ? String(listen) : `127.0.0.1:${listen}`],
      ...['--upstream', `127.0.0.1:${next}`, '--site', `127.0.0.1:${site}`],
      ...(tls ? ['--certificate', certificate.certificate, '--key', certificate.key] : []),
      ...(tls || target === 'nginx-inner' ? [] : ['--plain']),
    ],
    { encoding: 'utf8' },
  );

// Two names of this machine, as different to a browser as any two hosts. nginx and Envoy pass every name on; Caddy gets a
// block for each, Traefik a rule with both.
const [SITE, OTHER] = ['127.0.0.1', 'localhost'];
const nginx = (target) => (place, tls) => nginxConfig({ folder: '%FOLDER%', http: printed(target, SITE, place, tls) });
const caddy = (place, tls) =>
  `{\n\tadmin off\n\tauto_https off\n}\n${[SITE, OTHER].map((domain) => printed('caddy', domain, place, tls)).join('\n')}`;
const both = `(Host(\`${SITE}\`) || Host(\`${OTHER}\`))`;
const traefik = (place, tls) => printed('traefik', SITE, place, tls).replaceAll(`Host(\`${SITE}\`)`, both);
const envoy = (place, tls) => printed('envoy', SITE, place, tls);

const chain = (name, product, config, { tls = false, fast = false } = {}) => ({
  name,
  tls,
  fast,
  tiers: [{ product, config: (place) => config(place, tls) }],
});
const CHAINS = [
  chain('nginx', 'nginx 1.22', nginx('nginx'), { fast: true }),
  chain('nginx, TLS', 'nginx 1.22', nginx('nginx'), { tls: true }),
  chain('nginx current', 'nginx current', nginx('nginx')),
  {
    name: 'nginx-outer and nginx-inner, TLS',
    tls: true,
    tiers: [
      {
        product: 'nginx 1.22',
        config: (place) =>
          nginxConfig({ folder: '%FOLDER%', http: printed('nginx-outer', SITE, place, true, place.next) }),
      },
      { product: 'nginx 1.22', config: (place) => nginx('nginx-inner')(place, false) },
    ],
  },
  // Angie is not here; it reads nginx's files.
  chain('angie, by nginx', 'nginx current', nginx('angie')),
  chain('caddy 2.6', 'caddy 2.6', caddy),
  chain('caddy 2.6, TLS', 'caddy 2.6', caddy, { tls: true }),
  chain('caddy', 'caddy current', caddy, { fast: true }),
  chain('caddy, TLS', 'caddy current', caddy, { tls: true }),
  chain('traefik', 'traefik', traefik, { fast: true }),
  chain('traefik, TLS', 'traefik', traefik, { tls: true }),
  chain('envoy', 'envoy', envoy, { fast: true }),
  chain('envoy, TLS', 'envoy', envoy, { tls: true }),
];

/** Somebody's browser: a cookie jar for each host, and redirects are followed. */
class Browser {
  #jars = new Map();

  constructor({ tls }) {
    this.version = tls ? 2 : 1;
  }

  jar(url) {
    const { host } = new URL(url);
    if (!this.#jars.has(host)) this.#jars.set(host, new Jar());
    return this.#jars.get(host);
  }

  async ask(url, { headers = {}, ...options } = {}) {
    const jar = this.jar(url);
    const answer = await fetchWhole(url, {
      version: this.version,
      headers: { ...headers, ...(jar.header ? { cookie: jar.header } : {}) },
      ...options,
    });
    jar.take(answer.headers['set-cookie']);
    return answer;
  }

  /** Where a person ends up: the answer, with `url` and `way`, which has every address on the way there. */
  async open(url) {
    for (const way = [url]; way.length < 9;) {
      const answer = await this.ask(way.at(-1), { headers: NAVIGATE });
      if (!answer.headers.location) return Object.assign(answer, { url: way.at(-1), way });
      assert.equal(answer.status, 303, answer.text);
      way.push(new URL(answer.headers.location, way.at(-1)).href);
    }
    throw new Error(`${url} leads in circles`);
  }

  /** On the page for signing in, with the phone at hand; goes on where it leads. */
  async signIn(page) {
    const { origin, pathname, searchParams } = new URL(page);
    assert.equal(pathname, `${BASE_PATH}/login`, page);
    const visitor = new Visitor(origin + BASE_PATH, { jar: this.jar(page) });
    const stream = await visitor.startSse({ returnTo: searchParams.get('return_to') });
    await max.approve((await untilCode(stream)).track);
    const success = await stream.outcome();
    assert.equal(success.event, 'success', JSON.stringify(success));
    const callback = await visitor.callback(success.data.token);
    assert.equal(callback.status, 303, callback.text);
    return this.open(new URL(callback.headers.location, page).href);
  }
}

/** What `max-auth doctor --forward-auth` says of a page: exit code, findings as `code layer`, lines. */
async function doctor(url) {
  const { code, stdout } = await run(BINARY, ['doctor', '--forward-auth', url, '--json', '--insecure']);
  const { forwardAuth } = JSON.parse(stdout);
  return { ...forwardAuth, code, found: forwardAuth.findings.map(({ code, layer }) => `${code} ${layer}`) };
}

const groups = { GROUPS_ADMINS: '["max:401041669"]' };
const settings = ({ origin }) => ({
  ...groups,
  SERVER_ALLOWED_ORIGINS: JSON.stringify([origin, origin.replace(SITE, OTHER)]),
});
/** What stands in each header that an application could believe; some read _ as -. */
const FORGED = Object.fromEntries(
  ['User', 'Name', 'Groups', 'Phone', 'Token'].flatMap((name) =>
    [`X-Auth-${name}`, `X_Auth_${name}`, `X-Auth_${name}`, `X_Auth-${name}`].map((each) => [each, 'forged']),
  ),
);

for (const each of CHAINS.filter(({ fast }) => fast || !FAST)) {
  describe(each.name, { skip: missing(each).length > 0 && `${missing(each)} is not here`, timeout: 90_000 }, () => {
    let site, other, running, refusing;
    before(async () => {
      running = await startChain(each, max, { settings });
      site = running.origin;
      other = site.replace(SITE, OTHER);
    });
    after(async () => {
      await refusing?.stop();
      await running?.stop();
    });

    /** A browser that has signed in on its way to the page. */
    async function signedIn() {
      const browser = new Browser(each);
      const there = await browser.signIn((await browser.open(site + PAGE)).url);
      return { browser, there };
    }

    test('a page leads to the sign-in and back, its query as it was', async () => {
      const browser = new Browser(each);
      const asked = application.asked;
      const page = await browser.open(site + PAGE);
      assert.match(page.way[1], new RegExp(`^${site}${BASE_PATH}/enter\\?to=`));
      assert.equal(page.status, 200);
      assert.match(page.text, /<form method="post" action="login">/, 'the page for signing in');
      assert.equal(application.asked, asked, 'the application was not asked');
      const there = await browser.signIn(page.url);
      assert.deepEqual([there.url, there.status], [site + PAGE, 200], there.text);
      assert.equal(there.json.url, PAGE, 'and so the application sees it');
    });

    test('the application learns who it is from the proxy, and nothing from the visitor', async () => {
      const { browser } = await signedIn();
      for (const method of ['GET', 'POST']) {
        const { json } = await browser.ask(site + PAGE, { method, headers: { ...NAVIGATE, ...FORGED } });
        assert.equal(json.method, method);
        assert.equal(json.headers['x-auth-user'], '401041669');
        assert.equal(json.headers['x-auth-name'], encodeURIComponent('Иван Петров'));
        assert.equal(json.headers['x-auth-groups'], 'admins');
        assert.doesNotMatch(JSON.stringify(json.headers), /forged/);
      }
    });

    test('the doctor finds nothing wrong, and nobody is led into the application by it', async () => {
      const asked = application.asked;
      const { code, found, seen } = await doctor(site + PAGE);
      assert.deepEqual([code, found], [0, []], seen.join('\n'));
      assert.ok(
        seen.some((line) => line.startsWith(`/verify was asked for ${site}`)),
        seen.join('\n'),
      );
      assert.equal(application.asked, asked, 'the application was not asked');
    });

    test('what cannot be led to a sign-in is told 401', async () => {
      const browser = new Browser(each);
      const asked = application.asked;
      for (const [method, headers] of [
        ['GET', SCRIPT],
        ['GET', { ...NAVIGATE, 'sec-fetch-mode': 'cors' }],
        ['POST', SCRIPT],
        ['POST', NAVIGATE],
        ['GET', { ...SCRIPT, ...FORGED }],
      ]) {
        const answer = await browser.ask(site + PAGE, { method, headers });
        assert.deepEqual([answer.status, answer.headers.location], [401, undefined], `${method} ${headers.accept}`);
      }
      assert.equal(application.asked, asked, 'the application was not asked');
    });

    test('one sign-in is enough for another host', async () => {
      const { browser } = await signedIn();
      const there = await browser.open(other + PAGE);
      assert.deepEqual([there.url, there.status], [other + PAGE, 200], there.way.join('\n'));
      assert.equal(there.json.headers['x-auth-user'], '401041669');
      assert.deepEqual(
        there.way.map((url) => url.replace(/=.*/, '')).slice(1, -1),
        [`${other}${BASE_PATH}/enter?to`, `${site}${BASE_PATH}/enter?request`, `${other}${BASE_PATH}/enter?token`],
        'over the site and back',
      );
      // The other way round: who comes to the other host first signs in on the site.
      const newcomer = new Browser(each);
      const arrived = await newcomer.signIn((await newcomer.open(other + PAGE)).url);
      assert.deepEqual([arrived.url, arrived.status], [other + PAGE, 200], arrived.way.join('\n'));
    });

    test('after the sign-out the page leads to the sign-in again, on both hosts', async () => {
      const { browser } = await signedIn();
      await browser.open(other + PAGE);
      const asked = application.asked;
      const out = await browser.ask(`${site}${BASE_PATH}/logout`, { method: 'POST', headers: { origin: site } });
      assert.equal(out.status, 204, out.text);
      for (const host of [site, other]) {
        assert.equal(new URL((await browser.open(host + PAGE)).url).pathname, `${BASE_PATH}/login`);
      }
      assert.equal(application.asked, asked, 'the application was not asked');
    });

    if (each === CHAINS[0]) {
      test('in Chromium', { skip: !CHROMIUM && 'no Chromium here' }, async () => {
        const browser = await startBrowser();
        try {
          const { context, complaints } = await browser.profile();
          const page = await context.newPage();
          await page.goto(site + PAGE);
          await page.locator('.code img').first().waitFor();
          const code = await eventually(async () => (await max.codes())[0], 'a code to scan');
          await max.approve(code.track);
          await page.waitForURL(site + PAGE);
          const seen = async () => JSON.parse(await page.locator('body').innerText());
          assert.equal((await seen()).url, PAGE);
          await page.goto(other + PAGE);
          assert.equal(page.url(), other + PAGE);
          assert.equal((await seen()).headers['x-auth-user'], '401041669');
          assert.equal(await page.evaluate(async () => (await fetch('/data')).status), 200);
          await context.clearCookies();
          assert.equal(await page.evaluate(async () => (await fetch('/data')).status), 401);
          // The answers that were asked for just now.
          const unexpected = complaints.filter((text) => !/status of 401 .*\/data\)/.test(text));
          assert.deepEqual(unexpected, []);
        } finally {
          await browser.stop();
        }
      });
    }

    // The last one: the list was changed since somebody signed in.
    test('who is not in session.allow reads so, and the application is not asked', async () => {
      const { browser } = await signedIn();
      const { port, state } = running.server;
      await running.server.stop();
      refusing = await startServer({
        upstream: [[max.url, 'json']],
        publicUrl: site,
        ...{ port, state },
        settings: { ...settings({ origin: site }), SESSION_ALLOW: '["max:1"]' },
      });
      const asked = application.asked;
      const page = await browser.open(site + PAGE);
      assert.equal(page.status, 403, page.way.join('\n'));
      assert.match(page.headers['content-type'], /^text\/html/);
      assert.match(page.text, /Иван Петров|401041669|доступ/i);
      const script = await browser.ask(site + PAGE, { headers: SCRIPT });
      assert.deepEqual([script.status, script.headers.location], [403, undefined]);
      assert.equal(application.asked, asked, 'the application was not asked');
    });
  });
}

// The same files, each spoilt in one place: the doctor names what is wrong, by whom it is, and a line that mends it.
const cut =
  (...lines) =>
  (text) =>
    lines.reduce((now, line) => {
      assert.match(now, line, 'what is taken out was there');
      return now.replace(line, '');
    }, text);
const put = (from, to) => (text) => {
  assert.ok(text.includes(from), `${from} was there`);
  return text.replaceAll(from, to);
};
const SPOILT = [
  ['nginx', 'open', cut(/auth_request \/.max-auth;.*/), 2, ['page-not-protected nginx'], 'auth_request /.max-auth;'],
  ['nginx', 'no query', put('to=$request_uri', 'to=$uri'), 1, ['way-back-path-lost nginx'], /to=\$request_uri;/],
  [
    'nginx',
    'another port',
    put('$scheme://$http_host', '$scheme://$host'),
    1,
    ['way-back-host-wrong nginx'],
    /\$http_host/,
  ],
  ['nginx', 'not led', cut(/error_page 401 = @sign-in;.*/), 1, ['sign-in-not-led nginx'], 'error_page 401 = @sign-in;'],
  [
    'nginx',
    'names with _',
    put('server_name ', 'underscores_in_headers on; server_name '),
    2,
    ['forged-user-passed nginx'],
    'underscores_in_headers off;',
  ],
  [
    'nginx',
    'a cache that was told not to obey',
    (text) =>
      text.replace('http {', 'http { proxy_cache_path %FOLDER%/kept keys_zone=kept:1m;').replace(
        'internal;',
        `internal; proxy_cache kept; proxy_cache_key same; proxy_cache_valid any 1m;
         proxy_ignore_headers Cache-Control Expires Vary X-Accel-Expires X-Accel-Buffering Set-Cookie; proxy_buffering on;`,
      ),
    1,
    ['verify-cached nginx'],
    'proxy_cache off;',
  ],
  ['nginx', '/verify elsewhere', put('/verify;', '/nowhere;'), 1, ['verify-failed nginx'], null],
  ['caddy', 'open', cut(/forward_auth [^}]*\}/), 2, ['page-not-protected caddy'], /forward_auth/],
  [
    'caddy',
    'no strip',
    cut(/request_header -X-Auth-\*.*/),
    2,
    ['forged-user-passed caddy'],
    'request_header -X-Auth-*',
  ],
  // Since 2.11 Caddy drops names with _ by itself.
  [
    'caddy 2.6',
    'strip but _',
    cut(/request_header -X_Auth_\*.*/),
    2,
    ['forged-user-passed caddy'],
    'request_header -X_Auth_*',
  ],
  ['caddy', 'not led', put('?redirect=1', ''), 1, ['sign-in-not-led caddy'], /uri .*redirect=1/],
  [
    'caddy',
    'no query',
    put('copy_headers', 'header_up X-Forwarded-Uri {http.request.uri.path}\n copy_headers'),
    1,
    ['way-back-path-lost caddy'],
    /forward_auth/,
  ],
  [
    'traefik',
    'open',
    cut(/middlewares: \[signed-in\].*/),
    2,
    ['page-not-protected traefik'],
    'middlewares: [signed-in]',
  ],
  ['traefik', 'not led', put('?redirect=1', ''), 1, ['sign-in-not-led traefik'], /^address: .*redirect=1$/],
];

describe('a file that was spoilt is found out', { timeout: 180_000 }, () => {
  for (const [product, title, spoil, code, found, line] of SPOILT.filter(() => !FAST)) {
    const each = CHAINS.find(({ name }) => name === product);
    test(`${product}: ${title}`, { skip: missing(each).length > 0 && `${missing(each)} is not here` }, async () => {
      const running = await startChain(each, max, { settings, change: (_tier, text) => spoil(text) });
      try {
        const said = await doctor(running.origin + PAGE);
        assert.deepEqual([said.code, said.found], [code, found], JSON.stringify(said, null, 2));
        const [{ fix, evidence }] = said.findings;
        const fits = (one) => (line instanceof RegExp ? line.test(one) : one === line);
        assert.ok(line === null || fix.some(fits), `${line} in ${fix}`);
        assert.ok(evidence.length > 20);
      } finally {
        await running.stop();
      }
    });
  }

  test('a proxy that is not trusted, and a host that is not listed, are max-auth’s own', async () => {
    const each = CHAINS.find(({ name }) => name === 'caddy');
    if (missing(each).length > 0) return;
    for (const [more, found] of [
      [{ SERVER_TRUSTED_PROXIES: '[]' }, ['way-back-path-lost app']],
      [{ SERVER_ALLOWED_ORIGINS: '["https://else.example.ru"]' }, ['host-not-listed app']],
    ]) {
      const running = await startChain(each, max, { settings: (site) => ({ ...settings(site), ...more }) });
      try {
        const page = found[0].startsWith('host') ? running.origin.replace(SITE, OTHER) : running.origin;
        const said = await doctor(page + PAGE);
        assert.deepEqual(said.found, found, JSON.stringify(said, null, 2));
      } finally {
        await running.stop();
      }
    }
  });
});
