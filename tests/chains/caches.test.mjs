// Caches that are told to keep what they must not: whoever asks behind one of them never gets what is somebody else's. Every
// product with its switches for ignoring on, each more ruthless than the one before; what obeys nothing at all is named.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Cleanup, signIn } from '../harness/story.mjs';
import { Visitor } from '../harness/visitor.mjs';
import { Jar } from '../harness/jar.mjs';
import { missing, startChain, startMax } from './setup.mjs';
import { apache, haproxy, nginx, squid, trafficserver, varnish } from './templates.mjs';

const nginxCache = (ignored, key = '') =>
  nginx({
    http: 'proxy_cache_path %FOLDER%/cache keys_zone=all:1m;',
    location: `proxy_cache all; proxy_cache_valid any 10m; ${key} ${ignored ? `proxy_ignore_headers ${ignored};` : ''}`,
  });

const varnishCache = (response) =>
  varnish({ recv: 'return (hash);', response: `${response} set beresp.ttl = 10m; return (deliver);` });

const haproxyCache = (response) => (place) =>
  haproxy({
    backend: `http-request cache-use all\n    ${response}\n    http-response set-header Cache-Control "public, max-age=600"\n    http-response cache-store all`,
  })(place).replace('defaults', 'cache all\n    total-max-size 4\n    max-age 600\ndefaults');

const IGNORING_APACHE = `LoadModule cache_module /usr/lib/apache2/modules/mod_cache.so
LoadModule cache_socache_module /usr/lib/apache2/modules/mod_cache_socache.so
LoadModule socache_shmcb_module /usr/lib/apache2/modules/mod_socache_shmcb.so
CacheEnable socache /
CacheSocache shmcb
CacheQuickHandler off
CacheIgnoreCacheControl On
CacheStorePrivate On
CacheStoreNoStore On
CacheStoreExpired On
CacheIgnoreNoLastMod On
CacheIgnoreHeaders Set-Cookie
CacheMinExpire 600`;

const IGNORING_SQUID =
  'refresh_pattern . 10 100% 10 override-expire override-lastmod ignore-no-store ignore-private ignore-reload';

const IGNORING_TRAFFICSERVER = [
  'http INT 1',
  'required_headers INT 0',
  'ignore_client_no_cache INT 1',
  'ignore_server_no_cache INT 1',
  'cache_responses_to_cookies INT 1',
  'ignore_authentication INT 1',
  'heuristic_min_lifetime INT 600',
];

/** `obeysNothing`: there is no header left that it looks at. */
const CACHES = [
  ['nginx, any status', 'nginx 1.22', nginxCache('')],
  ['nginx without Cache-Control', 'nginx 1.22', nginxCache('Cache-Control')],
  ['nginx without Cache-Control and Expires', 'nginx 1.22', nginxCache('Cache-Control Expires')],
  ['nginx without those and Set-Cookie', 'nginx 1.22', nginxCache('Cache-Control Expires Set-Cookie')],
  ['nginx without those and Vary', 'nginx 1.22', nginxCache('Cache-Control Expires Set-Cookie Vary')],
  ['nginx without all but Vary', 'nginx 1.22', nginxCache('Cache-Control Expires Set-Cookie X-Accel-Expires')],
  [
    'nginx by path alone, all but Vary',
    'nginx 1.22',
    nginxCache('Cache-Control Expires Set-Cookie X-Accel-Expires', 'proxy_cache_key $uri;'),
  ],
  [
    'nginx without all but X-Accel-Buffering',
    'nginx 1.22',
    nginxCache('Cache-Control Expires Set-Cookie Vary X-Accel-Expires', 'proxy_cache_key $uri;'),
  ],
  [
    'nginx that obeys nothing',
    'nginx 1.22',
    nginxCache('Cache-Control Expires Set-Cookie Vary X-Accel-Expires X-Accel-Buffering', 'proxy_cache_key $uri;'),
    { obeysNothing: true },
  ],
  ['Varnish with a lifetime of its own', 'varnish', varnishCache('unset beresp.http.Cache-Control;')],
  ['Varnish that drops Vary', 'varnish', varnishCache('unset beresp.http.Vary;'), { obeysNothing: true }],
  [
    'Squid with refresh_pattern',
    'squid',
    (place) => squid({ lines: IGNORING_SQUID })(place).replace('cache deny all', 'cache_mem 16 MB'),
  ],
  [
    'Traffic Server',
    'trafficserver',
    trafficserver({ records: IGNORING_TRAFFICSERVER.map((each) => `CONFIG proxy.config.http.cache.${each}`) }),
  ],
  ['HAProxy with a Cache-Control of its own', 'haproxy', haproxyCache('http-response del-header Expires')],
  ['HAProxy that drops Vary', 'haproxy', haproxyCache('http-response del-header Vary')],
  ['Apache', 'apache', apache({ lines: IGNORING_APACHE })],
];

const cleanup = new Cleanup();
after(() => cleanup.run());
let emulator;
before(async () => {
  emulator = cleanup.add(await startMax());
});

for (const [name, product, config, { obeysNothing = false } = {}] of CACHES) {
  const chain = { name, tiers: [{ product, config }] };
  describe(name, { skip: missing(chain).length > 0 && `${missing(chain)} is not installed` }, () => {
    let started;
    let owner;
    before(async () => {
      started = await startChain(chain, emulator);
      const direct = new Visitor(started.direct, { origin: started.origin });
      await signIn({ emulator, base: started.direct, visitor: direct, how: 'page' });
      owner = new Visitor(started.base, { jar: direct.jar });
    });
    after(() => started?.stop());

    const stranger = () => new Visitor(started.base, { jar: new Jar() });

    for (const path of ['/session', '/verify']) {
      test(`${path} is nobody else's`, async () => {
        const first = await owner.request(path);
        // startChain has asked for /session without a cookie: an answer for nobody must not be kept either.
        if (!obeysNothing) assert.equal(first.status, 200, first.text);
        await owner.request(path);
        const seen = await stranger().request(path);
        assert.equal(seen.status === 200, obeysNothing && first.status === 200, `${seen.status} ${seen.text}`);
        if (!obeysNothing) assert.equal(seen.headers['x-auth-user'], undefined);
      });
    }

    test("with a path of its own the session is nobody else's even behind what obeys nothing", async () => {
      const own = () => `/session/${Math.random().toString(36).slice(2)}`;
      assert.equal((await owner.request(own())).status, 200);
      assert.equal((await stranger().request(own())).status, 401);
    });

    test('a sign-in is finished once, for the one who began', async () => {
      for (let n = 0; n < 2; n++) {
        const visitor = new Visitor(started.direct, { origin: started.origin });
        const page = await visitor.startPage();
        const stream = visitor.pages(page.login, page.next);
        const qr = [...page.events, ...stream.events].find(({ event }) => event === 'qr') ?? (await stream.until('qr'));
        await emulator.approve(new URL(qr.data.qrLink).pathname.split('/').pop());
        const { data } = await stream.outcome();
        const front = new Visitor(started.base, { jar: visitor.jar });
        const callback = await front.request(data.redirect);
        assert.equal(callback.status, 303, `${n}: ${callback.text}`);
        assert.equal((await front.request(`/session/${n}-own`)).status, 200);
        const stolen = await stranger().request(data.redirect);
        assert.equal(
          stolen.headers['set-cookie']?.some((cookie) => /^(__Host-)?maxauth=./.test(cookie)) ?? false,
          obeysNothing,
          'a used link gives no session',
        );
      }
    });
  });
}
