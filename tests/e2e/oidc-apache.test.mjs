// One Apache in front of everything: it passes max-auth on, and mod_auth_openidc guards its pages. Chromium is the visitor.

import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { screenshot, startBrowser } from '../harness/browser.mjs';
import { certificate } from '../harness/certificate.mjs';
import { fetchWhole } from '../harness/http.mjs';
import { PATH } from '../harness/nginx.mjs';
import { freePort, launch, tempFolder } from '../harness/process.mjs';
import { BASE_PATH, startEmulator, startServer } from '../harness/server.mjs';
import { Cleanup, scan } from '../harness/story.mjs';
import { eventually } from '../harness/time.mjs';

const SECRET = 'a secret of thirty-two characters';

const cleanup = new Cleanup();
after(() => cleanup.run());

let emulator, server, browser, site;
before(async () => {
  emulator = cleanup.add(await startEmulator());
  browser = cleanup.add(await startBrowser());
  const port = await freePort();
  site = `https://localhost:${port}`;
  const client = `{ id = "pages", name = "Страницы", preset = "mod_auth_openidc", secret = "${SECRET}", subject = "public",
    redirect_uris = ["${site}/pages/callback"], post_logout_redirect_uris = ["${site}/bye.html"] }`;
  server = cleanup.add(
    await startServer({
      upstream: [[emulator.url, 'binary']],
      publicUrl: site,
      settings: { OIDC_CLIENTS: `[${client}]`, GROUPS_EDITORS: '["max:401041669"]' },
    }),
  );
  cleanup.add(await startApache(port));
});

const MODULES = [
  'mpm_event',
  'authn_core',
  'authz_core',
  'authz_user',
  'auth_openidc',
  'include',
  'mime',
  'proxy',
  'proxy_http',
  'ssl',
];

const page = (title) => `<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,">
<h1>${title}</h1>
<p>user <!--#echo var="REMOTE_USER" --></p>
<p>name <!--#echo var="OIDC_CLAIM_name" --></p>
<p>query <!--#echo var="QUERY_STRING" --></p>`;

async function startApache(port) {
  const folder = tempFolder('apache');
  chmodSync(folder, 0o755);
  for (const part of ['pages', 'pages/edit', 'pages/admin']) {
    mkdirSync(join(folder, 'www', part), { recursive: true });
    writeFileSync(join(folder, 'www', part, 'index.html'), page(part));
  }
  writeFileSync(join(folder, 'www', 'bye.html'), page('bye'));
  const { key, certificate: chain } = certificate();
  const proxied = (path, more = '') => `ProxyPass "${path}" "http://127.0.0.1:${server.port}${path}" ${more}`;
  const file = join(folder, 'apache.conf');
  writeFileSync(
    file,
    `
ServerRoot ${folder}
DefaultRuntimeDir ${folder}
PidFile ${folder}/apache.pid
ErrorLog ${folder}/error.log
LogLevel warn
ServerName localhost
${MODULES.map((each) => `LoadModule ${each}_module /usr/lib/apache2/modules/mod_${each}.so`).join('\n')}
${process.getuid() === 0 ? 'User www-data\nGroup www-data' : ''}
TypesConfig /etc/mime.types
DocumentRoot ${folder}/www
Listen 127.0.0.1:${port}
<VirtualHost 127.0.0.1:${port}>
  SSLEngine on
  SSLCertificateFile ${chain}
  SSLCertificateKeyFile ${key}

  ProxyPreserveHost On
  ${proxied(BASE_PATH, 'upgrade=websocket timeout=3600')}
  ${proxied('/oauth2/')}
  ${proxied('/.well-known/openid-configuration')}

  OIDCProviderMetadataURL ${site}/.well-known/openid-configuration
  OIDCCABundlePath ${chain}
  OIDCClientID pages
  OIDCClientSecret "${SECRET}"
  OIDCRedirectURI ${site}/pages/callback
  OIDCCryptoPassphrase "of this Apache's cookies"
  OIDCPKCEMethod S256
  OIDCScope "openid profile groups"
  OIDCRemoteUserClaim preferred_username
  <Directory ${folder}/www>
    SetOutputFilter INCLUDES
    Options Includes
  </Directory>
  <Location /pages>
    AuthType openid-connect
    Require valid-user
    AuthzSendForbiddenOnFailure On
  </Location>
  <Location /pages/edit>
    Require claim groups:editors
  </Location>
  <Location /pages/admin>
    Require claim groups:admins
  </Location>
</VirtualHost>
`,
  );
  return launch('apache2', 'apache2', ['-X', '-f', file], {
    env: { PATH },
    ready: () => eventually(async () => (await fetchWhole(`${site}/bye.html`)).status === 200, 'apache to answer'),
  });
}

const visit = async () => await cleanup.add(await browser.profile()).page();

/** Somebody at a page of the site who has just signed in for it. */
async function signedIn(address) {
  const page = await visit();
  await page.goto(address);
  await page.getByText('Страницы').waitFor();
  await scan(emulator);
  await page.waitForURL(address);
  return page;
}

const statusOf = async (page, address) => (await page.goto(address)).status();

describe('mod_auth_openidc', () => {
  test('a guarded page opens where it was asked for, and knows who came', async () => {
    const query = 'topic=%D0%BA%D0%BE%D1%82&path=a%2Fb&plus=a+b&empty=&amp;&list=1&list=2';
    const page = await signedIn(`${site}/pages/index.html?${query}`);
    await screenshot(page, 'oidc-apache');
    const who = await page.evaluate(async (base) => (await fetch(`${base}/session`)).json(), server.base);
    assert.equal(who.sub, '401041669');
    await page.getByText('user max401041669', { exact: true }).waitFor();
    await page.getByText(`name ${who.name}`, { exact: true }).waitFor();
    await page.getByText(`query ${query}`, { exact: true }).waitFor();
  });

  test('a group opens one part and not another', async () => {
    const page = await signedIn(`${site}/pages/edit/index.html`);
    assert.equal(await statusOf(page, `${site}/pages/admin/index.html`), 403);
    assert.equal(await statusOf(page, `${site}/pages/edit/index.html`), 200);
  });

  test('signing out ends the session there and here', async () => {
    const page = await signedIn(`${site}/pages/index.html`);
    await page.goto(`${site}/pages/callback?logout=${encodeURIComponent(`${site}/bye.html`)}`);
    await page.waitForURL(`${site}/bye.html`);
    const status = await page.evaluate(async (base) => (await fetch(`${base}/session`)).status, server.base);
    assert.equal(status, 401);
    await page.goto(`${site}/pages/index.html`);
    await page.getByText('Страницы').waitFor();
    await page.locator('.code img').waitFor();
  });
});
