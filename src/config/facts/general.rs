//! The table's rows for the application in between and for max-auth itself; and for whatever else it is, in words,
//! because no line of ours can be known.

use super::Code::*;
use super::Fact;
use super::Layer::{App, Unknown};
use super::proxies::{UPGRADE_OR_TOKEN, fact, words};

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
        "server.trusted_proxies = [\"127.0.0.0/8\", \"::1/128\", \"ADDRESS\"]",
        "ADDRESS is that of the proxy, or of the outer tier as the inner one sees it (the log of max-auth names one that \
         is not listed): what these say about visitors is believed",
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
    words(
        Unknown,
        "any-upgrade",
        "pass on `Upgrade: websocket` and `Connection: upgrade` below {base}, over HTTP/1.1",
        UPGRADE_OR_TOKEN,
    ),
    words(
        Unknown,
        "any-key",
        "pass on Sec-WebSocket-Key with the upgrade: max-auth manages without it, others refuse",
        &[WsKeyMissing],
    ),
    words(
        Unknown,
        "any-stream",
        "in what proxies here, switch off what collects answers below {base}: response buffering, rewriting, a firewall that \
         reads whole answers",
        &[Buffered, WholeResponseBuffered, XAccelIgnored],
    ),
    words(
        Unknown,
        "any-compress",
        "leave text/event-stream out of what is compressed",
        &[Compressed, CompressedLateByOne, AppCompression],
    ),
    words(
        Unknown,
        "any-delay",
        "pass on what comes when it comes: look for what inspects, shapes or bundles answers below {base}",
        &[Delayed],
    ),
    words(Unknown, "any-cache", "do not cache below {base}", &[Cached]),
    words(Unknown, "any-timeout", "raise the timeout of answers below {base} to an hour", &[IdleTimeout, TotalTimeout]),
    words(Unknown, "any-route", "send {base} and everything below it to http://{upstream}", &[NotRouted]),
    words(
        Unknown,
        "any-loop",
        "let what redirects see the visitor's scheme and name: pass on Host and X-Forwarded-Proto, at a CDN choose TLS to \
         the server, too (Cloudflare: Full instead of Flexible); or leave {base} out of the redirect",
        &[RedirectLoop],
    ),
    words(
        Unknown,
        "any-auth",
        "let {base} through without a login: it is how people log in",
        &[AuthRedirect, AuthRequired],
    ),
    words(Unknown, "any-post", "allow POST (application/json) below {base}", &[PostRefused]),
    words(
        Unknown,
        "any-backend",
        "start max-auth, and point the proxy at the address it listens on (server.listen)",
        &[BackendDown],
    ),
    words(Unknown, "any-rate", "allow a burst of 40 requests per visitor below {base}", &[RateLimited]),
    words(Unknown, "any-connections", "allow 20 connections per visitor below {base}", &[ConnectionLimited]),
    words(Unknown, "any-host", "pass on the Host header as the visitor sent it", &[HostRewritten]),
    words(Unknown, "any-origin", "pass on the Origin header; set server.public_url to \"{origin}\"", &[OriginRefused]),
    words(Unknown, "any-client", "send X-Forwarded-For with the visitor's address", &[ClientAddressLost]),
    words(
        Unknown,
        "any-tls",
        "renew the certificate, for this name and with its intermediates (certbot renew; fullchain.pem)",
        &[Tls],
    ),
    words(Unknown, "any-dns", "add an A or AAAA record for the name, or correct the address", &[Dns]),
    fact(Unknown, "any-clock", "timedatectl set-ntp true", "on the machine whose clock is wrong", &[ClockSkew]),
    words(
        Unknown,
        "any-max",
        "see upstream.endpoints and upstream.app_version; allow outgoing connections to port 443",
        &[UpstreamUnreachable],
    ),
    words(
        Unknown,
        "any-frames",
        "let bytes through in both directions after the 101 below {base}: what answers an upgrade must pass on what follows",
        &[WsFramesHeld],
    ),
    words(
        Unknown,
        "any-workers",
        "let it answer many requests at once: each held stream takes a worker or a thread (gunicorn: threads = 32)",
        &[OneWorker],
    ),
    words(
        Unknown,
        "any-hop",
        "give --hop an address that this machine reaches and that leads to max-auth, such as http://127.0.0.1:8080",
        &[HopNotAsked],
    ),
];
