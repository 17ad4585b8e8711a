// docs/how-to/five-minutes.md, typed into a shell as it stands there, and Chromium for the person. Only the ports are other ones, and the
// app of the last step is one of ours that reads what Grafana would read.

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import * as openid from 'openid-client';
import { startBrowser } from '../harness/browser.mjs';
import { fetchWhole } from '../harness/http.mjs';
import { ROOT } from '../harness/paths.mjs';
import { freePort, tempFolder } from '../harness/process.mjs';
import { shellBlocks, startShell } from '../harness/shell.mjs';
import { Cleanup } from '../harness/story.mjs';
import { eventually } from '../harness/time.mjs';

const PAGE = readFileSync(join(ROOT, 'docs/how-to/five-minutes.md'), 'utf8');
const cleanup = new Cleanup();
after(() => cleanup.run());

/** `[section]` and `key = value`, as in grafana.ini. */
const valuesOf = (ini) =>
  Object.fromEntries([...ini.matchAll(/^(\w+) = (.*)$/gm)].map(([, key, value]) => [key, value]));

test('who follows the page has a protected page and an app that signs in', { timeout: 120_000 }, async () => {
  const ports = {};
  for (const port of [8791, 3001, 5000, 8080, 3000]) ports[port] = await freePort();
  const moved = (text) => text.replace(/(?<=[:"] ?|", )(8791|5000|8080|3000)\b/g, (port) => ports[port]);
  const [app, serve, proxy, oidc, end] = shellBlocks(PAGE).map(moved);
  assert.ok(end?.includes('nginx'), 'the page has its five blocks');
  const site = `http://localhost:${ports[8080]}`;
  const folder = tempFolder('five-minutes');
  const shell = cleanup.add(startShell(folder));

  await shell.type(app.replace('emulate', `emulate --poll-ms 50 --listen 127.0.0.1:${ports[8791]}`));
  const told = async () => (await fetchWhole(`http://127.0.0.1:${ports[5000]}/report`)).text;
  assert.match(await eventually(() => told().catch(() => null), 'the application'), /X-Auth-User: None/);
  const listen = (block) => block.replace('max-auth serve', `max-auth serve --listen 127.0.0.1:${ports[3001]}`);
  assert.match(await shell.type(listen(serve)), /the configuration is fine/);
  const up = async () => (await fetchWhole(`http://127.0.0.1:${ports[3001]}/api/auth/max/session`)).status === 401;
  await eventually(() => up().catch(() => false), 'max-auth');
  const upstream = ` --upstream 127.0.0.1:${ports[3001]} --site 127.0.0.1:${ports[5000]}`;
  const doctor = await shell.type(proxy.replace('--protect', `--protect${upstream}`));
  assert.match(doctor, /Only who is signed in gets to this page/);

  const browser = cleanup.add(await startBrowser());
  const page = await cleanup.add(await browser.profile()).page();
  await page.goto(`${site}/report?month=5`);
  await page.locator('.code img').waitFor();
  const phone = (path, options) => fetchWhole(`http://127.0.0.1:${ports[8791]}/phone/${path}`, options);
  const code = await eventually(async () => (await phone('codes')).json.codes[0], 'a code');
  await phone(`approve/${code.track}`, { method: 'POST' });
  await page.waitForURL(`${site}/report?month=5`);
  assert.equal((await page.locator('body').innerText()).trim(), '/report?month=5\nX-Auth-User: 401041669');

  assert.match(await shell.type(listen(oidc)), /the configuration is fine/);
  await eventually(() => up().catch(() => false), 'max-auth again');
  const grafana = valuesOf(readFileSync(join(folder, 'max-auth-try/grafana.ini'), 'utf8'));
  assert.equal(grafana.root_url, `http://localhost:${ports[3000]}`);
  const config = new openid.Configuration(
    {
      issuer: site,
      authorization_endpoint: grafana.auth_url,
      token_endpoint: grafana.token_url,
      userinfo_endpoint: grafana.api_url,
      jwks_uri: `${site}/oauth2/jwks`,
      authorization_response_iss_parameter_supported: true,
    },
    grafana.client_id,
    grafana.client_secret,
  );
  openid.allowInsecureRequests(config);
  const back = createServer((_request, response) => response.end('back'));
  await new Promise((resolve) => back.listen(ports[3000], '127.0.0.1', resolve));
  cleanup.add({ stop: () => new Promise((resolve) => (back.closeAllConnections(), back.close(resolve))) });
  const [pkceCodeVerifier, expectedState] = [openid.randomPKCECodeVerifier(), openid.randomState()];
  const asked = openid.buildAuthorizationUrl(config, {
    redirect_uri: `${grafana.root_url}/login/generic_oauth`,
    scope: grafana.scopes,
    state: expectedState,
    code_challenge: await openid.calculatePKCECodeChallenge(pkceCodeVerifier),
    code_challenge_method: grafana.use_pkce === 'true' ? 'S256' : 'plain',
  });
  await page.goto(asked.href);
  await page.locator('button[value=yes]').click();
  await page.waitForURL((to) => to.href.startsWith(`${grafana.root_url}/login/generic_oauth?`));
  const tokens = await openid.authorizationCodeGrant(config, new URL(page.url()), { pkceCodeVerifier, expectedState });
  const who = await openid.fetchUserInfo(config, tokens.access_token, tokens.claims().sub);
  assert.equal(who.name, 'Иван Петров');
  assert.match(who[grafana.login_attribute_path], /^max-/);
  assert.match(who.email, /@max\.invalid$/);
  assert.ok(tokens.refresh_token, 'use_refresh_token');
  assert.equal(grafana.use_refresh_token, 'true');
  await shell.type(end);
});
