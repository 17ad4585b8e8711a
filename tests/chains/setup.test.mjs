// What `max-auth setup` prints, started as printed: it passes a login over WebSocket and over SSE, and the doctor finds
// nothing. Around the text is only what its first lines say that the file is put into.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { after, before, test } from 'node:test';
import { BROTLI_MODULE, nginxConfig } from '../harness/nginx.mjs';
import { BINARY } from '../harness/paths.mjs';
import { run } from '../harness/process.mjs';
import { environment } from '../harness/server.mjs';
import { signIn } from '../harness/story.mjs';
import { Visitor } from '../harness/visitor.mjs';
import { measuredLogin } from './login.mjs';
import { missing, startChain, startMax } from './setup.mjs';

const printed = (target, { listen, next, certificate }, tls) =>
  execFileSync(
    BINARY,
    [
      'setup',
      target,
      '--domain',
      '127.0.0.1',
      '--listen',
      `127.0.0.1:${listen}`,
      '--upstream',
      `127.0.0.1:${next}`,
      '--site',
      `127.0.0.1:${next}`,
      ...(tls
        ? ['--certificate', certificate.certificate, '--key', certificate.key]
        : target === 'nginx-inner'
          ? []
          : ['--plain']),
    ],
    { encoding: 'utf8' },
  );

// conf.d/*.conf is inside the http block of Debian's nginx.conf, which loads the brotli module.
const inHttp = (text) => nginxConfig({ folder: '%FOLDER%', modules: [BROTLI_MODULE], http: text });
const MODULES = ['mpm_event', 'authz_core', 'headers', 'proxy', 'proxy_http', 'proxy_wstunnel', 'ssl'];
// a2ensite puts the file behind apache2.conf and the modules that its first lines name.
const inApache = (text) => `
ServerRoot %FOLDER%
DefaultRuntimeDir %FOLDER%
PidFile %FOLDER%/apache.pid
ServerName localhost
ErrorLog %FOLDER%/error.log
${MODULES.map((each) => `LoadModule ${each}_module /usr/lib/apache2/modules/mod_${each}.so`).join('\n')}
${process.getuid() === 0 ? 'User www-data\nGroup www-data' : ''}
${text}`;
// Nothing but where its admin endpoint is and that no certificate is asked for: the machine has one Caddy at a time.
const inCaddy = (text) => `{\n\tadmin off\n\tauto_https off\n}\n${text}`;

const tier = (product, target, wrap = (text) => text, tls = false) => ({
  product,
  config: (place) => wrap(printed(target, place, tls)),
});
const CHAINS = [
  { name: 'nginx', tiers: [tier('nginx 1.22', 'nginx', inHttp)] },
  { name: 'nginx, TLS', tls: true, tiers: [tier('nginx 1.22', 'nginx', inHttp, true)] },
  {
    name: 'nginx-outer and nginx-inner',
    tls: true,
    tiers: [tier('nginx 1.22', 'nginx-outer', inHttp, true), tier('nginx 1.22', 'nginx-inner', inHttp)],
  },
  { name: 'haproxy', tiers: [tier('haproxy', 'haproxy')] },
  { name: 'caddy 2.6', tiers: [tier('caddy 2.6', 'caddy', inCaddy)] },
  { name: 'caddy', tiers: [tier('caddy current', 'caddy', inCaddy)] },
  { name: 'traefik', tiers: [tier('traefik', 'traefik')] },
  { name: 'envoy', tiers: [tier('envoy', 'envoy')] },
  { name: 'apache', tiers: [tier('apache', 'apache', inApache)] },
];

let max;
before(async () => {
  max = await startMax();
});
after(() => max?.stop());

for (const chain of CHAINS) {
  test(
    `setup ${chain.name}`,
    { skip: missing(chain).length > 0 && `${missing(chain)} is not here`, timeout: 90_000 },
    async () => {
      const running = await startChain(chain, max);
      try {
        let login = await measuredLogin(running, max);
        // A busy machine is late by itself, a proxy always.
        if (login.timing.length > 0 && login.faults.length === 0) login = await measuredLogin(running, max);
        assert.deepEqual([...login.faults, ...login.timing], []);
        assert.equal(login.transport, 'websocket');

        // Each event is waited for before the next is caused: what comes is live.
        await signIn({
          emulator: max,
          base: running.base,
          how: 'sse',
          visitor: new Visitor(running.base, { origin: running.origin }),
        });

        const asked = await run(BINARY, ['doctor', running.base, '--json', ...(chain.tls ? ['--insecure'] : [])], {
          env: environment({}),
          ms: 30_000,
        });
        const { findings, transport } = JSON.parse(asked.stdout);
        assert.deepEqual({ findings, transport, code: asked.code }, { findings: [], transport: 'websocket', code: 0 });
      } finally {
        await running.stop();
      }
    },
  );
}
