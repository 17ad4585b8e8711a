//! nginx, which most sites stand behind, often as two tiers.

use crate::proxies::fact::{UPGRADE, UPGRADE_OR_TOKEN, fact, only, placed};
use crate::proxies::finding_code::FindingCode::{self, *};
use crate::proxies::position::ProxyPosition::{Inner, Outer, Unknown};
use crate::proxies::product::{ForgedAtVerify, Product, Template};
use crate::proxies::signature::{Attribution, B, Conclusion, L, Signature, Want, conclusion, signature};

/// What a buffer does, or the compressor behind one.
const HELD: &[FindingCode] = &[Buffered, Compressed, CompressedLateByOne, XAccelIgnored];

/// What visitors reach, and where its files are.
pub(super) const OUTSIDE: Template = Template::new("nginx", include_str!("../templates/nginx.conf"));
pub(super) const INSIDE: Template =
    Template { position: Inner, ..Template::new("nginx-inner", include_str!("../templates/nginx-inner.conf")) };

/// Where what guards a page goes.
const PAGE: &str = "the location of the page";

const FILES: (&str, &str) = ("file", "/etc/nginx/conf.d/max-auth.conf");
const RELOAD: (&str, &str) = ("reload", "nginx -t && systemctl reload nginx");
const SINCE: (&str, &str) = ("since", "nginx 1.18");

/// A row in which `X-Accel-Buffering` did not arrive.
const fn row(streams: [Want; 7], conclusions: &'static [Conclusion], means: &'static str) -> Signature {
    Signature { accel: Some(false), ..signature(streams, conclusions, means) }
}

pub static PRODUCT: Product = Product {
    // openresty is nginx with Lua.
    answer_marks: &[("server", "nginx"), ("server", "openresty")],
    has_tiers: true,
    main_file: "nginx.conf",
    drops_upgrades: true,
    forged_at_verify: ForgedAtVerify::Underscores,
    signatures: &[
        row(
            [B, B, L, B, L, L, L],
            &[conclusion(Buffered, Attribution::Owner, Unknown)],
            "one nginx buffers answers; it obeyed X-Accel-Buffering and took the header out (others in front of it may be there, and do not buffer)",
        ),
        row(
            [L, B, L, B, L, L, L],
            &[conclusion(Compressed, Attribution::Owner, Unknown)],
            "one nginx compresses event streams and buffers what it compresses",
        ),
        row(
            [B, B, B, B, L, L, L],
            &[
                conclusion(Buffered, Attribution::Owner, Unknown),
                conclusion(AppCompression, Attribution::GuessApplication, Unknown),
            ],
            "one nginx buffers answers, and behind it the application compresses event streams",
        ),
        row(
            [B, B, B, B, B, B, L],
            &[conclusion(Buffered, Attribution::Owner, Outer)],
            "the outer of two nginx tiers buffers: the inner one took X-Accel-Buffering out, so the outer never saw it \
             (a single nginx with `proxy_ignore_headers X-Accel-Buffering` looks the same from here)",
        ),
        Signature {
            head: Some(false),
            ..row(
                [B, B, B, B, B, L, L],
                &[conclusion(Compressed, Attribution::Owner, Outer), conclusion(Buffered, Attribution::Owner, Inner)],
                "of two nginx tiers the outer one compresses and buffers, and the inner one, which talks HTTP/1.0 to \
                 max-auth, buffers too",
            )
        },
        row(
            [L, B, B, B, B, L, L],
            &[conclusion(Compressed, Attribution::Owner, Outer)],
            "the outer of two nginx tiers compresses event streams and buffers what it compresses; the inner one took \
             X-Accel-Buffering out",
        ),
        Signature {
            owner_seen: true,
            ..row(
                [B, B, B, B, B, B, B],
                &[conclusion(Buffered, Attribution::Owner, Unknown)],
                "an nginx that never sees X-Accel-Buffering holds more than 12 KB back (large proxy_buffers), or a layer \
                 behind it holds whole answers",
            )
        },
    ],
    templates: &[
        Template { values: &[("title", "One nginx between visitors and max-auth."), FILES, RELOAD, SINCE], ..OUTSIDE },
        Template {
            target: "nginx-outer",
            position: Outer,
            values: &[("title", "The outer tier: what visitors reach."), FILES, RELOAD, SINCE],
            ..OUTSIDE
        },
        Template { values: &[FILES, RELOAD], ..INSIDE },
    ],
    facts: &[
        fact("http11", "proxy_http_version 1.1;", "the default 1.0 can neither upgrade nor stream in chunks", UPGRADE),
        fact(
            "upgrade",
            "proxy_set_header Upgrade $http_upgrade;",
            "without it a WebSocket arrives as a plain GET: 426",
            UPGRADE,
        ),
        fact(
            "connection",
            "proxy_set_header Connection $connection_upgrade;",
            "\"upgrade\" for a WebSocket, nothing otherwise",
            UPGRADE_OR_TOKEN,
        ),
        placed(
            "the http block, outside of server, once",
            fact(
                "map",
                "map $http_upgrade $connection_upgrade { default upgrade; '' ''; }",
                "once, in the http block, outside of server",
                UPGRADE_OR_TOKEN,
            ),
        ),
        fact(
            "buffering",
            "proxy_buffering off;",
            "each event leaves when it comes; also makes gzip and brotli flush",
            HELD,
        ),
        fact(
            "lua",
            "body_filter_by_lua_block { }",
            "if a Lua filter is there: an empty one in this location takes the place of the one around it",
            &[WholeResponseBuffered],
        ),
        fact(
            "modsecurity",
            "modsecurity_rules 'SecResponseBodyAccess Off';",
            "if ModSecurity is there: to read an answer it holds all of it",
            &[WholeResponseBuffered],
        ),
        fact(
            "read-timeout",
            "proxy_read_timeout 1h;",
            "a sign-in waits for a person; the default ends it after 60 s of silence",
            &[IdleTimeout, TotalTimeout],
        ),
        fact("send-timeout", "proxy_send_timeout 1h;", "the same for the other direction", &[IdleTimeout]),
        fact("cache", "proxy_cache off;", "an answer about one sign-in must never reach another visitor", &[Cached]),
        fact("host", "proxy_set_header Host $http_host;", "the name and port the visitor sees", &[HostRewritten]),
        only(
            Outer,
            fact(
                "client",
                "proxy_set_header X-Forwarded-For $remote_addr;",
                "the visitor's address: sign-ins are limited by it; on the outer or only tier, what the visitor wrote is dropped",
                &[ClientAddressLost],
            ),
        ),
        only(
            Inner,
            fact(
                "client-inner",
                "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;",
                "adds the outer tier to the chain that it began",
                &[ClientAddressLost],
            ),
        ),
        fact(
            "location",
            "location {base} { proxy_pass http://{upstream}; }",
            "the path must reach max-auth and not the site's own pages",
            &[NotRouted],
        ),
        fact("auth-request", "auth_request off;", "signing in must not need a session", &[AuthRedirect]),
        fact("auth-basic", "auth_basic off;", "signing in must not need a password", &[AuthRequired]),
        fact(
            "origin",
            "proxy_set_header Origin $http_origin;",
            "the browser's Origin must arrive as it was sent",
            &[OriginRefused],
        ),
        fact(
            "limit-req",
            "limit_req zone=ZONE burst=40 nodelay;",
            "ZONE is the name that limit_req has there now; a page that signs in makes a handful of requests at once, the doctor some thirty",
            &[RateLimited],
        ),
        fact(
            "limit-conn",
            "limit_conn ZONE 20;",
            "ZONE is the name that limit_conn has there now; a visitor holds two or three connections, a home many visitors",
            &[ConnectionLimited],
        ),
        placed(
            PAGE,
            fact(
                "protect",
                "auth_request /.max-auth;",
                "who is not signed in does not get further",
                &[PageNotProtected],
            ),
        ),
        placed(PAGE, fact("led", "error_page 401 = @sign-in;", "auth_request itself can only refuse", &[SignInNotLed])),
        placed(
            PAGE,
            fact(
                "user",
                "proxy_set_header X-Auth-User $max_auth_user;",
                "in place of what the visitor may have sent",
                &[ForgedUserPassed],
            ),
        ),
        placed(
            "the http block",
            fact(
                "underscores",
                "underscores_in_headers off;",
                "or leave it out: many applications read X_Auth_User and X-Auth-User as one",
                &[ForgedUserPassed],
            ),
        ),
        placed(
            "location @sign-in",
            fact(
                "way-back",
                "return 303 $scheme://$http_host{base}/enter?to=$request_uri;",
                "the whole address, as it was asked for",
                &[SignInNotLed, WayBackPathLost, WayBackHostWrong],
            ),
        ),
        placed(
            "location = /.max-auth",
            fact(
                "ask-always",
                "proxy_cache off;",
                "an answer about one visitor must not be another's",
                &[VerifyCached],
            ),
        ),
    ],
    ..Product::new("nginx", "the location for {base}")
};
