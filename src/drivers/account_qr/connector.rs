//! What all sign-ins of this server by account QR share: the way to MAX, and what is known of it.

use super::open_logins::OpenLogins;
use crate::base::clock::Clock;
use crate::base::repeat::OncePerMinuteEach;
use crate::base::rng::Rng;
use crate::base::tasks::Tasks;
use crate::base::traces::TRACES;
use crate::config;
use crate::max::frame::Dialect;
use crate::max::message::{Hello, UserAgent};
use crate::max::session::{Now, PasswordPolicy, Settings};
use crate::signin::BrowserInfo;
use crate::upstream::{Dial, Endpoints, Spares, UpstreamSocket};
use metrics::counter;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tracing::Instrument as _;

/// LOGOUT with its fallback. Where too many are being ended visitors wait for it, so shorter than people's patience.
const LOGOUT_TIME: Duration = Duration::from_secs(5);

/// What MAX is told when the browser did not say.
const USUAL_USER_AGENT: &str =
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/151.0.0.0 Safari/537.36";

pub struct Connector {
    pub endpoints: Endpoints,
    /// Connections made ahead; `None` where few sign in, as for one check.
    pub spares: Option<Spares>,
    pub dial: Arc<dyn Dial>,
    pub settings: Settings,
    pub app_version: String,
    pub give_up_after: Duration,
    pub clock: Clock,
    pub rng: Rng,
    pub tasks: Tasks,
    pub open_logins: OpenLogins,
    /// Places for sessions that are being ended after their visitors were told.
    pub endings: Arc<Semaphore>,
    /// When MAX is in trouble, every login meets it: one line a minute for each address and kind.
    pub told: OncePerMinuteEach<(usize, Trouble)>,
    pub unreadable: OncePerMinuteEach<&'static str>,
}

/// What an address of MAX can be in.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum Trouble {
    Unreachable,
    NoCode,
    ShortLivedCode,
}

impl Connector {
    /// What is asked of a sign-in, and for how long.
    pub fn settings(upstream: &config::Upstream, login: &config::Login) -> Settings {
        Settings {
            password: match login.password {
                config::PasswordPolicy::Refuse => PasswordPolicy::Refuse,
                config::PasswordPolicy::Ask => PasswordPolicy::Ask,
            },
            poll_interval: login.poll_interval,
            answer_timeout: upstream.answer_timeout,
            logout_timeout: LOGOUT_TIME,
        }
    }

    pub fn now(&self) -> Now {
        Now { mono: self.clock.monotonic(), unix_ms: self.clock.unix_ms() }
    }

    pub fn dialect(&self, index: usize) -> Dialect {
        match self.endpoints.get(index).dialect {
            config::Dialect::Json => Dialect::Json,
            config::Dialect::Binary => Dialect::Binary,
        }
    }

    /// The first endpoint that lets us in.
    pub async fn connect(&self, hello: &Hello) -> Option<(usize, UpstreamSocket)> {
        for index in self.endpoints.order(self.clock.monotonic()) {
            let endpoint = self.endpoints.get(index);
            let span = tracing::info_span!(
                target: TRACES,
                "connect to MAX",
                otel.kind = "client",
                server.address = endpoint.url.host_str().unwrap_or_default(),
            );
            match self.dial.dial(endpoint, &hello.user_agent.header_user_agent).instrument(span).await {
                Ok(socket) => {
                    count_connect("ok", "at-once");
                    return Some((index, socket));
                }
                Err(error) => {
                    self.endpoints.failed(index, self.clock.monotonic());
                    count_connect("failed", "at-once");
                    if let Some(times) = self.told.due((index, Trouble::Unreachable)) {
                        let host = endpoint.url.host_str().unwrap_or_default();
                        tracing::warn!(endpoint = host, times, "MAX cannot be reached: {error}");
                    }
                }
            }
        }
        None
    }

    /// For a visitor who has just come: a connection that was made ahead, if there is one. Others are made for who comes next.
    pub fn spare(self: &Arc<Self>) -> Option<(usize, UpstreamSocket)> {
        let spares = self.spares.as_ref()?;
        let now = self.clock.monotonic();
        let preferred = self.endpoints.preferred(now);
        let spare = spares.take(preferred, now);
        if let Some(index) = preferred.filter(|_| !self.tasks.is_stopping()) {
            for _ in 0..spares.begin(now) {
                let connector = Arc::clone(self);
                self.tasks.spawn("spare", async move { connector.make_spare(index).await });
            }
        }
        spare
    }

    /// One that was thought to stand when it was `taken` did not.
    pub fn distrust_spares(&self, taken: Duration) {
        if let Some(spares) = &self.spares {
            spares.distrust(taken);
        }
    }

    /// As far as the upgrade: INIT says whose browser it is. MAX being out of reach is found out by visitors, not here.
    async fn make_spare(self: &Arc<Self>, index: usize) {
        let Some(spares) = &self.spares else { return };
        let began = self.clock.monotonic();
        let dialled = tokio::select! {
            dialled = self.dial.dial(self.endpoints.get(index), USUAL_USER_AGENT) => dialled,
            () = self.tasks.stopping() => return spares.close(),
        };
        let now = self.clock.monotonic();
        let Ok(socket) = dialled else {
            count_connect("failed", "ahead");
            return spares.not_made(now);
        };
        count_connect("ok", "ahead");
        if spares.made(index, socket, began, now) {
            self.watch_spares(spares).await;
        }
    }

    /// Until none is left.
    async fn watch_spares(&self, spares: &Spares) {
        while let Some(next) = spares.expire(self.clock.monotonic()) {
            tokio::select! {
                () = tokio::time::sleep_until(self.clock.instant(next)) => {}
                () = self.tasks.stopping() => return spares.close(),
            }
        }
    }

    pub fn hello(&self, browser: BrowserInfo) -> Hello {
        let or = |value: Option<String>, usual: &str| value.unwrap_or_else(|| usual.to_owned());
        let locale = or(browser.locale, "ru");
        Hello {
            user_agent: UserAgent {
                device_locale: locale.clone(),
                locale,
                os_version: or(browser.os_version, "Linux"),
                device_name: or(browser.device_name, "Chrome"),
                header_user_agent: or(browser.header_user_agent, USUAL_USER_AGENT),
                is_pwa: browser.is_pwa,
                app_version: self.app_version.clone(),
                screen: or(browser.screen, "1080x1920 1.0x"),
                timezone: or(browser.timezone, "Europe/Moscow"),
            },
            device_id: self.rng.uuid(),
        }
    }
}

fn count_connect(result: &'static str, kind: &'static str) {
    counter!("max_auth_upstream_connects_total", "result" => result, "kind" => kind).increment(1);
}
