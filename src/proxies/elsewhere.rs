//! What else a finding can be about than a product: the application in between and max-auth itself; the machine that
//! asked; and whatever it is, in words, because no line of ours can be known.

use super::fact::{UPGRADE_OR_TOKEN, advice, fact};
use super::finding_code::FindingCode::*;
use super::position::ProxyPosition::Unknown;
use super::product::{Layer, Product, Template};
use super::signature::{A, Attribution, B, H, L, Signature, T, conclusion, signature};

/// The application in between, or max-auth itself.
pub const APP: Layer = Layer(&APPLICATION);
/// The machine that ran the doctor.
pub const CLIENT_SIDE: Layer = Layer(&MACHINE);
/// What did not name itself.
pub const UNKNOWN: Layer = Layer(&ANY);

static APPLICATION: Product = Product {
    operator: Some(("you, in the application in front of max-auth", "вы, в приложении перед max-auth")),
    signatures: &[signature(
        [L, B, B, L, L, L, L],
        &[conclusion(AppCompression, Attribution::Guess, Unknown)],
        "compression middleware of an application collects events; it stops at no-transform",
    )],
    templates: &[
        Template::new("compose", include_str!("templates/compose.yaml")),
        Template { comments_behind: false, ..Template::new("systemd", include_str!("templates/max-auth.service")) },
    ],
    facts: &[
        fact(
            "compression",
            "app.use(compression({ filter: (req, res) => !req.path.startsWith('{base}') && compression.filter(req, res) }))",
            "the middleware collects what it compresses; leave this path out, or set Cache-Control: no-transform on it",
            &[AppCompression],
        ),
        fact(
            "app-websocket",
            "createProxyMiddleware({ target: 'http://{upstream}', ws: true }); server.on('upgrade', proxy.upgrade)",
            "without both, a WebSocket through the application is never answered",
            &[WsUpgradeHangs],
        ),
        fact(
            "public-url",
            "server.public_url = \"{origin}\"",
            "sign-ins are taken from this address only",
            &[OriginRefused],
        ),
        fact(
            "trusted-proxies",
            "server.trusted_proxies = [\"127.0.0.0/8\", \"::1/128\", \"ADDRESS\"]",
            "ADDRESS is that of the proxy, or of the outer tier as the inner one sees it (the log of max-auth names one that \
         is not listed): what these say about visitors is believed",
            &[ClientAddressLost, WayBackPathLost, WayBackHostWrong],
        ),
        fact(
            "listed",
            "server.allowed_origins = [\"PUBLIC_URL\", \"{origin}\"]",
            "every host that is protected, and PUBLIC_URL, which is server.public_url",
            &[HostNotListed],
        ),
        fact(
            "base-path",
            "server.base_path = \"{base}\"",
            "max-auth answered, but its endpoints are elsewhere",
            &[NotRouted],
        ),
        fact("running", "systemctl start max-auth", "and see its log: journalctl -u max-auth", &[BackendDown]),
    ],
    ..Product::new("app", "max-auth's configuration, or the application that proxies to it")
};

static MACHINE: Product = Product {
    operator: Some(("you, on this machine", "вы, на этой машине")),
    ..Product::new("client-side", "the machine that ran the doctor")
};

/// Rows at the end of the signatures below that no chain has shown: said without a name.
pub const UNMEASURED: usize = 3;

static ANY: Product = Product {
    operator: Some(("your hoster, or whoever runs the proxy", "ваш хостер или тот, кто ведёт прокси")),
    signatures: &[
        signature([L, L, L, L, L, L, L], &[], "nothing holds streams back"),
        Signature {
            accel: Some(true),
            ..signature(
                [B, B, L, B, L, L, L],
                &[conclusion(Buffered, Attribution::Seen, Unknown)],
                "something that obeys X-Accel-Buffering buffers answers, and leaves the header in, so it is not nginx",
            )
        },
        signature(
            [L, T, T, T, T, L, L],
            &[conclusion(CompressedLateByOne, Attribution::Seen, Unknown)],
            "a compressor holds each event until the next, whatever the headers say",
        ),
        Signature {
            accel: Some(true),
            ..signature(
                [L, B, B, B, B, L, L],
                &[conclusion(Compressed, Attribution::Seen, Unknown)],
                "a compressor that is not nginx's collects events, whatever the headers say",
            )
        },
        Signature {
            accel: Some(true),
            ..signature(
                [B, B, B, B, B, L, L],
                &[conclusion(Compressed, Attribution::Seen, Unknown)],
                "a compressor collects events even for those who did not ask for compression",
            )
        },
        signature(
            [B, B, B, B, B, B, B],
            &[conclusion(WholeResponseBuffered, Attribution::Seen, Unknown)],
            "something holds each answer until it is complete",
        ),
        // What no chain has shown so far.
        signature(
            [T, T, A, A, A, A, A],
            &[conclusion(CompressedLateByOne, Attribution::Seen, Unknown)],
            "each event waits for the next bytes; which layer does it cannot be told from here",
        ),
        signature(
            [L, H, A, A, A, A, A],
            &[conclusion(Compressed, Attribution::Seen, Unknown)],
            "only uncompressed streams are sure to come live; which layer compresses cannot be told from here",
        ),
        signature(
            [B, H, A, A, A, A, A],
            &[conclusion(Buffered, Attribution::Seen, Unknown)],
            "something buffers streams; which layer cannot be told from here",
        ),
    ],
    facts: &[
        advice(
            "any-upgrade",
            "pass on `Upgrade: websocket` and `Connection: upgrade` below {base}, over HTTP/1.1",
            "передавайте `Upgrade: websocket` и `Connection: upgrade` ниже {base}, по HTTP/1.1",
            UPGRADE_OR_TOKEN,
        ),
        advice(
            "any-key",
            "pass on Sec-WebSocket-Key with the upgrade: max-auth manages without it, others refuse",
            "передавайте Sec-WebSocket-Key вместе с Upgrade: max-auth обойдётся, другие откажут",
            &[WsKeyMissing],
        ),
        advice(
            "any-stream",
            "in what proxies here, switch off what collects answers below {base}: response buffering, rewriting, a firewall that \
         reads whole answers",
            "в этом прокси выключите всё, что копит ответы ниже {base}: буферизацию, переписывание, проверку ответов целиком",
            &[Buffered, WholeResponseBuffered, XAccelIgnored],
        ),
        advice(
            "any-compress",
            "leave text/event-stream out of what is compressed",
            "исключите text/event-stream из сжатия",
            &[Compressed, CompressedLateByOne, AppCompression],
        ),
        advice(
            "any-delay",
            "pass on what comes when it comes: look for what inspects, shapes or bundles answers below {base}",
            "передавайте сразу, что пришло: ищите то, что проверяет, ограничивает или склеивает ответы ниже {base}",
            &[Delayed],
        ),
        advice("any-cache", "do not cache below {base}", "не кэшируйте ниже {base}", &[Cached]),
        advice(
            "any-timeout",
            "raise the timeout of answers below {base} to an hour",
            "поднимите тайм-аут ответов ниже {base} до часа",
            &[IdleTimeout, TotalTimeout],
        ),
        advice(
            "any-route",
            "send {base} and everything below it to http://{upstream}",
            "направьте {base} и всё ниже на http://{upstream}",
            &[NotRouted],
        ),
        advice(
            "any-loop",
            "let what redirects see the visitor's scheme and name: pass on Host and X-Forwarded-Proto, at a CDN choose TLS to \
         the server, too (Cloudflare: Full instead of Flexible); or leave {base} out of the redirect",
            "пусть тот, кто перенаправляет, видит схему и имя посетителя: передавайте Host и X-Forwarded-Proto, в CDN включите TLS и до сервера (Cloudflare: Full вместо Flexible); или исключите {base} из перенаправления",
            &[RedirectLoop],
        ),
        advice(
            "any-auth",
            "let {base} through without a login: it is how people log in",
            "пропускайте {base} без входа: через него и входят",
            &[AuthRedirect, AuthRequired],
        ),
        advice(
            "any-post",
            "allow POST (application/json) below {base}",
            "разрешите POST (application/json) ниже {base}",
            &[PostRefused],
        ),
        advice(
            "any-backend",
            "start max-auth, and point the proxy at the address it listens on (server.listen)",
            "запустите max-auth и направьте прокси на его адрес (server.listen)",
            &[BackendDown],
        ),
        advice(
            "any-rate",
            "allow a burst of 40 requests per visitor below {base}",
            "разрешите всплеск в 40 запросов на посетителя ниже {base}",
            &[RateLimited],
        ),
        advice(
            "any-connections",
            "allow 20 connections per visitor below {base}",
            "разрешите 20 соединений на посетителя ниже {base}",
            &[ConnectionLimited],
        ),
        advice(
            "any-host",
            "pass on the Host header as the visitor sent it",
            "передавайте заголовок Host таким, каким его прислал посетитель",
            &[HostRewritten],
        ),
        advice(
            "any-origin",
            "pass on the Origin header; set server.public_url to \"{origin}\"",
            "передавайте заголовок Origin; задайте server.public_url = \"{origin}\"",
            &[OriginRefused],
        ),
        advice(
            "any-client",
            "send X-Forwarded-For with the visitor's address",
            "передавайте X-Forwarded-For с адресом посетителя",
            &[ClientAddressLost],
        ),
        advice(
            "any-tls",
            "renew the certificate, for this name and with its intermediates (certbot renew; fullchain.pem)",
            "обновите сертификат: для этого имени и с промежуточными (certbot renew; fullchain.pem)",
            &[Tls],
        ),
        advice(
            "any-dns",
            "add an A or AAAA record for the name, or correct the address",
            "добавьте запись A или AAAA для имени или исправьте адрес",
            &[Dns],
        ),
        fact("any-clock", "timedatectl set-ntp true", "on the machine whose clock is wrong", &[ClockSkew]),
        advice(
            "any-max",
            "see upstream.endpoints and upstream.app_version; allow outgoing connections to port 443",
            "проверьте upstream.endpoints и upstream.app_version; разрешите исходящие соединения на порт 443",
            &[UpstreamUnreachable],
        ),
        advice(
            "any-bot",
            "see [driver.bot]: name, token_file, webhook_url; the token is used by max-auth alone (docs/how-to/official-bot.md)",
            "проверьте [driver.bot]: name, token_file, webhook_url; токеном пользуется только max-auth (docs/ru/how-to/official-bot.md)",
            &[BotDown],
        ),
        advice(
            "any-frames",
            "let bytes through in both directions after the 101 below {base}: what answers an upgrade must pass on what follows",
            "после ответа 101 ниже {base} пропускайте байты в обе стороны",
            &[WsFramesHeld],
        ),
        advice(
            "any-workers",
            "let it answer many requests at once: each held stream takes a worker or a thread (gunicorn: threads = 32)",
            "пусть отвечает на много запросов сразу: каждый удержанный поток занимает процесс или нить (gunicorn: threads = 32)",
            &[OneWorker],
        ),
        advice(
            "any-hop",
            "give --hop an address that this machine reaches and that leads to max-auth, such as http://127.0.0.1:8080",
            "дайте --hop адрес, который виден с этой машины и ведёт к max-auth, например http://127.0.0.1:8080",
            &[HopNotAsked],
        ),
        advice(
            "any-russian",
            "move the sign-in host to a Russian address, or put a Russian proxy before it",
            "перенесите адрес входа на российский сервер или поставьте перед ним российский прокси",
            &[FrozenByNetwork],
        ),
        advice(
            "any-small",
            "until then let a sign-in take few packets: an ECDSA certificate with a short chain, TLS 1.3 with session tickets, no \
         HTTP/3, and connections that are kept for 10 s only (docs/networks.md)",
            "до тех пор пусть вход занимает мало пакетов: сертификат ECDSA с короткой цепочкой, TLS 1.3 с билетами сессий, без HTTP/3, \
         и соединения держите открытыми лишь 10 с (docs/networks.md)",
            &[FrozenByNetwork],
        ),
        advice(
            "any-protect",
            "ask {base}/verify about every request of the page before it gets to the application: max-auth setup PROXY --protect \
         prints how",
            "спрашивайте {base}/verify о каждом запросе страницы прежде, чем он попадёт в приложение: max-auth setup PROXY --protect \
         печатает как",
            &[PageNotProtected],
        ),
        advice(
            "any-led",
            "on 401 lead a browser to {base}/enter?to= and the address as it was asked for, or ask {base}/verify?redirect=1 and \
         pass its redirect on",
            "при 401 отправляйте браузер на {base}/enter?to= с запрошенным адресом или спрашивайте {base}/verify?redirect=1 и передавайте его перенаправление",
            &[SignInNotLed],
        ),
        advice(
            "any-way-back",
            "tell {base}/verify what was asked for: X-Forwarded-Uri with the path and its query, X-Forwarded-Proto and \
         X-Forwarded-Host as the visitor sees them",
            "сообщайте {base}/verify, что запросили: X-Forwarded-Uri с путём и параметрами, X-Forwarded-Proto и X-Forwarded-Host такими, какими их видит посетитель",
            &[WayBackPathLost, WayBackHostWrong],
        ),
        advice(
            "any-listed",
            "list {origin} in server.allowed_origins of max-auth, with every other host",
            "внесите {origin} в server.allowed_origins max-auth вместе со всеми остальными именами",
            &[HostNotListed],
        ),
        advice(
            "any-forged",
            "take X-Auth-User, -Name, -Groups, -Phone and -Token (and with _ for -) away from what visitors send, then set what \
         {base}/verify says",
            "удаляйте из запросов посетителей X-Auth-User, -Name, -Groups, -Phone и -Token (и с _ вместо -), затем ставьте то, что сказал {base}/verify",
            &[ForgedUserPassed],
        ),
        advice(
            "any-verify-cache",
            "cache neither {base}/verify nor the pages behind it",
            "не кэшируйте ни {base}/verify, ни страницы за ним",
            &[VerifyCached],
        ),
        advice(
            "any-verify",
            "look at the proxy's error log: {base}/verify of http://{upstream} must answer it with 2xx, 401 or 403",
            "смотрите журнал ошибок прокси: {base}/verify на http://{upstream} должен отвечать ему 2xx, 401 или 403",
            &[VerifyFailed],
        ),
    ],
    ..Product::new("unknown", "the proxy that serves {base}")
};
