//! The table's rows for the application in between and for max-auth itself; and for whatever else it is, in words,
//! because no line of ours can be known.

use super::Code::*;
use super::Fact;
use super::Layer::{App, Unknown};
use super::proxies::{UPGRADE_OR_TOKEN, fact};

pub const GENERAL: &[Fact] = &[
    // The application in between, and max-auth itself
    fact(
        App,
        "app-compression",
        "app.use(compression({ filter: (req, res) => !req.path.startsWith('{base}') && compression.filter(req, res) }))",
        "the middleware collects what it compresses; leave this path out, or set Cache-Control: no-transform on it",
        &[AppCompression],
    ),
    fact(
        App,
        "app-websocket",
        "createProxyMiddleware({ target: 'http://{upstream}', ws: true }); server.on('upgrade', proxy.upgrade)",
        "without both, a WebSocket through the application is never answered",
        &[WsUpgradeHangs],
    ),
    fact(
        App,
        "public-url",
        "server.public_url = \"{origin}\"",
        "sign-ins are taken from this address only",
        &[OriginRefused],
    ),
    fact(
        App,
        "trusted-proxies",
        "server.trusted_proxies = [\"127.0.0.0/8\", \"::1/128\", \"{proxy}\"]",
        "what this proxy says about visitors is believed",
        &[ClientAddressLost],
    ),
    fact(
        App,
        "base-path",
        "server.base_path = \"{base}\"",
        "max-auth answered, but its endpoints are elsewhere",
        &[NotRouted],
    ),
    fact(App, "running", "systemctl start max-auth", "and see its log: journalctl -u max-auth", &[BackendDown]),
    // Whatever it is
    fact(
        Unknown,
        "any-upgrade",
        "pass on `Upgrade: websocket` and `Connection: upgrade` below {base}, over HTTP/1.1",
        "",
        UPGRADE_OR_TOKEN,
    ),
    fact(
        Unknown,
        "any-key",
        "pass on Sec-WebSocket-Key with the upgrade",
        "max-auth manages without it; others refuse",
        &[WsKeyMissing],
    ),
    fact(
        Unknown,
        "any-stream",
        "switch off response buffering below {base} (nginx: proxy_buffering off; lighttpd: server.stream-response-body = 1; \
         Varnish: do_stream; Traefik: no buffering middleware)",
        "",
        &[Buffered, WholeResponseBuffered, XAccelIgnored],
    ),
    fact(
        Unknown,
        "any-compress",
        "leave text/event-stream out of what is compressed",
        "",
        &[Compressed, CompressedLateByOne, AppCompression],
    ),
    fact(Unknown, "any-delay", "switch on TCP_NODELAY (HAProxy: option http-no-delay)", "", &[Delayed]),
    fact(Unknown, "any-cache", "do not cache below {base}", "", &[Cached]),
    fact(
        Unknown,
        "any-timeout",
        "raise the timeout of answers below {base} to an hour",
        "",
        &[IdleTimeout, TotalTimeout],
    ),
    fact(Unknown, "any-route", "send {base} and everything below it to http://{upstream}", "", &[NotRouted]),
    fact(
        Unknown,
        "any-auth",
        "let {base} through without a login: it is how people log in",
        "",
        &[AuthRedirect, AuthRequired],
    ),
    fact(Unknown, "any-post", "allow POST (application/json) below {base}", "", &[PostRefused]),
    fact(
        Unknown,
        "any-backend",
        "start max-auth, and point the proxy at the address it listens on (server.listen)",
        "",
        &[BackendDown],
    ),
    fact(Unknown, "any-rate", "allow a burst of 20 requests per visitor below {base}", "", &[RateLimited]),
    fact(Unknown, "any-connections", "allow 20 connections per visitor below {base}", "", &[ConnectionLimited]),
    fact(Unknown, "any-host", "pass on the Host header as the visitor sent it", "", &[HostRewritten]),
    fact(
        Unknown,
        "any-origin",
        "pass on the Origin header; set server.public_url to \"{origin}\"",
        "",
        &[OriginRefused],
    ),
    fact(Unknown, "any-client", "send X-Forwarded-For with the visitor's address", "", &[ClientAddressLost]),
    fact(
        Unknown,
        "any-tls",
        "renew the certificate, for this name and with its intermediates (certbot renew; fullchain.pem)",
        "",
        &[Tls],
    ),
    fact(Unknown, "any-dns", "add an A or AAAA record for the name, or correct the address", "", &[Dns]),
    fact(Unknown, "any-clock", "timedatectl set-ntp true", "on the machine whose clock is wrong", &[ClockSkew]),
    fact(
        Unknown,
        "any-max",
        "see upstream.endpoints and upstream.app_version; allow outgoing connections to port 443",
        "",
        &[UpstreamUnreachable],
    ),
];
