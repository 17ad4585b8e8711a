//! The table's lines for proxies, as measured on real ones.

use super::Code::{self, *};
use super::Layer::{self, *};
use super::{Fact, Tier};

pub(super) const fn fact(
    layer: Layer,
    id: &'static str,
    line: &'static str,
    why: &'static str,
    cures: &'static [Code],
) -> Fact {
    Fact { layer, id, line, why, cures, tier: None, place: None, words: false }
}

/// A sentence for a person.
pub(super) const fn words(layer: Layer, id: &'static str, text: &'static str, cures: &'static [Code]) -> Fact {
    Fact { words: true, ..fact(layer, id, text, "", cures) }
}

const fn placed(place: &'static str, fact: Fact) -> Fact {
    Fact { place: Some(place), ..fact }
}

const fn only(tier: Tier, fact: Fact) -> Fact {
    Fact { tier: Some(tier), ..fact }
}

/// What a buffer of nginx does, or its compressor behind one.
const HELD: &[Code] = &[Buffered, Compressed, CompressedLateByOne, XAccelIgnored];

/// What a WebSocket needs of nginx.
const UPGRADE: &[Code] = &[WsUpgradeNotPassed, WsUpgradeRefused, WsUpgradeHangs];
pub(super) const UPGRADE_OR_TOKEN: &[Code] =
    &[WsUpgradeNotPassed, WsUpgradeRefused, WsUpgradeHangs, WsConnectionHeaderMissing];

pub const PROXIES: &[Fact] = &[
    // nginx
    fact(
        Nginx,
        "http11",
        "proxy_http_version 1.1;",
        "the default 1.0 can neither upgrade nor stream in chunks",
        UPGRADE,
    ),
    fact(
        Nginx,
        "upgrade",
        "proxy_set_header Upgrade $http_upgrade;",
        "without it a WebSocket arrives as a plain GET: 426",
        UPGRADE,
    ),
    fact(
        Nginx,
        "connection",
        "proxy_set_header Connection $connection_upgrade;",
        "\"upgrade\" for a WebSocket, nothing otherwise",
        UPGRADE_OR_TOKEN,
    ),
    placed(
        "the http block, outside of server, once",
        fact(
            Nginx,
            "map",
            "map $http_upgrade $connection_upgrade { default upgrade; '' ''; }",
            "once, in the http block, outside of server",
            UPGRADE_OR_TOKEN,
        ),
    ),
    fact(
        Nginx,
        "buffering",
        "proxy_buffering off;",
        "each event leaves when it comes; also makes gzip and brotli flush",
        HELD,
    ),
    fact(
        Nginx,
        "lua",
        "body_filter_by_lua_block { }",
        "if a Lua filter is there: an empty one in this location takes the place of the one around it",
        &[WholeResponseBuffered],
    ),
    fact(
        Nginx,
        "modsecurity",
        "modsecurity_rules 'SecResponseBodyAccess Off';",
        "if ModSecurity is there: to read an answer it holds all of it",
        &[WholeResponseBuffered],
    ),
    fact(
        Nginx,
        "read-timeout",
        "proxy_read_timeout 1h;",
        "a sign-in waits for a person; the default ends it after 60 s of silence",
        &[IdleTimeout, TotalTimeout],
    ),
    fact(Nginx, "send-timeout", "proxy_send_timeout 1h;", "the same for the other direction", &[IdleTimeout]),
    fact(Nginx, "cache", "proxy_cache off;", "an answer about one sign-in must never reach another visitor", &[Cached]),
    fact(Nginx, "host", "proxy_set_header Host $http_host;", "the name and port the visitor sees", &[HostRewritten]),
    only(
        Tier::Outer,
        fact(
            Nginx,
            "client",
            "proxy_set_header X-Forwarded-For $remote_addr;",
            "the visitor's address: sign-ins are limited by it; on the outer or only tier, what the visitor wrote is dropped",
            &[ClientAddressLost],
        ),
    ),
    only(
        Tier::Inner,
        fact(
            Nginx,
            "client-inner",
            "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;",
            "adds the outer tier to the chain that it began",
            &[ClientAddressLost],
        ),
    ),
    fact(
        Nginx,
        "location",
        "location {base} { proxy_pass http://{upstream}; }",
        "the path must reach max-auth and not the site's own pages",
        &[NotRouted],
    ),
    fact(Nginx, "auth-request", "auth_request off;", "signing in must not need a session", &[AuthRedirect]),
    fact(Nginx, "auth-basic", "auth_basic off;", "signing in must not need a password", &[AuthRequired]),
    fact(
        Nginx,
        "origin",
        "proxy_set_header Origin $http_origin;",
        "the browser's Origin must arrive as it was sent",
        &[OriginRefused],
    ),
    fact(
        Nginx,
        "limit-req",
        "limit_req zone=ZONE burst=40 nodelay;",
        "ZONE is the name that limit_req has there now; a page that signs in makes a handful of requests at once, the doctor some thirty",
        &[RateLimited],
    ),
    fact(
        Nginx,
        "limit-conn",
        "limit_conn ZONE 20;",
        "ZONE is the name that limit_conn has there now; a visitor holds two or three connections, a home many visitors",
        &[ConnectionLimited],
    ),
    // HAProxy
    fact(
        Haproxy,
        "no-delay",
        "option http-no-delay",
        "without it the kernel holds each event for 200 ms, hoping for more",
        &[Delayed],
    ),
    fact(
        Haproxy,
        "tunnel",
        "timeout tunnel 1h",
        "a WebSocket is a tunnel; without this line the timeouts below end it",
        &[IdleTimeout],
    ),
    fact(
        Haproxy,
        "server-timeout",
        "timeout server 1h",
        "a stream may be silent while a person looks for the phone",
        &[IdleTimeout, TotalTimeout],
    ),
    fact(Haproxy, "client-timeout", "timeout client 1h", "the same for the visitor's side", &[IdleTimeout]),
    fact(
        Haproxy,
        "compression",
        "compression type text/html text/css application/javascript application/json",
        "names what may be compressed; without a list event streams are, too",
        &[Compressed, CompressedLateByOne],
    ),
    fact(
        Haproxy,
        "client",
        "option forwardfor",
        "X-Forwarded-For: sign-ins are limited by the visitor's address",
        &[ClientAddressLost],
    ),
    fact(
        Haproxy,
        "route",
        "use_backend max_auth if { path {base} } or { path_beg {base}/ }",
        "the path must reach max-auth and not the site",
        &[NotRouted],
    ),
    // Apache
    fact(
        Apache,
        "proxy-pass",
        "ProxyPass \"{base}\" \"http://{upstream}{base}\" upgrade=websocket",
        "upgrade=websocket needs 2.4.47; without it a WebSocket arrives as a plain GET: 426",
        &[WsUpgradeNotPassed, WsUpgradeRefused, WsUpgradeHangs, NotRouted],
    ),
    fact(
        Apache,
        "timeout",
        "ProxyTimeout 3600",
        "seconds; a sign-in waits for a person, the default ends it after 60 s of silence",
        &[IdleTimeout, TotalTimeout],
    ),
    fact(Apache, "host", "ProxyPreserveHost On", "the name and port the visitor sees", &[HostRewritten]),
    fact(
        Apache,
        "add-headers",
        "ProxyAddHeaders On",
        "X-Forwarded-For, -Host: the visitor's address",
        &[ClientAddressLost],
    ),
    fact(
        Apache,
        "cache",
        "CacheDisable \"{base}\"",
        "an answer about one sign-in must never reach another visitor",
        &[Cached],
    ),
    fact(
        Apache,
        "modsecurity",
        "<Location \"{base}\">\n    SecResponseBodyAccess Off\n</Location>",
        "ModSecurity: to read an answer it holds all of it",
        &[WholeResponseBuffered],
    ),
    // Caddy
    fact(
        Caddy,
        "encode",
        "@rest not path {base} {base}/*\nencode @rest zstd gzip",
        "Caddy before 2.11 holds an event stream back that it compresses",
        &[Buffered, Compressed, CompressedLateByOne],
    ),
    fact(
        Caddy,
        "flush",
        "flush_interval -1",
        "in reverse_proxy: each event leaves when it comes, whatever its type",
        &[Buffered, WholeResponseBuffered],
    ),
    // Traefik
    fact(
        Traefik,
        "no-buffering",
        "middlewares: []",
        "the middleware `buffering` holds whole answers: leave it out of this router",
        &[Buffered, WholeResponseBuffered],
    ),
    placed(
        "the static configuration, or the command line",
        fact(
            Traefik,
            "timeouts",
            "--entryPoints.https.transport.respondingTimeouts.readTimeout=0s",
            "of the entry point: no end for a request that takes a person's time",
            &[IdleTimeout, TotalTimeout],
        ),
    ),
    // Envoy
    fact(
        Envoy,
        "upgrade",
        "upgrade_configs:\n- upgrade_type: websocket",
        "without it Envoy answers a WebSocket with 403",
        &[WsUpgradeRefused, WsUpgradeNotPassed, WsUpgradeHangs],
    ),
    fact(
        Envoy,
        "route-timeout",
        "timeout: 0s",
        "of the route: the default ends every request 15 s after it began, events or not",
        &[TotalTimeout],
    ),
    fact(
        Envoy,
        "idle-timeout",
        "stream_idle_timeout: 0s",
        "a sign-in waits for a person; the default ends it after 5 min of silence",
        &[IdleTimeout],
    ),
    fact(
        Envoy,
        "client",
        "use_remote_address: true",
        "X-Forwarded-For says the visitor's address: sign-ins are limited by it",
        &[ClientAddressLost],
    ),
    fact(
        Envoy,
        "no-connect",
        "allow_connect: false",
        "of http2_protocol_options: browsers then open the WebSocket over HTTP/1.1, with its key",
        &[WsKeyMissing],
    ),
    // Varnish
    fact(
        Varnish,
        "pipe",
        "sub vcl_recv { if (req.http.upgrade ~ \"(?i)websocket\") { return (pipe); } }\n\
         sub vcl_pipe { if (req.http.upgrade) { set bereq.http.upgrade = req.http.upgrade; \
         set bereq.http.connection = req.http.connection; } }",
        "the built-in VCL drops the upgrade",
        &[WsUpgradeNotPassed, WsUpgradeRefused, WsUpgradeHangs],
    ),
    fact(
        Varnish,
        "no-gzip",
        "sub vcl_backend_response { if (bereq.url ~ \"^{base}\") { set beresp.do_gzip = false; \
         set beresp.uncacheable = true; return (deliver); } }",
        "do_gzip holds events back, whatever the browser asked for",
        &[Compressed, CompressedLateByOne],
    ),
    fact(
        Varnish,
        "stream",
        "sub vcl_backend_response { if (bereq.url ~ \"^{base}\") { set beresp.do_stream = true; \
         set beresp.uncacheable = true; return (deliver); } }",
        "without it the whole answer is fetched first",
        &[Buffered, WholeResponseBuffered],
    ),
    fact(
        Varnish,
        "pass",
        "sub vcl_recv { if (req.url ~ \"^{base}\" && !req.http.upgrade) { return (pass); } }",
        "an answer about one sign-in must never reach another visitor",
        &[Cached],
    ),
    placed(
        "the backend's block of the VCL",
        fact(
            Varnish,
            "timeouts",
            ".first_byte_timeout = 1h; .between_bytes_timeout = 1h;",
            "the default ends a stream after 60 s of silence",
            &[IdleTimeout, TotalTimeout],
        ),
    ),
    // Squid
    fact(
        Squid,
        "upgrade",
        "http_upgrade_request_protocols websocket allow all",
        "in lower case: the manual's WebSocket does not match what browsers send",
        &[WsUpgradeNotPassed, WsUpgradeRefused, WsUpgradeHangs],
    ),
    // lighttpd
    fact(
        Lighttpd,
        "stream",
        "server.stream-response-body = 1",
        "the default 0 holds the whole answer, its head too",
        &[Buffered, WholeResponseBuffered],
    ),
    fact(
        Lighttpd,
        "upgrade",
        "proxy.header = ( \"upgrade\" => \"enable\" )",
        "passes on the upgrade of a WebSocket",
        &[WsUpgradeNotPassed, WsUpgradeRefused, WsUpgradeHangs],
    ),
    // Traffic Server
    fact(
        Trafficserver,
        "compress",
        "compressible-content-type !text/event-stream",
        "the plugin holds events back, and with them even heartbeats",
        &[Compressed, CompressedLateByOne, Buffered],
    ),
    placed(
        "records.config",
        fact(
            Trafficserver,
            "idle",
            "CONFIG proxy.config.http.transaction_no_activity_timeout_out INT 3600",
            "seconds; the default ends a stream after 30 s of silence",
            &[IdleTimeout],
        ),
    ),
    placed(
        "records.config",
        fact(
            Trafficserver,
            "total",
            "CONFIG proxy.config.http.transaction_active_timeout_out INT 0",
            "seconds from the request's beginning, whatever flows; 0 is none",
            &[TotalTimeout],
        ),
    ),
    // h2o
    fact(
        H2o,
        "websocket",
        "proxy.websocket: ON",
        "off by default: a WebSocket arrives as a plain GET",
        &[WsUpgradeNotPassed, WsUpgradeRefused, WsUpgradeHangs],
    ),
    fact(H2o, "compress", "compress: OFF", "its compressor keeps one event back", &[Compressed, CompressedLateByOne]),
    fact(
        H2o,
        "io",
        "proxy.timeout.io: 3600000",
        "milliseconds; the default ends a stream after 30 s",
        &[IdleTimeout, TotalTimeout],
    ),
    // gunicorn
    fact(
        Gunicorn,
        "threads",
        "threads = 32",
        "or --threads 32: each held stream takes one; by default there is one worker that answers one request at a time",
        &[OneWorker],
    ),
    // Cloudflare
    fact(
        Cloudflare,
        "websockets",
        "Network > WebSockets: on",
        "per zone",
        &[WsUpgradeNotPassed, WsUpgradeRefused, WsUpgradeHangs],
    ),
    fact(
        Cloudflare,
        "cache",
        "Caching > Cache Rules: URI Path starts with {base}, Bypass cache",
        "an answer about one sign-in must never reach another visitor",
        &[Cached],
    ),
];
