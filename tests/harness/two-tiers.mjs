// The shipped nginx files of deploy/nginx, run as they are but for addresses, certificate and domain.

import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { certificate } from './certificate.mjs';
import { BROTLI_MODULE, PATH, nginxArgs, nginxConfig } from './nginx.mjs';
import { ROOT } from './paths.mjs';
import { freePort, launch, tempFolder } from './process.mjs';
import { eventually } from './time.mjs';
import { fetchWhole } from './http.mjs';
import { networkInterfaces } from 'node:os';

/** Whether this machine has IPv6 at all. */
const IPV6 = Object.values(networkInterfaces())
  .flat()
  .some(({ address }) => address === '::1');

/** What is done to the shipped files, by name. Each edit must hit something, or the test would prove nothing. */
export const VARIANTS = {
  shipped: [],
  // The Brotli and gzip of the outage (docs/why.md): everything is compressed, event streams too.
  compressAll: [
    { tier: 'outer', find: /gzip_types [^;]*;/, put: 'gzip_types *;' },
    { tier: 'outer', find: /brotli_types [^;]*;/, put: 'brotli_types *;' },
  ],
  // "404 on GET": the two header lines are missing, on both tiers.
  noUpgrade: [
    { tier: 'both', find: /^\s*proxy_set_header Upgrade .*$/m, put: '' },
    { tier: 'both', find: /^\s*proxy_set_header Connection \$connection_upgrade;.*$/m, put: '' },
  ],
  // The configuration before anybody thought of streams, with a compressor for everything.
  seed: [
    { tier: 'both', find: /^\s*proxy_http_version 1\.1;.*$/gm, put: '' },
    { tier: 'both', find: /^\s*proxy_set_header (Upgrade|Connection) .*$/gm, put: '' },
    { tier: 'both', find: /^\s*proxy_(buffering off|read_timeout .*|send_timeout .*);.*$/gm, put: '' },
    { tier: 'outer', find: /gzip_types [^;]*;/, put: 'gzip_types *;' },
    { tier: 'outer', find: /brotli_types [^;]*;/, put: 'brotli_types *;' },
  ],
  // nginx's default read timeout: 60 s without a byte end the connection.
  defaultTimeouts: [{ tier: 'both', find: /^\s*proxy_(read|send)_timeout .*$/gm, put: '' }],
};

/** Starts both tiers in front of max-auth at `server` and the site at `site` (ports). */
export async function startTwoTiers({ server, site, variant = 'shipped', port }) {
  const folder = tempFolder('nginx');
  const ports = { outer: port ?? (await freePort()), redirect: await freePort(), inner: await freePort() };
  const { key, certificate: chain } = certificate();

  const outer = render('outer', variant, [
    [/listen \[::\]:80;/, IPV6 ? `listen [::1]:${ports.redirect};` : ''],
    [/listen \[::\]:443 ssl http2;/, IPV6 ? `listen [::1]:${ports.outer} ssl http2;` : ''],
    [/listen 80;/, `listen 127.0.0.1:${ports.redirect};`],
    [/listen 443 ssl http2;/, `listen 127.0.0.1:${ports.outer} ssl http2;`],
    [/server_name example\.ru;/g, 'server_name localhost;'],
    [/\/etc\/letsencrypt\/live\/example\.ru\/fullchain\.pem/, chain],
    [/\/etc\/letsencrypt\/live\/example\.ru\/privkey\.pem/, key],
    [/127\.0\.0\.1:8080/g, `127.0.0.1:${ports.inner}`],
  ]);
  const inner = render('inner', variant, [
    [/listen 127\.0\.0\.1:8080;/, `listen 127.0.0.1:${ports.inner};`],
    [/server_name example\.ru;/g, 'server_name localhost;'],
    [/127\.0\.0\.1:3001/g, `127.0.0.1:${server}`],
    [/127\.0\.0\.1:5000/g, `127.0.0.1:${site}`],
  ]);

  const tiers = [];
  tiers.push(await tier(folder, 'inner', inner, `http://127.0.0.1:${ports.inner}/`));
  tiers.push(await tier(folder, 'outer', outer, `https://127.0.0.1:${ports.outer}/`));
  return {
    port: ports.outer,
    origin: `https://localhost:${ports.outer}`,
    redirect: `http://127.0.0.1:${ports.redirect}`,
    output: () => tiers.map(({ output }) => output).join(''),
    stop: () => Promise.all(tiers.map((each) => each.stop())),
  };
}

function render(name, variant, substitutions) {
  let text = readFileSync(join(ROOT, 'deploy/nginx', `${name}.conf`), 'utf8');
  const edits = VARIANTS[variant].filter(({ tier: which }) => which === name || which === 'both');
  for (const [find, put] of [...edits.map(({ find, put }) => [find, put]), ...substitutions]) {
    const after = text.replace(find, put);
    if (after === text) throw new Error(`deploy/nginx/${name}.conf has nothing that fits ${find}`);
    text = after;
  }
  return text;
}

async function tier(parent, name, server, probe) {
  const folder = join(parent, name);
  mkdirSync(folder);
  const [file, site] = [join(folder, 'nginx.conf'), join(folder, 'site.conf')];
  writeFileSync(site, server);
  const modules = existsSync(BROTLI_MODULE) ? [BROTLI_MODULE] : [];
  const access = join(folder, 'access.log');
  writeFileSync(file, nginxConfig({ folder, modules, access, errors: 'notice', http: `include ${site};` }));
  return launch(`nginx (${name})`, 'nginx', nginxArgs({ folder, file }), {
    env: { PATH },
    ready: () => eventually(async () => (await fetchWhole(probe, { ms: 1000 })).status > 0, `nginx ${name} to answer`),
  });
}
