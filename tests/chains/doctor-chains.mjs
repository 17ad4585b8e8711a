// Chains that only the doctor looks at: what it has to tell from outside where several products stand in a row, where the
// cause is no buffer, or where what proxies is no proxy. The format is that of chains.mjs; and here
// `settings`: of max-auth; `hops`: every inner address is given to the doctor (--hop);
// `left`: codes that no line of that product can cure, so that they may stay;
// `byHand`: what a person fills in where the printed line has a word in capitals: {WORD: value};
// `prints`: what must be printed;
// `never`: what may not be printed, because the request shows that it is there or because it belongs to another product.

import { NGINX_MAP, NGINX_RIGHT, apache, h2o, nginx, traefik, varnish } from './templates.mjs';

const fault = (code, layer, tier = 'single|unknown') => ({ code, layer, tier, severity: 'fault' });
const either = (code, layer, tier) => ({ ...fault(code, layer, tier), severity: 'fault|note' });

const RIGHT = { http: NGINX_MAP, location: NGINX_RIGHT };
const rightBut = (replace, by) => ({ ...RIGHT, location: NGINX_RIGHT.replace(replace, by) });
const before = (product, config, outer = RIGHT) => [
  { product: 'nginx 1.22', config: nginx(outer) },
  { product, config },
];

/** Lines that a right nginx has in place: to print them again is to have understood nothing. */
const NGINX_IN_PLACE = /proxy_buffering|proxy_http_version|\$http_upgrade|\$connection_upgrade/;
const NGINX_AT_ALL = /proxy_|nginx/;

// `ready` lets Varnish and Apache pass upgrades on, so that only the other thing is wrong.
const VARNISH_PIPE = {
  recv: 'if (req.http.Upgrade ~ "(?i)websocket") { return (pipe); }',
  pipe: 'if (req.http.Upgrade) { set bereq.http.Upgrade = req.http.Upgrade; set bereq.http.Connection = req.http.Connection; }',
};
const APACHE_UPGRADE = 'upgrade=websocket timeout=3600';

const MOD_SECURITY = `LoadModule unique_id_module /usr/lib/apache2/modules/mod_unique_id.so
LoadModule security2_module /usr/lib/apache2/modules/mod_security2.so
    SecRuleEngine On
    SecRequestBodyAccess Off
    SecResponseBodyAccess On
    SecResponseBodyMimeType text/plain text/html text/event-stream application/json
    SecTmpDir %FOLDER%`;

// Collects the answer, as filters do that rewrite or search it.
const LUA_HOLDS = `body_filter_by_lua_block {
                local held = (ngx.ctx.held or "") .. (ngx.arg[1] or "")
                ngx.ctx.held = held
                if ngx.arg[2] then ngx.arg[1] = held else ngx.arg[1] = nil end
            }`;

const CACHE_HTTP = `${NGINX_MAP} proxy_cache_path %FOLDER%/cache keys_zone=all:1m;`;
const CACHE_ALL =
  'proxy_cache all; proxy_cache_key $uri; proxy_cache_valid any 10m; proxy_ignore_headers Cache-Control Expires Set-Cookie Vary X-Accel-Expires X-Accel-Buffering;';

const APACHE_CACHE = `LoadModule cache_module /usr/lib/apache2/modules/mod_cache.so
LoadModule cache_disk_module /usr/lib/apache2/modules/mod_cache_disk.so
    CacheRoot %FOLDER%
    CacheEnable disk /
    CacheDefaultExpire 600
    CacheIgnoreCacheControl On
    CacheIgnoreNoLastMod On
    CacheIgnoreQueryString On
    CacheStoreNoStore On
    CacheStorePrivate On
    CacheStoreExpired On
    CacheIgnoreHeaders Set-Cookie`;

const H2O_COMPRESS = {
  path: 'compress: ON\n        proxy.websocket: ON',
  lines: 'file.mime.addtypes:\n  "text/event-stream":\n    extensions: [".es"]\n    is_compressible: YES',
};

export const DOCTOR_CHAINS = [
  // ---- products that do not say their name -------------------------------------------------------------------------------
  {
    name: 'doctor-traefik-buffering',
    what: 'Traefik says no name in its answers; its buffering middleware holds whole ones',
    tiers: [
      {
        product: 'traefik',
        config: traefik({ middlewares: { hold: '{ buffering: { maxRequestBodyBytes: 2000000 } }' } }),
      },
    ],
    findings: [fault('whole-response-buffered', 'traefik')],
  },
  {
    name: 'doctor-nginx-traefik-buffering',
    what: 'a right nginx before a Traefik that holds whole answers',
    tiers: before('traefik', traefik({ middlewares: { hold: '{ buffering: { maxRequestBodyBytes: 2000000 } }' } })),
    findings: [fault('whole-response-buffered', 'traefik')],
    never: NGINX_IN_PLACE,
  },
  {
    name: 'doctor-h2o-h2',
    what: 'h2o compresses event streams with Brotli over HTTP/2: late by one',
    tls: true,
    tiers: [{ product: 'h2o', config: h2o({ ...H2O_COMPRESS, tls: true }) }],
    findings: [either('compressed-late-by-one', 'h2o')],
  },
  {
    name: 'doctor-twisted',
    what: 'a proxy of Twisted: no upgrades, and HTTP/1.0 with "close", as nginx has it',
    tiers: [{ product: 'twisted', config: () => '' }],
    findings: [fault('ws-upgrade-not-passed', 'unknown'), fault('client-address-lost', 'unknown')],
    never: NGINX_AT_ALL,
    left: ['ws-upgrade-not-passed', 'client-address-lost'],
  },

  // ---- nginx is right, what stands behind is not -------------------------------------------------------------------------
  {
    name: 'doctor-nginx-varnish-gzip',
    what: 'a right nginx before a Varnish that gzips and holds',
    tiers: before('varnish', varnish({ ...VARNISH_PIPE, response: 'set beresp.do_gzip = true;' })),
    findings: [fault('compressed', 'varnish')],
    never: NGINX_IN_PLACE,
  },
  {
    name: 'doctor-nginx-varnish-nostream',
    what: 'a right nginx before a Varnish that fetches whole answers',
    tiers: before('varnish', varnish({ ...VARNISH_PIPE, response: 'set beresp.do_stream = false;' })),
    findings: [fault('whole-response-buffered', 'varnish')],
    never: NGINX_IN_PLACE,
  },
  {
    name: 'doctor-nginx-varnish-both',
    what: 'nothing is right: nginx and Varnish on defaults, and Varnish fetches whole answers',
    tiers: before('varnish', varnish({ response: 'set beresp.do_stream = false;' }), {}),
    findings: [
      fault('ws-upgrade-not-passed', 'nginx'),
      fault('ws-upgrade-not-passed', 'varnish'),
      fault('whole-response-buffered', 'varnish'),
    ],
  },
  {
    name: 'doctor-apache-modsecurity',
    what: 'ModSecurity reads whole answers in Apache',
    needs: '/usr/lib/apache2/modules/mod_security2.so',
    tiers: [{ product: 'apache', config: apache({ pass: APACHE_UPGRADE, lines: MOD_SECURITY }) }],
    findings: [fault('whole-response-buffered', 'apache')],
  },
  {
    name: 'doctor-nginx-apache-modsecurity',
    what: 'a right nginx before an Apache with ModSecurity',
    needs: '/usr/lib/apache2/modules/mod_security2.so',
    tiers: before('apache', apache({ pass: APACHE_UPGRADE, lines: MOD_SECURITY })),
    findings: [fault('whole-response-buffered', 'apache')],
    never: NGINX_IN_PLACE,
  },
  {
    name: 'doctor-nginx-lua',
    what: 'a Lua filter collects answers; proxy_buffering off is there',
    needs: '/usr/lib/nginx/modules/ngx_http_lua_module.so',
    tiers: [
      {
        product: 'nginx 1.22',
        config: nginx({
          ...RIGHT,
          location: `${NGINX_RIGHT}\n            ${LUA_HOLDS}`,
          modules: ['ndk_http', 'ngx_http_lua'],
        }),
      },
    ],
    findings: [fault('whole-response-buffered', 'nginx')],
    never: NGINX_IN_PLACE,
  },
  {
    name: 'doctor-nginx-app-compression',
    what: 'nginx buffers and hides that the application behind it collects what it compresses',
    hops: true,
    tiers: before('simulated', () => ({ gzip: true }), rightBut('proxy_buffering off;', '')),
    findings: [
      fault('ws-upgrade-not-passed', 'app|nginx|unknown', 'inner|single|unknown'),
      either('app-compression', 'app', 'inner|single|unknown'),
    ],
    left: ['ws-upgrade-not-passed'],
  },

  // ---- no buffer ---------------------------------------------------------------------------------------------------------
  {
    name: 'doctor-late',
    what: 'a middlebox from which event streams come 1.5 s late, whole and in time with each other',
    tiers: [{ product: 'simulated', config: () => ({ stream: { lateMs: 1500 }, forwarded: true }) }],
    findings: [fault('delayed', 'unknown')],
  },
  {
    name: 'doctor-swallows-frames',
    what: 'a middlebox answers 101 and passes no frame on',
    tiers: [{ product: 'simulated', config: () => ({ swallowFrames: true, forwarded: true }) }],
    findings: [fault('ws-frames-held', 'unknown')],
    never: /ws: true/,
  },
  {
    name: 'doctor-gunicorn',
    what: 'an application of one worker in between: one held stream, and nobody else is answered',
    tiers: [{ product: 'gunicorn', config: () => 'workers = 1\n#fix\n' }],
    findings: [fault('one-worker', 'gunicorn'), fault('ws-upgrade-not-passed', 'gunicorn|unknown|app')],
    never: NGINX_AT_ALL,
    left: ['ws-upgrade-not-passed'],
  },

  // ---- caches that are told to ignore what forbids them ----------------------------------------------------------------------
  {
    name: 'doctor-nginx-cache',
    what: 'nginx caches and ignores every header that forbids it',
    tiers: [
      {
        product: 'nginx 1.22',
        config: nginx({
          http: CACHE_HTTP,
          location: `${NGINX_RIGHT.replace('proxy_buffering off;', '')} ${CACHE_ALL}`,
        }),
      },
    ],
    findings: [fault('cached', 'nginx')],
    never: /\$http_upgrade/,
  },
  {
    name: 'doctor-varnish-cache',
    what: 'Varnish caches everything and drops cookies',
    tiers: [
      {
        product: 'varnish',
        config: varnish({
          ...VARNISH_PIPE,
          recv: `${VARNISH_PIPE.recv} if (req.method == "GET") { set req.http.X-Kept = req.http.Cookie; return (hash); }`,
          response:
            'set beresp.ttl = 10m; unset beresp.http.Vary; unset beresp.http.Cache-Control; set beresp.uncacheable = false; return (deliver);',
        }),
      },
    ],
    findings: [fault('cached', 'varnish')],
  },
  {
    // Even so it obeys Vary, so that what is one visitor's stays his: then it is a note.
    name: 'doctor-apache-cache',
    what: 'Apache caches with every CacheIgnore switch on',
    tiers: [{ product: 'apache', config: apache({ pass: APACHE_UPGRADE, lines: APACHE_CACHE }) }],
    findings: [either('cached', 'apache')],
    prints: /^CacheDisable "\/api\/auth\/max"$/m,
  },

  // ---- addresses ---------------------------------------------------------------------------------------------------------
  {
    name: 'doctor-two-addresses',
    what: 'two tiers with $remote_addr on both: the outer one is every visitor',
    tiers: [
      { product: 'nginx 1.22', config: nginx({ ...RIGHT, location: `${NGINX_RIGHT} proxy_bind 127.0.0.21;` }) },
      { product: 'nginx 1.22', config: nginx(RIGHT) },
    ],
    findings: [fault('client-address-lost', 'nginx', 'inner')],
  },
  {
    name: 'doctor-two-addresses-untrusted',
    what: 'the same, and server.trusted_proxies does not name the outer tier',
    settings: { SERVER_TRUSTED_PROXIES: '["127.0.0.1/32"]' },
    byHand: { ADDRESS: '127.0.0.21' },
    tiers: [
      { product: 'nginx 1.22', config: nginx({ ...RIGHT, location: `${NGINX_RIGHT} proxy_bind 127.0.0.21;` }) },
      { product: 'nginx 1.22', config: nginx(RIGHT) },
    ],
    findings: [fault('client-address-lost', 'nginx', 'inner')],
  },
  {
    name: 'doctor-two-none',
    what: 'two tiers that say nothing about visitors',
    tiers: [
      {
        product: 'nginx 1.22',
        config: nginx(rightBut(/proxy_set_header X-Forwarded-For[^;]*;/, 'proxy_bind 127.0.0.21;')),
      },
      { product: 'nginx 1.22', config: nginx(rightBut(/proxy_set_header X-Forwarded-For[^;]*;/, '')) },
    ],
    hops: true,
    findings: [fault('client-address-lost', 'nginx', 'outer|inner|both|unknown|single')],
  },
];
