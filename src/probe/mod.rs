//! What `max-auth doctor` and the server's probes say to each other: addresses, parameters, JSON bodies, sizes and times.
//! The server fills these types and the doctor reads them, so that neither can know another truth than the other.
//!
//! Fields that a server of another version may leave out have a default: a doctor also looks at servers it was not built
//! with.

mod networks;

pub use networks::{FREEZE_KB, NETWORKS_PATH, NetworkCounts, NetworkSeen, NetworksAnswer, SilentStreams};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Below `server.base_path`: the request as it arrived ([`EchoAnswer`]), by GET and POST.
pub const ECHO_PATH: &str = "/probe";
/// A timed stream of [`StreamEvent`]s in one of the [`ProbeVariant`]s, by GET and POST.
pub const STREAM_PATH: &str = "/probe/stream";
/// A [`PollAnswer`], at once or after `hold`.
pub const POLL_PATH: &str = "/probe/poll";
/// A [`VisitorAnswer`]: what the cookie [`VISITOR_COOKIE`] says.
pub const VISITOR_PATH: &str = "/probe/visitor";
/// A WebSocket: one [`SocketGreeting`], then [`EVENTS`] [`StreamEvent`]s.
pub const SOCKET_PATH: &str = "/probe/socket";

/// A [`VerifyAnswer`]: how a proxy's question about a request with this nonce arrived at `/verify`.
pub const VERIFY_PATH: &str = "/probe/verify";

/// Header of a request to a protected page, with a nonce: what `/verify` sees of it is kept for [`VERIFY_PATH`].
pub const VERIFY_HEADER: &str = "x-max-auth-probe";
/// The same in the query of the page, for proxies that do not show the visitor's headers to `/verify`.
pub const VERIFY_PARAMETER: &str = "max-auth-probe";

/// How long it is kept.
pub const VERIFY_KEPT: Duration = Duration::from_secs(30);

/// What `/verify` says of a person, and so what a visitor must not be able to say.
pub const IDENTITY_HEADERS: [&str; 5] = ["x-auth-user", "x-auth-name", "x-auth-groups", "x-auth-phone", "x-auth-token"];

/// The spellings of such a name that an application may take for it: many read `_` as `-`.
pub fn spellings(name: &str) -> [String; 4] {
    let (first, rest) = name.split_once('-').unwrap_or((name, ""));
    let (second, third) = rest.split_once('-').unwrap_or((rest, ""));
    [("-", "-"), ("_", "_"), ("-", "_"), ("_", "-")].map(|(one, two)| format!("{first}{one}{second}{two}{third}"))
}

/// The doctor's cookie at [`VISITOR_PATH`].
pub const VISITOR_COOKIE: &str = "max-auth-probe";

/// Header in which the doctor says which address its connection has on its own side: if the same one arrives, nothing is
/// between.
pub const FROM_HEADER: &str = "x-max-auth-probe-from";

/// Events of an ordinary stream, and messages after the greeting of a socket.
pub const EVENTS: usize = 3;

/// Between two events: far above a network's jitter, and three of them still fit in a second.
pub const GAP: Duration = Duration::from_millis(300);

/// Longest stream with which a place is taken for long; a longer `hold` waits among the few slow ones.
pub const PROBE_TIME: Duration = Duration::from_secs(10);

/// Longest `hold`: the commonest idle cut comes after 60 s.
pub const HOLD_MAX: Duration = Duration::from_secs(80);

/// Least `heartbeat`: a probe is not a flood.
pub const HEARTBEAT_MIN: Duration = Duration::from_millis(250);

/// Most bytes of an event beyond its own: more than any proxy's buffers hold that passes on what does not fit.
pub const SIZE_MAX: usize = 128 * 1024;

/// Most characters of a nonce; the doctor's have 22.
pub const NONCE_MAX: usize = 64;

/// In which form a stream is sent. Which forms arrive in time names the layer that holds them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProbeVariant {
    /// Nothing but its content type.
    #[serde(alias = "naive")]
    NoHeaders,
    /// `X-Accel-Buffering: no`.
    Accel,
    /// `Cache-Control: no-transform`.
    NoTransform,
    /// Both and `no-store`: what a login's stream has.
    All,
    /// All, and compressed by us with a flush after each event: nobody compresses it again.
    Gzip,
    /// Gzip, padding that does not compress behind each event, and a comment soon after.
    #[serde(alias = "best")]
    PaddedGzip,
}

impl ProbeVariant {
    /// As `as=` says it.
    pub fn name(self) -> &'static str {
        match self {
            Self::NoHeaders => "no-headers",
            Self::Accel => "accel",
            Self::NoTransform => "no-transform",
            Self::All => "all",
            Self::Gzip => "gzip",
            Self::PaddedGzip => "padded-gzip",
        }
    }

    pub fn is_compressed(self) -> bool {
        matches!(self, Self::Gzip | Self::PaddedGzip)
    }
}

/// The query of every probe.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct ProbeQuery {
    /// 1 to [`NONCE_MAX`] letters, digits, `-` or `_`; said back in the answer, so that only this server can have given it.
    pub nonce: String,
    /// The form of a stream; of a page only whether it has headers at all. [`ProbeVariant::All`] if not given.
    #[serde(rename = "as")]
    pub variant: Option<ProbeVariant>,
    /// Milliseconds: how long the stream or the page is held.
    pub hold: Option<u64>,
    /// Milliseconds between the comments of a held stream; none if not given.
    #[serde(alias = "beat")]
    pub heartbeat: Option<u64>,
    /// Bytes of each event beyond its own: a code and its drawing have 3 KiB, and some proxies begin to compress at 512.
    pub size: Option<usize>,
}

/// Whether it is one.
pub fn is_nonce(text: &str) -> bool {
    (1..=NONCE_MAX).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

impl ProbeQuery {
    /// As it stands in an address, behind the question mark. A nonce needs no escape.
    pub fn to_query(&self) -> String {
        let mut query = format!("nonce={}", self.nonce);
        if let Some(variant) = self.variant {
            query += &format!("&as={}", variant.name());
        }
        for (name, value) in [
            ("hold", self.hold),
            ("heartbeat", self.heartbeat),
            ("size", self.size.and_then(|size| u64::try_from(size).ok())),
        ] {
            query += &value.map(|value| format!("&{name}={value}")).unwrap_or_default();
        }
        query
    }

    pub fn has_valid_nonce(&self) -> bool {
        is_nonce(&self.nonce)
    }
}

/// The answer at [`ECHO_PATH`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EchoAnswer {
    pub nonce: String,
    /// Unix milliseconds by the server's clock.
    pub unix_ms: i64,
    #[serde(flatten)]
    pub echo: RequestEcho,
}

/// The request as it arrived at the server.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RequestEcho {
    /// Timers that ended earlier visitors' streams on this way.
    #[serde(default)]
    pub timers: Vec<TransportTimer>,
    #[serde(default)]
    pub method: String,
    /// `HTTP/1.1`.
    pub http_version: String,
    pub host: Option<String>,
    pub connection: Option<String>,
    pub upgrade: Option<String>,
    /// Whether one came.
    pub sec_web_socket_key: bool,
    pub accept_encoding: Option<String>,
    pub via: Option<String>,
    /// Names of headers that proxies add (`proxies::request_marks`), those that came: they tell the product next to the
    /// server. Their values (addresses) are told to nobody.
    #[serde(default)]
    pub marks: Vec<String>,
    /// How many addresses the header lists ([`hops_text`]). The addresses of inner proxies are nobody's business outside;
    /// that there is a chain is.
    pub forwarded: Option<String>,
    pub x_forwarded_for: Option<String>,
    pub x_forwarded_proto: Option<String>,
    pub x_forwarded_host: Option<String>,
    pub origin: Option<String>,
    /// Whether a page of that origin may begin a login; nothing if no `Origin` came.
    pub origin_allowed: Option<bool>,
    /// The visitor's address as the server understood it; nothing if that is one of the inside.
    pub client_address: Option<String>,
    /// Whether that is the address that the doctor says it asks from; nothing if it says none.
    pub client_is_asker: Option<bool>,
    /// Whether that is no address that a visitor out there has.
    #[serde(default)]
    pub client_is_inner: bool,
    /// A proxy that is not in `server.trusted_proxies` says whom it forwards.
    pub proxy_unlisted: bool,
    /// Whether the doctor's connection ends at the server itself; nothing if the doctor does not say where it asks from.
    pub direct: Option<bool>,
}

impl RequestEcho {
    /// Addresses that forwarding headers list.
    pub fn hops(&self) -> usize {
        let listed = self.x_forwarded_for.as_ref().or(self.forwarded.as_ref());
        listed.and_then(|hops| hops.split(' ').next()?.parse().ok()).unwrap_or(0)
    }

    pub fn has_mark(&self, name: &str) -> bool {
        self.marks.iter().any(|mark| mark == name)
    }
}

/// How many addresses a forwarding header lists: `2 hops`.
pub fn hops_text(header: &str) -> String {
    format!("{} hops", header.split(',').count())
}

/// What the server remembers of how streams over one transport ended: "37 of 41 ended at 60.0 s".
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TransportTimer {
    /// `websocket` or `sse`.
    pub transport: String,
    /// Streams that were cut.
    pub cut: u64,
    pub timer: StreamTimer,
}

/// The timer that most cuts point to.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct StreamTimer {
    pub seconds: f64,
    /// Streams that it ended.
    pub count: u64,
    /// Counted since the last byte; otherwise since the beginning.
    pub idle: bool,
}

/// One event of a stream, or one message of a socket after its greeting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StreamEvent {
    pub nonce: String,
    /// From 1.
    #[serde(default)]
    pub number: usize,
    /// Unix milliseconds by the server's clock.
    pub sent_unix_ms: i64,
    /// As many random letters as `size` asked for: inside the event, so that it is only there when all of it is.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub drawing: String,
}

/// The answer at [`POLL_PATH`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PollAnswer {
    pub nonce: String,
    /// Another one each time, so that an answer out of a cache shows.
    pub count: u64,
    pub unix_ms: i64,
}

/// What [`EchoAnswer`] and [`PollAnswer`] have in common: by it the doctor knows the server's clock.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServerTime {
    pub unix_ms: i64,
}

/// The answer at [`VISITOR_PATH`]. Whoever reads somebody else's word here would also be taken for somebody else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VisitorAnswer {
    pub nonce: String,
    /// Letters and digits of the cookie, if there was one.
    pub visitor: Option<String>,
}

/// The answer at [`VERIFY_PATH`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct VerifyAnswer {
    pub nonce: String,
    /// Nothing where no question with this nonce came, or long ago.
    pub seen: Option<VerifySeen>,
}

/// A question at `/verify` as it arrived: what its visitor knows or can see anyway, and no address of the inside.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VerifySeen {
    /// The address that was understood: scheme, host and port.
    pub origin: String,
    /// With its query; `/` where the proxy does not say it, or is not believed.
    pub path: String,
    /// Whether people may sign in for that origin.
    pub listed: bool,
    /// A proxy that is not in `server.trusted_proxies` says whom it forwards.
    pub proxy_unlisted: bool,
    /// The visitor's headers are shown to `/verify`.
    pub by_header: bool,
    /// Names of headers ([`spellings`]) that arrived with the nonce in them: the visitor's own.
    pub forged: Vec<String>,
}

/// The first message of a socket, and members of the problem body where no upgrade arrived.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SocketGreeting {
    pub nonce: String,
    pub echo: RequestEcho,
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::extract::Query;
    use serde_json::json;

    const EVERY: [ProbeVariant; 6] = [
        ProbeVariant::NoHeaders,
        ProbeVariant::Accel,
        ProbeVariant::NoTransform,
        ProbeVariant::All,
        ProbeVariant::Gzip,
        ProbeVariant::PaddedGzip,
    ];

    fn read(query: &str) -> Option<ProbeQuery> {
        Query::try_from_uri(&format!("/probe/stream?{query}").parse().unwrap()).ok().map(|Query(query)| query)
    }

    #[test]
    fn what_the_doctor_writes_the_server_reads() {
        for variant in EVERY {
            let query = ProbeQuery {
                nonce: "a-_9".to_owned(),
                variant: Some(variant),
                hold: Some(3500),
                heartbeat: Some(500),
                size: Some(3000),
            };
            assert_eq!(read(&query.to_query()), Some(query.clone()), "{}", query.to_query());
            assert_eq!(serde_json::to_value(variant).unwrap(), variant.name());
        }
        let least = ProbeQuery { nonce: "n".to_owned(), ..ProbeQuery::default() };
        assert_eq!(least.to_query(), "nonce=n");
        assert_eq!(read("nonce=n"), Some(least));
        assert_eq!(read("as=all"), None, "a nonce is asked for");
        assert_eq!(read("nonce=n&as=other"), None);
    }

    #[test]
    fn the_words_of_before_are_still_understood() {
        for (old, new) in [("as=naive", "as=no-headers"), ("as=best", "as=padded-gzip"), ("beat=500", "heartbeat=500")]
        {
            assert!(read(&format!("nonce=n&{new}")).is_some());
            assert_eq!(read(&format!("nonce=n&{old}")), read(&format!("nonce=n&{new}")), "{old}");
        }
    }

    #[test]
    fn a_nonce_is_letters_and_digits_of_a_bounded_number() {
        let valid = |nonce: &str| ProbeQuery { nonce: nonce.to_owned(), ..ProbeQuery::default() }.has_valid_nonce();
        assert!(valid("A-z_9") && valid(&"n".repeat(NONCE_MAX)));
        for nonce in ["", "a b", "a&b", "ё", &"n".repeat(NONCE_MAX + 1)] {
            assert!(!valid(nonce), "{nonce:?}");
        }
    }

    #[test]
    fn names_on_the_wire() {
        let answer = EchoAnswer {
            nonce: "n".to_owned(),
            unix_ms: 5,
            echo: RequestEcho {
                http_version: "HTTP/1.1".to_owned(),
                sec_web_socket_key: true,
                x_forwarded_for: Some(hops_text("203.0.113.9, 10.0.0.1")),
                marks: vec!["x-varnish".to_owned()],
                ..RequestEcho::default()
            },
        };
        let json = serde_json::to_value(&answer).unwrap();
        assert_eq!(json["unixMs"], 5);
        assert_eq!(json["httpVersion"], "HTTP/1.1");
        assert_eq!(json["secWebSocketKey"], true);
        assert_eq!(json["xForwardedFor"], "2 hops");
        let back: EchoAnswer = serde_json::from_value(json).unwrap();
        assert_eq!(back.echo, answer.echo);
        assert_eq!(back.echo.hops(), 2);
        assert!(back.echo.has_mark("x-varnish") && !back.echo.has_mark("x-cache"));
        assert_eq!(RequestEcho { forwarded: Some(hops_text("for=_a")), ..RequestEcho::default() }.hops(), 1);
        assert_eq!(RequestEcho::default().hops(), 0);
        let event = StreamEvent { nonce: "n".to_owned(), number: 2, sent_unix_ms: 7, drawing: String::new() };
        assert_eq!(serde_json::to_value(&event).unwrap(), json!({"nonce": "n", "number": 2, "sentUnixMs": 7}));
    }

    #[test]
    fn a_server_of_before_is_read() {
        let old = json!({ "httpVersion": "HTTP/1.0", "secWebSocketKey": false, "proxyUnlisted": false });
        assert!(serde_json::from_value::<RequestEcho>(old).is_ok());
        assert!(ProbeVariant::PaddedGzip.is_compressed() && !ProbeVariant::All.is_compressed());
    }
}
