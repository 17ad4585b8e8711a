//! What can be wrong, as the one list: the public name, the part of the path it belongs to, how bad it is unless the
//! evidence says otherwise, and what it means in a sentence. Its long story is a heading of docs/troubleshooting.md.

use super::language::Text;
use Severity::{Fault, Note};

/// How bad a finding is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Severity {
    /// Costs visitors something now.
    Fault,
    /// max-auth defeats it by itself; others would break.
    Note,
}

impl Severity {
    /// As the report's JSON has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fault => "fault",
            Self::Note => "note",
        }
    }
}

/// The parts of the path from a visitor to MAX, in its order: a line each in the report.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PathPart {
    Connection,
    Route,
    WebSocket,
    Streams,
    Pages,
    Limits,
    Request,
    Clock,
    Hops,
    Max,
    ProtectedPage,
    Networks,
}

impl PathPart {
    pub const ALL: &[Self] = &[
        Self::Connection,
        Self::Route,
        Self::WebSocket,
        Self::Streams,
        Self::Pages,
        Self::Limits,
        Self::Request,
        Self::Clock,
        Self::Hops,
        Self::Max,
        Self::ProtectedPage,
        Self::Networks,
    ];

    pub fn title(self) -> Text {
        match self {
            Self::Connection => ("name and connection", "имя и соединение"),
            Self::Route => ("path to max-auth", "путь до max-auth"),
            Self::WebSocket => ("WebSocket", "WebSocket"),
            Self::Streams => ("event streams", "потоки событий"),
            Self::Pages => ("pages and posts", "страницы и POST"),
            Self::Limits => ("limits and timeouts", "лимиты и тайм-ауты"),
            Self::Request => ("what arrives of a request", "что доходит от запроса"),
            Self::Clock => ("clock", "часы"),
            Self::Hops => ("inner addresses", "внутренние адреса"),
            Self::Max => ("MAX", "MAX"),
            Self::ProtectedPage => ("protected page", "защищённая страница"),
            Self::Networks => ("networks of visitors", "сети посетителей"),
        }
    }
}

macro_rules! codes {
    ($($variant:ident = $name:literal, $part:ident, $severity:ident, $en:literal, $ru:literal;)*) => {
        /// What can be wrong. The names are public: add, never rename.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum FindingCode { $($variant,)* }

        impl FindingCode {
            #[cfg(test)]
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// As the report, its JSON and docs/troubleshooting.md have it.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The line of the report that it belongs to.
            pub fn part(self) -> PathPart {
                match self { $(Self::$variant => PathPart::$part,)* }
            }

            /// How bad it is unless the evidence says otherwise.
            pub fn severity(self) -> Severity {
                match self { $(Self::$variant => $severity,)* }
            }

            /// What it means, in a sentence.
            pub fn title(self) -> Text {
                match self { $(Self::$variant => ($en, $ru),)* }
            }

            /// Where its story stands.
            pub fn page(self) -> &'static str {
                match self { $(Self::$variant => concat!("docs/troubleshooting.md#", $name),)* }
            }
        }
    };
}

codes! {
    WsUpgradeNotPassed = "ws-upgrade-not-passed", WebSocket, Fault,
        "the request for a WebSocket loses its headers on the way", "запрос WebSocket теряет заголовки по пути";
    WsConnectionHeaderMissing = "ws-connection-header-missing", WebSocket, Note,
        "Upgrade arrives without Connection: upgrade", "Upgrade доходит без Connection: upgrade";
    WsUpgradeRefused = "ws-upgrade-refused", WebSocket, Fault,
        "a proxy refuses WebSockets by itself", "прокси сам отклоняет WebSocket";
    WsUpgradeHangs = "ws-upgrade-hangs", WebSocket, Fault,
        "the request for a WebSocket is never answered", "на запрос WebSocket никто не отвечает";
    WsFramesHeld = "ws-frames-held", WebSocket, Fault,
        "the WebSocket opens and carries nothing", "WebSocket открывается, но ничего не передаёт";
    WsKeyMissing = "ws-key-missing", WebSocket, Note,
        "the request for a WebSocket arrives without its key", "запрос WebSocket доходит без ключа";
    Buffered = "buffered", Streams, Fault,
        "a proxy collects events before it passes them on", "прокси копит события, прежде чем передать их";
    WholeResponseBuffered = "whole-response-buffered", Streams, Fault,
        "a proxy passes answers on only when they are complete", "прокси передаёт ответ, только когда он весь готов";
    Compressed = "compressed", Streams, Fault,
        "a proxy compresses events and collects them meanwhile", "прокси сжимает события и при этом копит их";
    CompressedLateByOne = "compressed-late-by-one", Streams, Fault,
        "each event comes when the next one is sent", "каждое событие приходит лишь со следующим";
    AppCompression = "app-compression", Streams, Fault,
        "an application in between compresses and collects events", "приложение на пути сжимает и копит события";
    Delayed = "delayed", Streams, Fault,
        "events come, but late", "события приходят, но с опозданием";
    XAccelIgnored = "x-accel-ignored", Streams, Fault,
        "nginx was told to ignore X-Accel-Buffering", "nginx велено не слушать X-Accel-Buffering";
    OneWorker = "one-worker", Limits, Fault,
        "what proxies here answers one request at a time", "прокси отвечает только на один запрос за раз";
    Cached = "cached", Pages, Fault,
        "a cache answers instead of max-auth", "вместо max-auth отвечает кэш";
    IdleTimeout = "idle-timeout", Limits, Fault,
        "a connection is ended when nothing flows", "соединение обрывают, когда по нему ничего не идёт";
    TotalTimeout = "total-timeout", Limits, Fault,
        "each request is ended after a fixed time", "каждый запрос обрывают через заданное время";
    NotRouted = "not-routed", Route, Fault,
        "the path does not lead to max-auth", "этот путь не ведёт к max-auth";
    RedirectLoop = "redirect-loop", Route, Fault,
        "the address is redirected in a circle", "адрес перенаправляется по кругу";
    AuthRedirect = "auth-redirect", Route, Fault,
        "visitors are sent elsewhere before they can sign in", "посетителей уводят прежде, чем они смогут войти";
    AuthRequired = "auth-required", Route, Fault,
        "a password or a rule stands before the sign-in", "перед входом стоит пароль или запрет";
    PostRefused = "post-refused", Pages, Fault,
        "POST is refused while GET arrives", "POST отклоняют, а GET доходит";
    BackendDown = "backend-down", Connection, Fault,
        "max-auth, or the way to it, does not answer", "max-auth или путь к нему не отвечает";
    RateLimited = "rate-limited", Limits, Fault,
        "a limit refuses quick requests", "лимит отклоняет частые запросы";
    ConnectionLimited = "connection-limited", Limits, Fault,
        "a limit refuses connections side by side", "лимит отклоняет одновременные соединения";
    HostRewritten = "host-rewritten", Request, Note,
        "the name of the site does not arrive", "имя сайта не доходит";
    OriginRefused = "origin-refused", Request, Fault,
        "max-auth does not accept pages of this address", "max-auth не принимает страницы этого адреса";
    ClientAddressLost = "client-address-lost", Request, Fault,
        "the visitor's address does not arrive", "адрес посетителя не доходит";
    Tls = "tls", Connection, Fault,
        "browsers do not accept the encrypted connection", "браузеры не принимают шифрованное соединение";
    Dns = "dns", Connection, Fault,
        "the name leads nowhere", "имя никуда не ведёт";
    ClockSkew = "clock-skew", Clock, Note,
        "a clock is wrong", "неверные часы";
    HopNotAsked = "hop-not-asked", Hops, Note,
        "an inner address told nothing", "внутренний адрес ничего не сказал";
    UpstreamUnreachable = "upstream-unreachable", Max, Fault,
        "MAX does not answer as it should", "MAX не отвечает как следует";
    BotDown = "bot-down", Max, Fault,
        "MAX's Bot API, or the bot, does not work as it should", "Bot API MAX или сам бот работает не так, как должен";
    FrozenByNetwork = "frozen-by-network", Networks, Fault,
        "your host is abroad for visitors of some networks, and these freeze their connections to it",
        "для посетителей из некоторых сетей ваш сервер за границей, и эти сети замораживают соединения с ним";
    PageNotProtected = "page-not-protected", ProtectedPage, Fault,
        "who is not signed in gets to the page", "страница открыта и тем, кто не вошёл";
    SignInNotLed = "sign-in-not-led", ProtectedPage, Fault,
        "who is not signed in is refused instead of led to the sign-in", "кто не вошёл, получает отказ вместо входа";
    WayBackPathLost = "way-back-path-lost", ProtectedPage, Fault,
        "after the sign-in people are not at the address they asked for", "после входа люди попадают не на ту страницу";
    WayBackHostWrong = "way-back-host-wrong", ProtectedPage, Fault,
        "the sign-in is on another scheme or host than the page", "вход ведёт на другую схему или другое имя, чем у страницы";
    HostNotListed = "host-not-listed", ProtectedPage, Fault,
        "max-auth signs nobody in for this host", "max-auth не знает этого имени сайта";
    ForgedUserPassed = "forged-user-passed", ProtectedPage, Fault,
        "a visitor can tell the application to be somebody else", "посетитель может выдать себя приложению за другого";
    VerifyCached = "verify-cached", ProtectedPage, Fault,
        "a cache answers whether somebody is signed in", "вошёл ли человек, отвечает кэш";
    VerifyFailed = "verify-failed", ProtectedPage, Fault,
        "the proxy gets no answer whether somebody is signed in", "прокси не получает ответа, вошёл ли человек";
}
