// The chains: what real proxies do to a stream, from the least configuration to the right one. Data only.
//
// A chain: `name`; `tiers`, outermost first, each {product, config} where config is a function of ports (templates.mjs);
// `what` is wrong with it, for people ('' when nothing is); `best`: the transport that a login gets at least
// (websocket > sse > long-poll); `tls`; `stayMs`: how long a login
// stays before its last code, where something is cut after a while; `fast`: part of the subset for CI; `browser`: also run in Chromium.
// For the doctor: `findings`, all faults and the notes that must be there: {code, layer, tier, severity}, where "a|b" means
// that either is right ("unknown" is honest where two chains look the same from outside). `slow`: only found by waiting.
// `undiagnosed`: not for the doctor, only for logins.
// `cure`: what a person does by hand where the doctor cannot know the product: {tier (0 is the outermost), lines}.

import {
  ENVOY_COMPRESSOR,
  NGINX_MAP,
  NGINX_RIGHT,
  apache,
  caddy,
  envoy,
  h2o,
  haproxy,
  hitch,
  lighttpd,
  nghttpx,
  nginx,
  squid,
  traefik,
  trafficserver,
  varnish,
} from './templates.mjs';

const one = (product, config) => [{ product, config }];
const two = (outer, inner) => [
  { product: 'nginx 1.22', config: outer },
  { product: 'nginx 1.22', config: inner },
];
const fault = (code, layer, tier = 'single|unknown') => ({ code, layer, tier, severity: 'fault' });
// From outside, an nginx that ignores X-Accel-Buffering looks like one in front of another; the evidence says so.
const LIKE_TWO = 'outer|single|unknown';
const note = (code, layer, tier = 'single|unknown') => ({ ...fault(code, layer, tier), severity: 'note' });

// No proxy of the chain says where the visitor is: all visitors share one limit.
const addressLost = (layer, tier) => fault('client-address-lost', layer, tier);

const GZIP_ALL = 'gzip on; gzip_types *; gzip_min_length 0;';
const BROTLI_ALL = 'brotli on; brotli_types *; brotli_min_length 0;';
const CACHE = 'proxy_cache_path %FOLDER%/cache keys_zone=all:1m;';

const NO_UPGRADE = 'the upgrade is not passed on';

// The outer tier of the outage: TLS, HTTP/2 and Brotli on everything.
const SEED = { tls: true, brotli: true, http: `${GZIP_ALL} ${BROTLI_ALL}` };

export const CHAINS = [
  // ---- nginx 1.22 ------------------------------------------------------------------------------------------------------
  {
    name: 'nginx-min',
    what: `${NO_UPGRADE}; answers are buffered (HTTP/1.0 upstream)`,
    tiers: one('nginx 1.22', nginx()),
    best: 'sse',
    fast: true,
    browser: true,
    findings: [fault('ws-upgrade-not-passed', 'nginx'), addressLost('nginx'), note('buffered', 'nginx')],
  },
  {
    name: 'nginx-gzip',
    what: `${NO_UPGRADE}; buffered and compressed`,
    tiers: one('nginx 1.22', nginx({ http: GZIP_ALL })),
    best: 'sse',
    findings: [fault('ws-upgrade-not-passed', 'nginx'), addressLost('nginx'), note('buffered', 'nginx')],
  },
  {
    name: 'nginx-h2-brotli',
    what: `${NO_UPGRADE}; buffered and compressed (Brotli, HTTP/2)`,
    tls: true,
    tiers: one('nginx 1.22', nginx(SEED)),
    best: 'sse',
    browser: true,
    findings: [fault('ws-upgrade-not-passed', 'nginx'), addressLost('nginx'), note('buffered', 'nginx')],
  },
  {
    name: 'nginx-upgrade-only',
    what: 'Upgrade is passed on, Connection is not',
    tiers: one(
      'nginx 1.22',
      nginx({ location: 'proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_buffering off;' }),
    ),
    best: 'websocket',
    findings: [note('ws-connection-header-missing', 'nginx'), addressLost('nginx')],
  },
  {
    name: 'nginx-ignore-xab',
    what: `${NO_UPGRADE}; buffered, and told to ignore X-Accel-Buffering`,
    tiers: one('nginx 1.22', nginx({ location: 'proxy_ignore_headers X-Accel-Buffering;' })),
    best: 'long-poll',
    findings: [
      fault('ws-upgrade-not-passed', 'nginx'),
      addressLost('nginx', 'inner|outer|single|unknown'),
      fault('buffered', 'nginx', LIKE_TWO),
    ],
  },
  {
    name: 'nginx-cache',
    what: `${NO_UPGRADE}; caches whatever it is told not to, by a key without the query`,
    tiers: one(
      'nginx 1.22',
      nginx({
        http: CACHE,
        location:
          'proxy_cache all; proxy_cache_key $uri; proxy_cache_valid any 10m; proxy_ignore_headers Cache-Control Expires Set-Cookie Vary X-Accel-Expires;',
      }),
    ),
    best: 'sse',
    fast: true,
    browser: true,
    findings: [
      fault('ws-upgrade-not-passed', 'nginx'),
      addressLost('nginx'),
      { ...fault('cached', 'nginx'), severity: 'fault|note' },
    ],
  },
  {
    name: 'nginx-cache-everything',
    what: `${NO_UPGRADE}; caches by a key without the query, and ignores X-Accel-Buffering too`,
    tiers: one(
      'nginx 1.22',
      nginx({
        http: CACHE,
        location:
          'proxy_cache all; proxy_cache_key $uri; proxy_cache_valid any 10m; proxy_ignore_headers Cache-Control Expires Set-Cookie Vary X-Accel-Expires X-Accel-Buffering;',
      }),
    ),
    best: 'long-poll',
    findings: [
      fault('ws-upgrade-not-passed', 'nginx'),
      addressLost('nginx', 'inner|outer|single|unknown'),
      fault('buffered', 'nginx', LIKE_TWO),
      { ...fault('cached', 'nginx'), severity: 'fault|note' },
    ],
  },
  {
    name: 'nginx-read-5s',
    what: 'right, but 5 s of silence end any connection',
    tiers: one('nginx 1.22', nginx({ http: NGINX_MAP, location: `${NGINX_RIGHT.replace('1h', '5s')}` })),
    best: 'long-poll',
    stayMs: 13_000,
    slow: true,
    findings: [{ ...fault('idle-timeout', 'nginx|unknown'), seconds: 5 }],
  },
  {
    name: 'nginx-right',
    what: '',
    tiers: one('nginx 1.22', nginx({ http: NGINX_MAP, location: NGINX_RIGHT })),
    best: 'websocket',
    fast: true,
  },
  {
    name: 'nginx-right-brotli',
    what: '',
    tls: true,
    tiers: one('nginx 1.22', nginx({ ...SEED, http: `${SEED.http} ${NGINX_MAP}`, location: NGINX_RIGHT })),
    best: 'websocket',
  },

  // ---- nginx of today --------------------------------------------------------------------------------------------------
  {
    name: 'nginx131-min',
    what: `${NO_UPGRADE}; what crosses the end of a buffer is late`,
    tiers: one('nginx current', nginx({ current: true })),
    best: 'sse',
    findings: [fault('ws-upgrade-not-passed', 'nginx'), addressLost('nginx')],
  },
  {
    name: 'nginx131-gzip-h2',
    what: `${NO_UPGRADE}; compressed and buffered`,
    tls: true,
    tiers: one('nginx current', nginx({ current: true, tls: true, http: GZIP_ALL })),
    best: 'sse',
    findings: [fault('ws-upgrade-not-passed', 'nginx'), addressLost('nginx'), note('compressed', 'nginx')],
  },
  {
    name: 'nginx131-right-h2',
    what: '',
    tls: true,
    tiers: one(
      'nginx current',
      nginx({ current: true, tls: true, http: `${GZIP_ALL} ${NGINX_MAP}`, location: NGINX_RIGHT }),
    ),
    best: 'websocket',
    fast: true,
  },

  // ---- two tiers -------------------------------------------------------------------------------------------------------
  {
    name: 'two-nginx-none',
    what: 'the outage: TLS, HTTP/2 and Brotli outside, plain nginx inside, neither configured',
    tls: true,
    tiers: two(nginx(SEED), nginx()),
    best: 'long-poll',
    fast: true,
    browser: true,
    findings: [
      fault('ws-upgrade-not-passed', 'nginx', 'both|outer|unknown'),
      fault('buffered', 'nginx', 'both|outer|unknown'),
      addressLost('nginx', 'both|outer|inner|unknown'),
    ],
  },
  {
    name: 'two-nginx-outer-only',
    what: 'the outage with only the outer tier configured',
    tls: true,
    tiers: two(nginx({ ...SEED, http: `${SEED.http} ${NGINX_MAP}`, location: NGINX_RIGHT }), nginx()),
    best: 'sse',
    browser: true,
    findings: [fault('ws-upgrade-not-passed', 'nginx', 'inner|unknown'), note('buffered', 'nginx', 'inner|unknown')],
  },
  {
    name: 'two-nginx-inner-only',
    what: 'the outage with only the inner tier configured',
    tls: true,
    tiers: two(nginx(SEED), nginx({ http: NGINX_MAP, location: NGINX_RIGHT })),
    best: 'long-poll',
    findings: [fault('ws-upgrade-not-passed', 'nginx', 'outer|unknown'), fault('buffered', 'nginx', 'outer|unknown')],
  },
  {
    name: 'two-nginx-both',
    what: '',
    tls: true,
    tiers: two(
      nginx({ ...SEED, http: `${SEED.http} ${NGINX_MAP}`, location: NGINX_RIGHT }),
      nginx({ http: NGINX_MAP, location: NGINX_RIGHT }),
    ),
    best: 'websocket',
    browser: true,
  },
  {
    name: 'two-nginx-big-buffers',
    what: 'the outage with buffers of 64 KB',
    tls: true,
    tiers: two(
      nginx({ ...SEED, location: 'proxy_buffers 64 64k; proxy_buffer_size 64k;' }),
      nginx({ location: 'proxy_buffers 64 64k; proxy_buffer_size 64k;' }),
    ),
    best: 'long-poll',
    findings: [
      fault('ws-upgrade-not-passed', 'nginx', 'both|outer|unknown'),
      fault('buffered', 'nginx', 'both|outer|unknown'),
      addressLost('nginx', 'both|outer|inner|unknown'),
    ],
  },
  {
    name: 'hitch-nginx',
    what: `TLS in front changes nothing: ${NO_UPGRADE}, buffered`,
    tls: true,
    tiers: [
      { product: 'hitch', config: hitch() },
      { product: 'nginx 1.22', config: nginx() },
    ],
    best: 'sse',
    findings: [fault('ws-upgrade-not-passed', 'nginx'), addressLost('nginx'), note('buffered', 'nginx')],
  },
  {
    name: 'caddy-nginx',
    what: `right outside, the inner nginx is not configured: ${NO_UPGRADE}, buffered`,
    tls: true,
    tiers: [
      { product: 'caddy current', config: caddy({ tls: true, site: 'encode gzip' }) },
      { product: 'nginx 1.22', config: nginx() },
    ],
    best: 'sse',
    findings: [
      fault('ws-upgrade-not-passed', 'nginx', 'inner|single|unknown'),
      note('buffered', 'nginx', 'inner|single|unknown'),
    ],
  },

  // ---- HAProxy ---------------------------------------------------------------------------------------------------------
  {
    name: 'haproxy-min',
    what: 'event streams 200 ms late each; WebSocket passes',
    tiers: one('haproxy', haproxy()),
    best: 'websocket',
    fast: true,
    findings: [note('delayed', 'haproxy'), addressLost('haproxy|unknown')],
    cure: [{ tier: 0, lines: ['option forwardfor'] }],
  },
  {
    name: 'haproxy-gzip',
    what: 'event streams late by one (compression without a list of types)',
    tiers: one('haproxy', haproxy({ backend: 'compression algo gzip' })),
    best: 'websocket',
    findings: [note('compressed-late-by-one', 'haproxy'), note('delayed', 'haproxy'), addressLost('haproxy|unknown')],
    cure: [{ tier: 0, lines: ['option forwardfor'] }],
  },
  {
    name: 'haproxy-timeouts-5s',
    what: '5 s of silence end any connection',
    tiers: one('haproxy', haproxy({ timeouts: 5, defaults: 'option http-no-delay' })),
    best: 'long-poll',
    stayMs: 13_000,
    slow: true,
    findings: [{ ...fault('idle-timeout', 'haproxy|unknown'), seconds: 5 }, addressLost('haproxy|unknown')],
    cure: [{ tier: 0, lines: ['option forwardfor', 'timeout server 1h', 'timeout client 1h', 'timeout tunnel 1h'] }],
  },
  {
    name: 'haproxy-right-h2',
    what: '',
    tls: true,
    tiers: one(
      'haproxy',
      haproxy({ tls: true, defaults: 'option http-no-delay\n    timeout tunnel 1h\n    option forwardfor' }),
    ),
    best: 'websocket',
    browser: true,
  },

  // ---- Apache ----------------------------------------------------------------------------------------------------------
  {
    name: 'apache-min',
    what: NO_UPGRADE,
    tiers: one('apache', apache()),
    best: 'sse',
    findings: [fault('ws-upgrade-not-passed', 'apache')],
  },
  {
    name: 'apache-deflate',
    what: `${NO_UPGRADE}; everything compressed`,
    tiers: one('apache', apache({ lines: 'SetOutputFilter DEFLATE' })),
    best: 'sse',
    findings: [fault('ws-upgrade-not-passed', 'apache')],
  },
  {
    name: 'apache-brotli-h2',
    what: `${NO_UPGRADE}; everything compressed (Brotli, HTTP/2)`,
    tls: true,
    tiers: one('apache', apache({ tls: true, lines: 'SetOutputFilter BROTLI_COMPRESS' })),
    best: 'sse',
    browser: true,
    findings: [fault('ws-upgrade-not-passed', 'apache')],
  },
  {
    name: 'apache-right',
    what: '',
    tiers: one('apache', apache({ pass: 'upgrade=websocket timeout=3600' })),
    best: 'websocket',
  },

  // ---- Caddy -----------------------------------------------------------------------------------------------------------
  { name: 'caddy26-min', what: '', tiers: one('caddy 2.6', caddy()), best: 'websocket' },
  {
    name: 'caddy26-encode',
    what: 'event streams that pass 512 bytes are compressed and held',
    tiers: one('caddy 2.6', caddy({ site: 'encode gzip' })),
    best: 'websocket',
    findings: [fault('compressed', 'caddy')],
  },
  { name: 'caddy-min', what: '', tiers: one('caddy current', caddy()), best: 'websocket' },
  {
    name: 'caddy-encode-h2',
    what: '',
    tls: true,
    tiers: one('caddy current', caddy({ tls: true, site: 'encode zstd gzip' })),
    best: 'websocket',
    browser: true,
  },

  // ---- Traefik ---------------------------------------------------------------------------------------------------------
  { name: 'traefik-min', what: '', tiers: one('traefik', traefik()), best: 'websocket' },
  {
    name: 'traefik-compress-h2',
    what: '',
    tls: true,
    tiers: one('traefik', traefik({ tls: true, middlewares: { small: '{ compress: {} }' } })),
    best: 'websocket',
  },
  {
    name: 'traefik-buffering',
    what: 'the buffering middleware holds whole answers; WebSocket passes',
    tiers: one('traefik', traefik({ middlewares: { hold: '{ buffering: { maxRequestBodyBytes: 2000000 } }' } })),
    best: 'websocket',
    fast: true,
    browser: true,
    findings: [fault('whole-response-buffered', 'traefik')],
    cure: [{ tier: 0, lines: ['middlewares: []'] }],
  },

  // ---- Envoy -----------------------------------------------------------------------------------------------------------
  {
    name: 'envoy-min',
    what: 'upgrades are answered with 403; whatever takes 15 s is ended',
    tiers: one('envoy', envoy()),
    best: 'sse',
    fast: true,
    browser: true,
    findings: [fault('ws-upgrade-refused', 'envoy'), addressLost('envoy')],
  },
  {
    name: 'envoy-compress',
    what: 'upgrades are answered with 403; whatever takes 15 s is ended; compressed',
    tiers: one('envoy', envoy({ filters: ENVOY_COMPRESSOR })),
    best: 'sse',
    findings: [fault('ws-upgrade-refused', 'envoy'), addressLost('envoy')],
  },
  {
    name: 'envoy-connect-h2',
    what: 'WebSockets over HTTP/2 arrive without Sec-WebSocket-Key (allow_connect)',
    tls: true,
    tiers: one(
      'envoy',
      envoy({
        tls: true,
        hcm: [
          'http2_protocol_options: { allow_connect: true }',
          'upgrade_configs: [{ upgrade_type: websocket }]',
          'stream_idle_timeout: 0s',
          'use_remote_address: true',
        ],
        route: ['timeout: 0s'],
        filters: ENVOY_COMPRESSOR,
      }),
    ),
    best: 'websocket',
    browser: true,
    findings: [note('ws-key-missing', 'envoy')],
  },
  {
    name: 'envoy-right',
    what: '',
    tiers: one(
      'envoy',
      envoy({
        hcm: ['upgrade_configs: [{ upgrade_type: websocket }]', 'stream_idle_timeout: 0s', 'use_remote_address: true'],
        route: ['timeout: 0s'],
      }),
    ),
    best: 'websocket',
  },

  // ---- Varnish ---------------------------------------------------------------------------------------------------------
  {
    name: 'varnish-min',
    what: NO_UPGRADE,
    tiers: one('varnish', varnish()),
    best: 'sse',
    findings: [fault('ws-upgrade-not-passed', 'varnish')],
  },
  {
    name: 'varnish-gzip',
    what: `${NO_UPGRADE}; gzips and holds event streams`,
    tiers: one('varnish', varnish({ response: 'set beresp.do_gzip = true;' })),
    best: 'long-poll',
    findings: [fault('ws-upgrade-not-passed', 'varnish'), fault('compressed', 'varnish')],
  },
  {
    name: 'varnish-nostream',
    what: `${NO_UPGRADE}; holds whole answers (do_stream = false)`,
    tiers: one('varnish', varnish({ response: 'set beresp.do_stream = false;' })),
    best: 'long-poll',
    browser: true,
    findings: [fault('ws-upgrade-not-passed', 'varnish'), fault('whole-response-buffered', 'varnish')],
  },
  {
    name: 'varnish-right',
    what: '',
    tiers: one(
      'varnish',
      varnish({
        recv: 'if (req.http.Upgrade ~ "(?i)websocket") { return (pipe); }',
        pipe: 'if (req.http.Upgrade) { set bereq.http.Upgrade = req.http.Upgrade; set bereq.http.Connection = req.http.Connection; }',
      }),
    ),
    best: 'websocket',
  },

  // ---- lighttpd --------------------------------------------------------------------------------------------------------
  {
    name: 'lighttpd-min',
    what: `${NO_UPGRADE}; holds whole answers`,
    tiers: one('lighttpd', lighttpd()),
    best: 'long-poll',
    browser: true,
    findings: [fault('ws-upgrade-not-passed', 'lighttpd'), fault('whole-response-buffered', 'lighttpd')],
  },
  {
    name: 'lighttpd-deflate',
    what: `${NO_UPGRADE}; holds whole answers, compressed`,
    tiers: one(
      'lighttpd',
      lighttpd({
        modules: ['mod_deflate'],
        lines: 'deflate.mimetypes = ( "" )\ndeflate.allowed-encodings = ( "gzip" )',
      }),
    ),
    best: 'long-poll',
    findings: [fault('ws-upgrade-not-passed', 'lighttpd'), fault('whole-response-buffered', 'lighttpd')],
  },
  {
    name: 'lighttpd-right',
    what: '',
    tiers: one(
      'lighttpd',
      lighttpd({ lines: 'server.stream-response-body = 1\nproxy.header = ( "upgrade" => "enable" )' }),
    ),
    best: 'websocket',
  },

  // ---- others ----------------------------------------------------------------------------------------------------------
  {
    name: 'squid-accel',
    what: NO_UPGRADE,
    tiers: one('squid', squid()),
    best: 'sse',
    findings: [fault('ws-upgrade-not-passed', 'squid')],
  },
  {
    name: 'squid-right',
    what: '',
    tiers: one('squid', squid({ lines: 'http_upgrade_request_protocols websocket allow all' })),
    best: 'websocket',
  },
  {
    name: 'nghttpx-h2',
    what: '',
    tls: true,
    tiers: one('nghttpx', nghttpx({ tls: true, lines: 'add-x-forwarded-for=yes' })),
    best: 'websocket',
  },
  {
    name: 'h2o-min',
    what: NO_UPGRADE,
    tiers: one('h2o', h2o()),
    best: 'sse',
    findings: [fault('ws-upgrade-not-passed', 'h2o')],
  },
  {
    name: 'h2o-compress',
    what: `${NO_UPGRADE}; event streams late by one (compression)`,
    tiers: one(
      'h2o',
      h2o({
        path: 'compress: ON',
        lines: 'file.mime.addtypes:\n  "text/event-stream":\n    extensions: [".es"]\n    is_compressible: YES',
      }),
    ),
    best: 'sse',
    findings: [fault('ws-upgrade-not-passed', 'h2o')],
  },
  { name: 'h2o-right', what: '', tiers: one('h2o', h2o({ path: 'proxy.websocket: ON' })), best: 'websocket' },
  { name: 'trafficserver-min', what: '', tiers: one('trafficserver', trafficserver()), best: 'websocket' },

  // ---- hostile ---------------------------------------------------------------------------------------------------------
  {
    name: 'holds-everything',
    what: 'an inspecting proxy: every answer is held until it is complete, upgrades are stripped',
    tiers: one('simulated', () => ({ hold: true })),
    best: 'long-poll',
    browser: true,
    findings: [
      fault('ws-upgrade-not-passed', 'unknown'),
      fault('whole-response-buffered', 'unknown'),
      addressLost('unknown'),
    ],
  },
  {
    name: 'kills-at-3s',
    what: 'every request, a WebSocket too, is cut 3 s after it began',
    tiers: one('simulated', () => ({ killAfterMs: 3000 })),
    best: 'long-poll',
    stayMs: 8000,
    fast: true,
    browser: true,
    findings: [{ ...fault('total-timeout', 'unknown'), seconds: 3 }, addressLost('unknown')],
  },
  {
    name: 'swallows-upgrades',
    what: 'an upgrade gets no answer at all; streams pass',
    tiers: one('simulated', () => ({ hangUpgrades: true })),
    best: 'sse',
    fast: true,
    browser: true,
    findings: [fault('ws-upgrade-hangs', 'app|unknown'), addressLost('unknown')],
  },
  {
    name: 'app-compression',
    what: 'the compression middleware of an application in between; no upgrades',
    tiers: one('simulated', () => ({ gzip: true })),
    best: 'sse',
    findings: [fault('ws-upgrade-not-passed', 'unknown'), note('app-compression', 'app'), addressLost('unknown')],
  },

  // ---- late ------------------------------------------------------------------------------------------------------------
  // A stream is there and delivers, but later than an ordinary answer: it must not take the place of polling.
  {
    name: 'stream-late',
    what: `${NO_UPGRADE}; what is streamed comes 1.5 s later, whole answers at once`,
    tiers: one('simulated', () => ({ stripUpgrade: true, stream: { lateMs: 1500 } })),
    best: 'long-poll',
    fast: true,
    browser: true,
    findings: [fault('delayed', 'unknown'), fault('ws-upgrade-not-passed', 'unknown'), addressLost('unknown')],
  },
  {
    name: 'frames-late',
    what: 'a WebSocket opens at once, what it carries comes 1.5 s later; event streams pass',
    tiers: one('simulated', () => ({ lateFramesMs: 1500 })),
    best: 'sse',
    stayMs: 7000,
    fast: true,
    browser: true,
    findings: [fault('delayed', 'unknown'), addressLost('unknown')],
  },
  {
    name: 'all-streams-late',
    what: 'WebSocket and event streams come 1.5 s later, whole answers at once',
    tiers: one('simulated', () => ({ lateFramesMs: 1500, stream: { lateMs: 1500 } })),
    best: 'long-poll',
    stayMs: 7000,
    findings: [fault('delayed', 'unknown'), addressLost('unknown')],
  },
  {
    name: 'late-after-5s',
    what: `${NO_UPGRADE}; a stream is live for 5 s and comes 2 s later from then on`,
    tiers: one('simulated', () => ({ stripUpgrade: true, stream: { lateMs: 2000, sinceMs: 5000 } })),
    best: 'long-poll',
    stayMs: 13_000,
    findings: [fault('ws-upgrade-not-passed', 'unknown'), addressLost('unknown')],
  },
  {
    name: 'blocks-of-4k',
    what: `${NO_UPGRADE}; streams leave in whole blocks of 4 KB`,
    tiers: one('simulated', () => ({ stripUpgrade: true, stream: { block: 4096 } })),
    best: 'long-poll',
    browser: true,
    findings: [fault('buffered', 'unknown'), fault('ws-upgrade-not-passed', 'unknown'), addressLost('unknown')],
  },
  {
    name: 'bursts-of-64k',
    what: `${NO_UPGRADE}; streams leave when 64 KB are full, and each 2 s`,
    tiers: one('simulated', () => ({ stripUpgrade: true, stream: { block: 65_536, everyMs: 2000 } })),
    best: 'long-poll',
    findings: [fault('buffered', 'unknown'), fault('ws-upgrade-not-passed', 'unknown'), addressLost('unknown')],
  },
  {
    name: 'nginx-big-buffers',
    what: `${NO_UPGRADE}; buffers of 64 KB, and told to ignore X-Accel-Buffering`,
    tiers: one(
      'nginx 1.22',
      nginx({
        location:
          'proxy_ignore_headers X-Accel-Buffering; proxy_buffers 64 64k; proxy_buffer_size 64k; proxy_busy_buffers_size 128k;',
      }),
    ),
    best: 'long-poll',
    findings: [fault('buffered', 'nginx', LIKE_TWO), fault('ws-upgrade-not-passed', 'nginx'), addressLost('nginx')],
  },
  {
    name: 'one-worker',
    what: `${NO_UPGRADE}; one request at a time, each answer whole, and nobody notices that a browser has gone`,
    tiers: one('simulated', () => ({ oneWorker: true })),
    best: 'long-poll',
    fast: true,
    findings: [fault('one-worker', 'unknown'), fault('ws-upgrade-not-passed', 'unknown'), addressLost('unknown')],
  },
  {
    name: 'slow-path',
    what: 'nothing, but the path takes 100 ms each way',
    tiers: one('simulated', () => ({ delayMs: 100 })),
    best: 'websocket',
    findings: [addressLost('unknown')],
  },
  {
    name: 'captive-page',
    what: 'the first POST is answered by a page of the network (200, HTML)',
    tiers: one('simulated', () => ({ captive: true })),
    undiagnosed: true,
    best: 'websocket',
  },
];

/**
 * Chains on which nobody can sign in, or not rightly: only for the doctor. `delivered` says whether a login gets through.
 */
export const LOST = [
  {
    name: 'not-routed',
    what: 'no location for the path: the site answers 404',
    delivered: false,
    tiers: one('nginx 1.22', nginx({ pass: false, location: 'return 404;' })),
    findings: [fault('not-routed', 'nginx')],
  },
  {
    name: 'spa-fallback',
    what: 'every unknown path gets the page of the application',
    delivered: false,
    tiers: one(
      'nginx 1.22',
      nginx({ pass: false, location: `default_type text/html; return 200 '<!doctype html><div id="root"></div>';` }),
    ),
    findings: [fault('not-routed', 'nginx')],
  },
  {
    name: 'auth-redirect',
    what: 'everything asks for a sign-in first, by redirect',
    delivered: false,
    tiers: one(
      'nginx 1.22',
      nginx({
        http: NGINX_MAP,
        server:
          'location = /check { internal; return 401; } location @sign-in { return 302 /sign-in?next=$request_uri; }',
        location: `${NGINX_RIGHT} auth_request /check; error_page 401 = @sign-in;`,
      }),
    ),
    findings: [fault('auth-redirect', 'nginx')],
  },
  {
    name: 'auth-required',
    what: 'everything asks for a password (401)',
    delivered: false,
    tiers: one(
      'nginx 1.22',
      nginx({ http: NGINX_MAP, location: `${NGINX_RIGHT} auth_basic "closed"; auth_basic_user_file /dev/null;` }),
    ),
    findings: [fault('auth-required', 'nginx')],
  },
  {
    name: 'post-refused',
    what: 'a firewall that refuses POST',
    delivered: true,
    best: 'websocket',
    tiers: one(
      'nginx 1.22',
      nginx({ http: NGINX_MAP, location: `${NGINX_RIGHT} if ($request_method = POST) { return 403; }` }),
    ),
    findings: [fault('post-refused', 'nginx')],
  },
  {
    name: 'rate-limited',
    what: 'one request a second for each address',
    delivered: true,
    tiers: one(
      'nginx 1.22',
      nginx({
        http: `${NGINX_MAP} limit_req_zone $binary_remote_addr zone=each:1m rate=1r/s;`,
        location: `${NGINX_RIGHT} limit_req zone=each;`,
      }),
    ),
    findings: [fault('rate-limited', 'nginx')],
  },
  {
    name: 'connection-limited',
    what: 'one connection for each address',
    delivered: true,
    tiers: one(
      'nginx 1.22',
      nginx({
        http: `${NGINX_MAP} limit_conn_zone $binary_remote_addr zone=each:1m;`,
        location: `${NGINX_RIGHT} limit_conn each 1;`,
      }),
    ),
    findings: [fault('connection-limited', 'nginx')],
  },
  {
    name: 'backend-down',
    what: 'nothing listens where the proxy asks',
    delivered: false,
    noBackend: true,
    tiers: one('nginx 1.22', nginx({ http: NGINX_MAP, location: NGINX_RIGHT })),
    findings: [fault('backend-down', 'nginx')],
  },
  {
    name: 'host-rewritten',
    what: 'Host is replaced by a name of the inside',
    delivered: true,
    tiers: one('nginx 1.22', nginx({ http: NGINX_MAP, location: NGINX_RIGHT.replace('$http_host', 'inside.example') })),
    findings: [note('host-rewritten', 'nginx')],
  },
];
