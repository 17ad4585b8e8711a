//! How a login begins: the browser's first message, read strictly, and the checks it must pass.

use super::stream_stats::StreamStats;
use super::visitor_networks::network_of;
use crate::base::address::networks;
use crate::base::audit::AUDIT;
use crate::base::client_address::ClientAddress;
use crate::base::clock::Clock;
use crate::base::id::Fingerprint;
use crate::base::limits::RETURN_TO;
use crate::base::origin::Origin;
use crate::base::problem::ProblemCode;
use crate::base::rate::RateLimiter;
use crate::login::{Continuations, Login, NotStarted, Position, Purpose, Registry, StartParams};
use crate::signin::BrowserInfo;
use crate::store::Unavailable;
use crate::texts::{Locale, Texts, Words};
use serde_json::{Map, Value};
use std::sync::Arc;
use std::time::Duration;
use url::{Position as UrlPosition, Url};

/// A private address that forwards for others without being listed stands for many people: this many times the limit.
const UNLISTED_PROXY_ALLOWANCE: u32 = 100;

/// Requests of apps that an address may bring for each login that it may begin: a session answers many of them.
const REQUESTS_PER_START: u32 = 6;

/// What visitors are told to wait when this node is full.
const BUSY_PAUSE: Duration = Duration::from_secs(5);

/// The same when the store does not answer, or is full.
const STORE_PAUSE: Duration = Duration::from_secs(3);

/// What the first message asks for.
pub enum FirstMessage {
    Begin(Box<StartRequest>),
    Resume { login: String, after: Option<Position> },
}

/// A login as the browser asks for it: read, not yet allowed.
pub struct StartRequest {
    browser: BrowserInfo,
    return_to: Option<String>,
    /// Of an app that waits for it.
    request: Option<String>,
    /// Whom the visitor wants to be asked.
    driver: Option<String>,
    locale: Locale,
}

impl StartRequest {
    pub fn locale(&self) -> Locale {
        self.locale
    }

    /// What a page begins without its script: of the browser is known what its request said.
    pub fn of_page(browser: BrowserInfo, return_to: Option<String>, request: Option<String>, locale: Locale) -> Self {
        Self { browser, return_to, request, driver: None, locale }
    }

    /// The visitor chose.
    pub fn by_driver(self, driver: Option<String>) -> Self {
        Self { driver, ..self }
    }
}

/// Why a first message is not one.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum FirstMessageError {
    #[error("not JSON")]
    NotJson,
    #[error("not an object with \"userAgent\" (to begin) or \"login\" (to resume)")]
    Shape,
    #[error("\"{0}\" has the wrong type: expected {1}")]
    Type(&'static str, &'static str),
    #[error("\"after\" is not a position such as \"0a1b2c3d-4\"")]
    Position,
}

/// Why a login was not begun.
#[derive(Debug, PartialEq, Eq)]
pub enum StartError {
    /// `returnTo` leaves the site.
    ReturnTo,
    /// No app waits under this `request`, or not for this browser.
    Request,
    /// There is no such `driver` here.
    Driver,
    RateLimited {
        retry_after: Duration,
    },
    Busy {
        retry_after: Duration,
    },
    /// There is no room to keep one more.
    StoreFull {
        retry_after: Duration,
    },
}

impl StartError {
    pub fn code(&self) -> ProblemCode {
        match self {
            Self::ReturnTo => ProblemCode::ReturnToRefused,
            Self::Request => ProblemCode::RequestGone,
            Self::Driver => ProblemCode::InvalidRequest,
            Self::RateLimited { .. } => ProblemCode::RateLimited,
            Self::Busy { .. } => ProblemCode::Busy,
            Self::StoreFull { .. } => ProblemCode::StoreFull,
        }
    }

    /// When asking again makes sense.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::ReturnTo | Self::Request | Self::Driver => None,
            Self::RateLimited { retry_after } | Self::Busy { retry_after } | Self::StoreFull { retry_after } => {
                Some(*retry_after)
            }
        }
    }

    /// What the visitor is told.
    pub fn message<'a>(&self, words: &'a Words) -> &'a str {
        match self {
            Self::ReturnTo => &words.pages.return_to_refused,
            Self::Request => &words.pages.request_gone,
            Self::Driver => &words.pages.wrong_text,
            Self::RateLimited { .. } => &words.client.rate_limited,
            Self::Busy { .. } | Self::StoreFull { .. } => &words.client.busy,
        }
    }
}

/// Reads `{"userAgent":{…}}` or `{"login":ID,"after":POSITION}`.
pub fn first_message(text: &[u8]) -> Result<FirstMessage, FirstMessageError> {
    let message: Value = serde_json::from_slice(text).map_err(|_| FirstMessageError::NotJson)?;
    let Value::Object(message) = message else { return Err(FirstMessageError::Shape) };
    match (message.get("userAgent"), message.get("login")) {
        (Some(Value::Object(user_agent)), None) => {
            let return_to = text_field(&message, "returnTo")?;
            let request = text_field(&message, "request")?;
            let driver = text_field(&message, "driver")?;
            let locale = text_field(&message, "locale")?.map(|tag| Locale::parse(&tag)).unwrap_or_default();
            Ok(FirstMessage::Begin(Box::new(StartRequest {
                browser: browser_info(user_agent)?,
                return_to,
                request,
                driver,
                locale,
            })))
        }
        (Some(_), None) => Err(FirstMessageError::Type("userAgent", "an object")),
        (None, Some(Value::String(login))) => {
            let after = match text_field(&message, "after")? {
                None => None,
                Some(text) => Some(Position::parse(&text).ok_or(FirstMessageError::Position)?),
            };
            Ok(FirstMessage::Resume { login: login.clone(), after })
        }
        (None, Some(_)) => Err(FirstMessageError::Type("login", "a text")),
        _ => Err(FirstMessageError::Shape),
    }
}

fn text_field(object: &Map<String, Value>, name: &'static str) -> Result<Option<String>, FirstMessageError> {
    match object.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(FirstMessageError::Type(name, "a text")),
    }
}

/// The allow-listed fields of `userAgent`. What is too long or has characters that do not belong in a header is left
/// out, not refused: an odd browser should not cost its owner the sign-in.
fn browser_info(user_agent: &Map<String, Value>) -> Result<BrowserInfo, FirstMessageError> {
    let field = |name: &'static str, longest: usize| -> Result<Option<String>, FirstMessageError> {
        let fits = |text: &String| {
            let printable = text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
            !text.is_empty() && text.len() <= longest && printable && text.trim() == text
        };
        Ok(text_field(user_agent, name)?.filter(fits))
    };
    let is_pwa = match user_agent.get("isPwa") {
        None | Some(Value::Null) => false,
        Some(Value::Bool(is_pwa)) => *is_pwa,
        Some(_) => return Err(FirstMessageError::Type("isPwa", "true or false")),
    };
    Ok(BrowserInfo {
        header_user_agent: field("headerUserAgent", 512)?,
        device_name: field("deviceName", 64)?,
        os_version: field("osVersion", 64)?,
        screen: field("screen", 32)?,
        timezone: field("timezone", 64)?,
        locale: field("locale", 16)?,
        is_pwa,
    })
}

/// Decides whether a login may begin.
pub struct StartPolicy {
    registry: Arc<Registry>,
    continuations: Arc<dyn Continuations>,
    limiter: RateLimiter,
    /// Of what apps ask for.
    requests: RateLimiter,
    public_url: Url,
    allowed_origins: Vec<Origin>,
    /// Where a login goes that does not say.
    landing: String,
    texts: Arc<Texts>,
    clock: Clock,
    ends: Arc<StreamStats>,
    keeps_addresses: bool,
}

impl StartPolicy {
    pub fn new(
        (registry, continuations): (Arc<Registry>, Arc<dyn Continuations>),
        starts_per_minute: u32,
        public_url: Url,
        allowed_origins: Vec<Origin>,
        landing: String,
        texts: Arc<Texts>,
        clock: Clock,
    ) -> Self {
        Self {
            registry,
            continuations,
            limiter: RateLimiter::new(starts_per_minute),
            requests: RateLimiter::new(starts_per_minute.saturating_mul(REQUESTS_PER_START)),
            public_url,
            allowed_origins,
            landing,
            texts,
            clock,
            ends: Arc::default(),
            keeps_addresses: false,
        }
    }

    /// A driver compares the visitor's address with the phone's.
    pub fn keeping_addresses(self, keeps_addresses: bool) -> Self {
        Self { keeps_addresses, ..self }
    }

    /// Where logins are counted by network.
    pub fn counted(self, ends: Arc<StreamStats>) -> Self {
        Self { ends, ..self }
    }

    /// One more request of an app's for a login, from this address; else how long to wait. Each is kept until its
    /// visitor has scanned, so that a stranger could fill the store with them.
    pub fn admit_request(&self, who: ClientAddress) -> Result<(), Duration> {
        let times = if who.stands_for_many() { UNLISTED_PROXY_ALLOWANCE } else { 1 };
        self.requests.check(who.ip, times, self.clock.monotonic())
    }

    pub fn texts(&self) -> &Texts {
        &self.texts
    }

    /// `key`: of what the page may read the login with where it sends no cookie.
    pub async fn begin(
        &self,
        request: StartRequest,
        who: ClientAddress,
        flow: Fingerprint,
        key: Option<Fingerprint>,
        is_phone: bool,
    ) -> Result<Arc<Login>, StartError> {
        let return_to = match &request.return_to {
            None => self.landing.clone(),
            Some(text) => self.return_to(text).ok_or(StartError::ReturnTo)?,
        };
        if request.driver.as_deref().is_some_and(|driver| !self.registry.has_driver(driver)) {
            return Err(StartError::Driver);
        }
        let times = if who.stands_for_many() { UNLISTED_PROXY_ALLOWANCE } else { 1 };
        let limited = |retry_after| {
            metrics::counter!("max_auth_rate_limited_total").increment(1);
            StartError::RateLimited { retry_after }
        };
        self.limiter.check(who.ip, times, self.clock.monotonic()).map_err(limited)?;
        for (network, share) in networks(who.ip) {
            let per_minute = self.limiter.per_minute().saturating_mul(times).saturating_mul(share);
            self.registry.admit(&network.bytes(), per_minute).await.map_err(limited)?;
        }
        let purpose = match request.request {
            None => Purpose::Site { return_to },
            Some(waiting) => match self.continuations.admit(&waiting, &flow).await {
                Ok(true) => Purpose::Authorize { request: waiting },
                Ok(false) => return Err(StartError::Request),
                Err(_) => return Err(StartError::Busy { retry_after: STORE_PAUSE }),
            },
        };
        let (browser, locale) = (request.browser, request.locale);
        let audited = tracing::enabled!(target: AUDIT, tracing::Level::INFO);
        let agent = browser.header_user_agent.as_ref().filter(|_| audited).cloned().unwrap_or_default();
        let network = Some(network_of(who.ip));
        let (driver, address) = (request.driver, Some(who.ip).filter(|_| self.keeps_addresses));
        let params = StartParams { browser, purpose, locale, flow, key, phone: is_phone, network, driver, address };
        let login = self.registry.start(params).await.map_err(|why| match why {
            NotStarted::Busy => StartError::Busy { retry_after: BUSY_PAUSE },
            NotStarted::Store(Unavailable::OutOfReach(_)) => StartError::Busy { retry_after: STORE_PAUSE },
            NotStarted::Store(Unavailable::Full(_)) => StartError::StoreFull { retry_after: STORE_PAUSE },
        })?;
        self.ends.networks.login_began(who.ip);
        tracing::info!(target: AUDIT, event = "login.begun", login = login.id.short(), address = %who.ip, agent);
        Ok(login)
    }

    /// A path of this site or an address on a listed origin; `None` for everything that could lead elsewhere.
    pub fn return_to(&self, text: &str) -> Option<String> {
        if text.len() > RETURN_TO || text.contains('\\') || text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return None;
        }
        if text.starts_with('/') {
            if text.starts_with("//") {
                return None;
            }
            let url = self.public_url.join(text).ok()?;
            if url.origin() != self.public_url.origin() {
                return None;
            }
            // As sent where a header can hold it; a path that begins with two slashes would be read as a host.
            let path = if text.is_ascii() { text } else { &url[UrlPosition::BeforePath..] };
            return (!path.starts_with("//")).then(|| path.to_owned());
        }
        let url = Url::parse(text).ok()?;
        let plain = matches!(url.scheme(), "http" | "https") && url.username().is_empty() && url.password().is_none();
        let origin = url.origin().ascii_serialization();
        (plain && self.allowed_origins.iter().any(|allowed| allowed.is(&origin))).then(|| url.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;
    use crate::base::tasks::Tasks;
    use crate::login::{Admitted, Grants, Settings};
    use crate::signin::{Asked, CommandSlot, Driver, Drivers, EventSink, Outcome, Run};

    struct Nobody;
    impl Driver for Nobody {
        fn name(&self) -> &'static str {
            "test"
        }

        fn assurance(&self) -> &'static str {
            "a test"
        }

        fn run<'a>(&'a self, _: Asked, _: &'a dyn EventSink, _: &'a CommandSlot) -> Run<'a> {
            Box::pin(async { Outcome::Stopped })
        }
    }

    /// An app waits under "waiting", for the browser of flow "f".
    struct OneApp;
    impl Continuations for OneApp {
        fn admit<'a>(&'a self, request: &'a str, flow: &'a Fingerprint) -> Admitted<'a> {
            Box::pin(async move { Ok(request == "waiting" && flow.matches(&Fingerprint::of(b"f"))) })
        }
    }

    fn policy(per_minute: u32, max_active: usize) -> StartPolicy {
        let (clock, rng, tasks) = (Clock::fixed(0), Rng::seeded(1), Tasks::new());
        let settings = Settings {
            ttl: Duration::from_secs(60),
            grace: Duration::from_secs(1),
            grace_phone: Duration::from_secs(1),
            max_active,
            max_active_total: 0,
            callback: String::new(),
            texts: Texts::ours(),
        };
        let grants = Arc::new(Grants::in_memory(&clock, &rng));
        let drivers = Drivers::only(Arc::new(Nobody));
        let registry = Registry::new(settings, drivers, grants, None, (clock.clone(), rng, tasks));
        let origins =
            vec![Origin::parse("https://example.ru").unwrap(), Origin::parse("https://app.example.ru").unwrap()];
        StartPolicy::new(
            (Arc::new(registry), Arc::new(OneApp)),
            per_minute,
            Url::parse("https://example.ru/").unwrap(),
            origins,
            "/".into(),
            Texts::ours(),
            clock,
        )
    }

    fn request(text: &str) -> Result<StartRequest, FirstMessageError> {
        match first_message(text.as_bytes())? {
            FirstMessage::Begin(request) => Ok(*request),
            FirstMessage::Resume { .. } => panic!("a resume"),
        }
    }

    #[test]
    fn only_allow_listed_and_well_formed_fields_go_on() {
        let long = "x".repeat(600);
        let request = request(&format!(
            r#"{{"userAgent":{{"headerUserAgent":"{long}","deviceName":"Firefox","osVersion":"Linux\r\nX: y","deviceType":"IOS","appVersion":"1","timezone":"Europe/Moscow","isPwa":true}},"locale":"en"}}"#
        ))
        .unwrap();
        assert_eq!(request.browser.device_name.as_deref(), Some("Firefox"));
        assert_eq!(request.browser.header_user_agent, None, "too long");
        assert_eq!(request.browser.os_version, None, "a line break");
        assert!(request.browser.is_pwa);
        assert_eq!(request.locale, Locale::En);
    }

    #[test]
    fn what_is_not_a_first_message_says_why() {
        for (text, why) in [
            ("", FirstMessageError::NotJson),
            ("{", FirstMessageError::NotJson),
            ("[]", FirstMessageError::Shape),
            ("{}", FirstMessageError::Shape),
            (r#"{"wake":true}"#, FirstMessageError::Shape),
            (r#"{"userAgent":"Firefox"}"#, FirstMessageError::Type("userAgent", "an object")),
            (r#"{"userAgent":{"osVersion":7}}"#, FirstMessageError::Type("osVersion", "a text")),
            (r#"{"userAgent":{"isPwa":"yes"}}"#, FirstMessageError::Type("isPwa", "true or false")),
            (r#"{"userAgent":{},"returnTo":1}"#, FirstMessageError::Type("returnTo", "a text")),
            (r#"{"userAgent":{},"login":"x"}"#, FirstMessageError::Shape),
            (r#"{"login":1}"#, FirstMessageError::Type("login", "a text")),
            (r#"{"login":"x","after":"yesterday"}"#, FirstMessageError::Position),
        ] {
            assert_eq!(first_message(text.as_bytes()).err(), Some(why), "{text}");
        }
    }

    #[tokio::test]
    async fn return_to_stays_on_the_site_or_on_a_listed_origin() {
        let policy = policy(0, 1);
        for fine in ["/", "/a?b=c#d", "/%2F%2Fevil.example", "/a//b", "https://app.example.ru/x", "https://example.ru/"]
        {
            assert!(policy.return_to(fine).is_some(), "{fine}");
        }
        assert_eq!(policy.return_to("/кабинет").unwrap(), "/%D0%BA%D0%B0%D0%B1%D0%B8%D0%BD%D0%B5%D1%82");
        for evil in [
            "",
            "evil",
            "//evil.example",
            "///evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "/\t/evil.example",
            "/\n/evil.example",
            " //evil.example",
            "/ /evil",
            "https://evil.example/",
            "https://example.ru.evil.example/",
            "https://example.ru@evil.example/",
            "https://u:p@example.ru/",
            "http://example.ru/",
            "https:evil.example",
            "https:/evil.example",
            "https://example.ru:8443/",
            "javascript:alert(1)",
            "data:text/html,x",
            "ftp://example.ru/",
            "//example.ru",
            "https://EXAMPLE.ru.evil/",
            "https://app.example.ru.evil/",
            "\u{ff0f}\u{ff0f}evil.example",
            "/\u{2028}/evil",
            "/\u{0}",
            "https://[::1]/",
            "mailto:a@b",
            "?x",
            "#x",
            "..",
            "./x",
            "https://",
            "https://example.ru\\@evil.example",
            "/\u{a0}",
            "blob:https://example.ru/x",
        ] {
            assert_eq!(policy.return_to(evil), None, "{evil:?}");
        }
        assert_eq!(policy.return_to(&format!("/{}", "x".repeat(RETURN_TO))), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_login_for_an_app_begins_only_where_one_waits_for_this_browser() {
        let policy = policy(0, 10);
        let who = ClientAddress { ip: [10, 0, 2, 1].into(), unlisted_proxy: false };
        for (waiting, flow, begins) in [("waiting", &b"f"[..], true), ("other", b"f", false), ("waiting", b"g", false)]
        {
            let request = request(&format!(r#"{{"userAgent":{{}},"request":"{waiting}"}}"#)).unwrap();
            let begun = policy.begin(request, who, Fingerprint::of(flow), None, false).await;
            assert_eq!(begun.is_ok(), begins, "{waiting}");
            assert!(begins || begun.err() == Some(StartError::Request));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_apps_ask_for_is_limited_by_itself() {
        let who = ClientAddress { ip: [10, 0, 2, 1].into(), unlisted_proxy: false };
        for (per_minute, admitted) in [(1, 6), (2, 12), (0, 50)] {
            let policy = policy(per_minute, 1);
            assert_eq!((0..50).filter(|_| policy.admit_request(who).is_ok()).count(), admitted, "{per_minute}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn too_many_starts_and_a_full_node_say_when_to_come_back() {
        let who = |unlisted_proxy| ClientAddress { ip: [10, 0, 2, u8::from(unlisted_proxy)].into(), unlisted_proxy };
        let flow = Fingerprint::of(b"f");
        let begin = async |policy: &StartPolicy, who| {
            policy.begin(request(r#"{"userAgent":{}}"#).unwrap(), who, flow, None, false).await
        };
        let limited = policy(1, 100);
        assert!(begin(&limited, who(false)).await.is_ok());
        assert_eq!(
            begin(&limited, who(false)).await.err(),
            Some(StartError::RateLimited { retry_after: Duration::from_secs(60) })
        );
        for _ in 0..50 {
            assert!(begin(&limited, who(true)).await.is_ok(), "an unlisted proxy does not lock the site out");
        }
        let stranger = ClientAddress { ip: [198, 51, 100, 7].into(), unlisted_proxy: true };
        assert!(begin(&limited, stranger).await.is_ok());
        assert!(begin(&limited, stranger).await.is_err(), "who only says so has the limit of one");
        assert_eq!(begin(&policy(0, 0), who(false)).await.err(), Some(StartError::Busy { retry_after: BUSY_PAUSE }));
    }
}
