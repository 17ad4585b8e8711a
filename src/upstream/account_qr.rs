//! The account QR: MAX's own web sign-in, driven by us. It works for everybody who has MAX and asks nothing of them,
//! but it is an unofficial protocol and gives this process a full token of the account for about a second.

use super::connect::{self, Roots, UpstreamSocket};
use super::conversation::Conversation;
use super::driver::{Driver, Inbox, Letter, News, Outcome, Outlet, Person, Run, Visitor};
use super::endpoints::Endpoints;
use super::open_logins::OpenLogins;
use crate::base::backoff::Backoff;
use crate::base::clock::Clock;
use crate::base::repeat::OncePerMinuteEach;
use crate::base::rng::Rng;
use crate::base::tasks::Tasks;
use crate::config;
use crate::max::frame::Dialect;
use crate::max::message::{Hello, UserAgent};
use crate::max::profile::Profile;
use crate::max::session::{End, Logout, Now, PasswordPolicy, Session, Settings};
use metrics::counter;
use std::sync::Arc;
use std::sync::OnceLock;
use std::time::Duration;

/// LOGOUT with its fallback; on the way of every success, so shorter than people's patience.
const LOGOUT_TIME: Duration = Duration::from_secs(5);

/// Between attempts to reach MAX.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// A connection that is lost sooner after its code came has done nobody any good: it counts as a failure, and the pauses
/// go on growing. A visitor needs about so long to take the phone and scan.
const CODE_OF_USE: Duration = Duration::from_secs(10);

/// What MAX is told when the browser did not say.
const USUAL_USER_AGENT: &str =
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/151.0.0.0 Safari/537.36";

pub struct AccountQr(Arc<Inner>);

pub(super) struct Inner {
    endpoints: Endpoints,
    roots: Roots,
    pub(super) settings: Settings,
    app_version: String,
    give_up_after: Duration,
    pub(super) clock: Clock,
    rng: Rng,
    pub(super) tasks: Tasks,
    pub(super) open_logins: OpenLogins,
    /// When MAX is in trouble, every login meets it: one line a minute for each address and kind.
    told: OncePerMinuteEach<(usize, Trouble)>,
    pub(super) unreadable: OncePerMinuteEach<&'static str>,
}

/// What an address of MAX can be in.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Trouble {
    Unreachable,
    NoCode,
    ShortLivedCode,
}

impl AccountQr {
    /// `open_logins` is told of each login that may be open at MAX.
    pub fn new(
        upstream: &config::Upstream,
        login: &config::Login,
        roots: Roots,
        clock: Clock,
        rng: Rng,
        tasks: Tasks,
        open_logins: OpenLogins,
    ) -> Self {
        let settings = Settings {
            password: match login.password {
                config::PasswordPolicy::Refuse => PasswordPolicy::Refuse,
                config::PasswordPolicy::Ask => PasswordPolicy::Ask,
            },
            poll_interval: login.poll_interval,
            answer_timeout: upstream.answer_timeout,
            logout_timeout: LOGOUT_TIME,
        };
        Self(Arc::new(Inner {
            endpoints: Endpoints::new(upstream.endpoints.clone()),
            roots,
            settings,
            app_version: upstream.app_version.clone(),
            give_up_after: upstream.give_up_after,
            clock,
            rng,
            tasks,
            open_logins,
            told: OncePerMinuteEach::default(),
            unreadable: OncePerMinuteEach::default(),
        }))
    }
}

impl Driver for AccountQr {
    fn run<'a>(&'a self, visitor: Visitor, outlet: &'a dyn Outlet, inbox: &'a Inbox) -> Run<'a> {
        Box::pin(sign_in(&self.0, visitor, outlet, inbox))
    }
}

/// Connection after connection until MAX has decided, the inbox says stop, or MAX has been out of reach for too long.
async fn sign_in(inner: &Arc<Inner>, visitor: Visitor, outlet: &dyn Outlet, inbox: &Inbox) -> Outcome {
    let hello = Arc::new(inner.hello(visitor));
    let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
    let mut out_of_reach_since = inner.clock.monotonic();
    loop {
        let connected = tokio::select! {
            // Boxed, so that a waiting login does not keep room for a handshake.
            connected = Box::pin(inner.connect(&hello)) => connected,
            () = stopped(inbox) => return Outcome::Stopped,
        };
        if let Some((index, socket)) = connected {
            let session = Session::begin(inner.settings, Hello::clone(&hello), inner.now());
            let dialect = inner.dialect(index);
            let mut conversation = Conversation::new(Arc::clone(inner), session, socket, Arc::clone(&hello), dialect);
            let watch = Watch { outlet, inner, first_code: OnceLock::new() };
            let end = conversation.run(&watch, Some(inbox)).await;
            drop(conversation);
            let code_lived = watch.first_code.get().map(|shown| inner.clock.monotonic().saturating_sub(*shown));
            match end {
                Some(End::SignedIn { profile, logout }) => {
                    inner.endpoints.works(index);
                    count_logout(logout);
                    return Outcome::SignedIn(person(profile));
                }
                Some(End::Refused { refusal, logout }) => {
                    count_logout(logout);
                    return Outcome::Refused(refusal);
                }
                Some(End::Stopped { logout }) => {
                    count_logout(logout);
                    return Outcome::Stopped;
                }
                Some(End::Lost { why }) => {
                    let host = inner.endpoints.get(index).url.host_str().unwrap_or_default();
                    counter!("max_auth_upstream_lost_total").increment(1);
                    match code_lived {
                        Some(lived) if lived >= CODE_OF_USE => {
                            tracing::info!(
                                endpoint = host,
                                "the connection to MAX was lost ({why}); a fresh code follows"
                            );
                            inner.endpoints.works(index);
                            backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
                            out_of_reach_since = inner.clock.monotonic();
                        }
                        Some(_) => {
                            if let Some(times) = inner.told.due((index, Trouble::ShortLivedCode)) {
                                tracing::warn!(
                                    endpoint = host,
                                    times,
                                    "MAX ended the connection right behind its code ({why}); another address is preferred \
                                 for a while"
                                );
                            }
                            inner.endpoints.failed(index, inner.clock.monotonic());
                        }
                        None => {
                            if let Some(times) = inner.told.due((index, Trouble::NoCode)) {
                                tracing::warn!(
                                    endpoint = host,
                                    times,
                                    "MAX ended the connection before it gave a code ({why}): wrong dialect for this \
                                 address, or it is no longer served"
                                );
                            }
                            inner.endpoints.failed(index, inner.clock.monotonic());
                        }
                    }
                }
                None => {}
            }
        }
        let now = inner.clock.monotonic();
        let pause = inner.endpoints.brake(now + backoff.wait(&inner.rng), now);
        if now.saturating_sub(out_of_reach_since) + pause >= inner.give_up_after {
            return Outcome::Unreachable;
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = stopped(inbox) => return Outcome::Stopped,
        }
    }
}

/// Reads the inbox while there is no connection: nothing but `Stop` can be acted on.
async fn stopped(inbox: &Inbox) {
    while !matches!(inbox.next().await, Letter::Stop) {}
}

impl Inner {
    pub(super) fn now(&self) -> Now {
        Now { mono: self.clock.monotonic(), unix_ms: self.clock.unix_ms() }
    }

    pub(super) fn dialect(&self, index: usize) -> Dialect {
        match self.endpoints.get(index).dialect {
            config::Dialect::Json => Dialect::Json,
            config::Dialect::Binary => Dialect::Binary,
        }
    }

    /// The first endpoint that lets us in.
    pub(super) async fn connect(&self, hello: &Hello) -> Option<(usize, UpstreamSocket)> {
        for index in self.endpoints.order(self.clock.monotonic()) {
            let endpoint = self.endpoints.get(index);
            match connect::connect(endpoint, &self.roots, &hello.user_agent.header_user_agent, &self.rng).await {
                Ok(socket) => {
                    counter!("max_auth_upstream_connects_total", "result" => "ok").increment(1);
                    return Some((index, socket));
                }
                Err(error) => {
                    self.endpoints.failed(index, self.clock.monotonic());
                    counter!("max_auth_upstream_connects_total", "result" => "failed").increment(1);
                    if let Some(times) = self.told.due((index, Trouble::Unreachable)) {
                        let host = endpoint.url.host_str().unwrap_or_default();
                        tracing::warn!(endpoint = host, times, "MAX cannot be reached: {error}");
                    }
                }
            }
        }
        None
    }

    fn hello(&self, visitor: Visitor) -> Hello {
        let or = |value: Option<String>, usual: &str| value.unwrap_or_else(|| usual.to_owned());
        let locale = or(visitor.locale, "ru");
        Hello {
            user_agent: UserAgent {
                device_locale: locale.clone(),
                locale,
                os_version: or(visitor.os_version, "Linux"),
                device_name: or(visitor.device_name, "Chrome"),
                header_user_agent: or(visitor.header_user_agent, USUAL_USER_AGENT),
                is_pwa: visitor.is_pwa,
                app_version: self.app_version.clone(),
                screen: or(visitor.screen, "1080x1920 1.0x"),
                timezone: or(visitor.timezone, "Europe/Moscow"),
            },
            device_id: self.rng.uuid(),
        }
    }
}

fn count_logout(logout: Logout) {
    match logout {
        Logout::NotNeeded => {}
        Logout::Confirmed => counter!("max_auth_logouts_total", "result" => "confirmed").increment(1),
        // The conversation goes on with it; it is counted there.
        Logout::Failed => {}
    }
}

fn person(profile: Profile) -> Person {
    Person {
        id: profile.id,
        name: profile.name.clone(),
        first_name: profile.first_name.clone(),
        last_name: profile.last_name.clone(),
        phone: profile.phone.clone(),
        photo_url: profile.photo_url.clone(),
    }
}

/// Remembers when this connection got as far as a code.
struct Watch<'a> {
    outlet: &'a dyn Outlet,
    inner: &'a Inner,
    first_code: OnceLock<Duration>,
}

impl Outlet for Watch<'_> {
    fn tell(&self, news: News) {
        if matches!(news, News::Code { .. }) {
            self.first_code.get_or_init(|| self.inner.clock.monotonic());
        }
        self.outlet.tell(news);
    }
}
