//! What the emulated MAX remembers: codes, open logins, counters, the fault script. Bounded in every direction.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use super::fault::Faults;
use crate::max::frame::Dialect;

/// Codes that are remembered; past it the oldest goes. Each is about half a KiB.
const MAX_CODES: usize = 10_000;

/// Logins that nobody ended and that are remembered; past it the oldest is forgotten, and still counted as open.
const MAX_LOGINS: usize = 10_000;

/// How long a declined or expired code stays in the list, for the person who pressed the button.
const SHOWN_AFTER_END: Duration = Duration::from_secs(5);

/// A number that grows with every code, login and connection: the order they came in.
pub(super) type Serial = u64;

#[derive(Default)]
pub(super) struct World {
    codes: BTreeMap<Serial, Code>,
    by_track: HashMap<String, Serial>,
    logins: BTreeMap<Serial, String>,
    serial: Serial,
    pub(super) faults: Faults,
    pub(super) stats: Stats,
    /// Open connections on which the client has said nothing yet.
    silent: BTreeSet<Serial>,
}

#[derive(Default)]
pub(super) struct Stats {
    pub(super) codes: u64,
    /// Tokens handed out.
    pub(super) logins: u64,
    pub(super) logouts: u64,
    /// Logins that ended because another session closed them.
    pub(super) closed_by_others: u64,
    pub(super) max_logins_at_once: u64,
    pub(super) questions: u64,
    pub(super) connections: usize,
    pub(super) total_connections: u64,
    /// Times a client sent SESSIONS_CLOSE.
    pub(super) sessions_closed: u64,
    /// Connections that MAX would have refused for their `Origin`.
    pub(super) foreign_origins: u64,
}

impl Stats {
    pub(super) fn open_logins(&self) -> u64 {
        self.logins.saturating_sub(self.logouts).saturating_sub(self.closed_by_others)
    }
}

/// A QR code, bound to the connection that asked for it.
pub(super) struct Code {
    pub(super) track: String,
    pub(super) connection: Serial,
    pub(super) state: State,
    pub(super) polls: u32,
    pub(super) wrong_passwords: u32,
    /// On the monotonic clock, and in Unix ms as MAX says it.
    pub(super) expires: Duration,
    pub(super) expires_unix_ms: i64,
    pub(super) dialect: Dialect,
    pub(super) device_name: String,
    pub(super) os_version: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Open,
    Approved,
    /// LOGIN_BY_QR was sent, and the account has a password.
    Password,
    Declined,
    Expired,
}

impl State {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Approved => "approved",
            Self::Password => "password",
            Self::Declined => "declined",
            Self::Expired => "expired",
        }
    }

    fn is_over(self) -> bool {
        matches!(self, Self::Declined | Self::Expired)
    }
}

impl Code {
    pub(super) fn link(&self) -> String {
        format!("https://max.ru/:auth/{}", self.track)
    }
}

impl World {
    pub(super) fn next_serial(&mut self) -> Serial {
        self.serial += 1;
        self.serial
    }

    pub(super) fn add_code(&mut self, code: Code, now: Duration) {
        self.forget_expired(now);
        while self.codes.len() >= MAX_CODES {
            self.codes.pop_first().map(|(_, oldest)| self.by_track.remove(&oldest.track));
        }
        let serial = self.next_serial();
        self.by_track.insert(code.track.clone(), serial);
        self.codes.insert(serial, code);
        self.stats.codes += 1;
    }

    fn forget_expired(&mut self, now: Duration) {
        self.forget(|code| code.expires < now);
    }

    fn forget(&mut self, gone: impl Fn(&Code) -> bool) {
        let by_track = &mut self.by_track;
        self.codes.retain(|_, code| {
            let gone = gone(code);
            if gone {
                by_track.remove(&code.track);
            }
            !gone
        });
    }

    /// The codes to list, oldest first.
    pub(super) fn codes(&mut self, now: Duration) -> impl Iterator<Item = &Code> {
        self.forget_expired(now);
        self.codes.values()
    }

    /// A code that a phone can still act on.
    pub(super) fn live_code(&mut self, track: &str, now: Duration) -> Option<&mut Code> {
        let code = self.codes.get_mut(self.by_track.get(track)?)?;
        (code.expires >= now && !code.state.is_over()).then_some(code)
    }

    /// The same, as a client sees it: a track of another connection does not exist.
    pub(super) fn code_of(&mut self, connection: Serial, track: &str, now: Duration) -> Option<&mut Code> {
        self.live_code(track, now).filter(|code| code.connection == connection)
    }

    /// The phone says yes; once or twice is the same.
    pub(super) fn approve(&mut self, track: &str, now: Duration) -> bool {
        let Some(code) = self.live_code(track, now) else { return false };
        if code.state == State::Open {
            code.state = State::Approved;
        }
        true
    }

    /// Declined or expired: the client learns it at its next question.
    pub(super) fn end_code(&mut self, track: &str, state: State, now: Duration) -> bool {
        let Some(code) = self.live_code(track, now) else { return false };
        code.state = state;
        code.expires = now + SHOWN_AFTER_END;
        true
    }

    pub(super) fn use_code(&mut self, track: &str) {
        if let Some(serial) = self.by_track.remove(track) {
            self.codes.remove(&serial);
        }
    }

    /// Opens a login and gives its token.
    pub(super) fn open_login(&mut self, prefix: &str) -> (Serial, String) {
        while self.logins.len() >= MAX_LOGINS {
            self.logins.pop_first();
        }
        let serial = self.next_serial();
        let token = format!("{prefix}_{serial}");
        self.logins.insert(serial, token.clone());
        self.stats.logins += 1;
        self.stats.max_logins_at_once = self.stats.max_logins_at_once.max(self.stats.open_logins());
        (serial, token)
    }

    pub(super) fn login_of(&self, token: &str) -> Option<Serial> {
        self.logins.iter().find(|(_, open)| *open == token).map(|(serial, _)| *serial)
    }

    /// The token of an open login.
    pub(super) fn token_of(&self, login: Serial) -> Option<&str> {
        self.logins.get(&login).map(String::as_str)
    }

    /// Ends a login once, whichever connection says so.
    pub(super) fn end_login(&mut self, login: Serial) {
        if self.logins.remove(&login).is_some() {
            self.stats.logouts += 1;
        }
    }

    /// SESSIONS_CLOSE: all other logins of the account are ended.
    pub(super) fn close_others(&mut self, own: Option<Serial>) {
        self.stats.sessions_closed += 1;
        let before = self.logins.len();
        self.logins.retain(|serial, _| Some(*serial) == own);
        self.stats.closed_by_others += (before - self.logins.len()) as u64;
    }

    pub(super) fn connected(&mut self) -> Serial {
        self.stats.connections += 1;
        self.stats.total_connections += 1;
        let serial = self.next_serial();
        self.silent.insert(serial);
        serial
    }

    /// The client has said something.
    pub(super) fn heard(&mut self, connection: Serial) {
        self.silent.remove(&connection);
    }

    /// Open connections on which nothing was said yet.
    pub(super) fn silent(&self) -> usize {
        self.silent.len()
    }

    /// Codes die with their connection; logins do not.
    pub(super) fn disconnected(&mut self, connection: Serial) {
        self.stats.connections = self.stats.connections.saturating_sub(1);
        self.silent.remove(&connection);
        self.forget(|code| code.connection == connection);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn code(track: &str, connection: Serial, expires: Duration) -> Code {
        Code {
            track: track.to_owned(),
            connection,
            state: State::Open,
            polls: 0,
            wrong_passwords: 0,
            expires,
            expires_unix_ms: 0,
            dialect: Dialect::Json,
            device_name: String::new(),
            os_version: String::new(),
        }
    }

    fn tracks(world: &mut World, now: Duration) -> Vec<String> {
        world.codes(now).map(|code| code.track.clone()).collect()
    }

    #[test]
    fn a_login_is_open_until_it_is_ended_once() {
        let mut world = World::default();
        let (one, token) = world.open_login("a");
        let (other, second) = world.open_login("b");
        assert_eq!((token.as_str(), second.as_str()), ("a_1", "b_2"));
        assert_eq!((world.token_of(one), world.login_of("b_2")), (Some("a_1"), Some(other)));
        world.end_login(one);
        world.end_login(one);
        assert_eq!((world.token_of(one), world.login_of("a_1")), (None, None));
        assert_eq!((world.stats.logins, world.stats.logouts, world.stats.open_logins()), (2, 1, 1));
        world.open_login("c");
        world.open_login("d");
        world.close_others(Some(other));
        assert_eq!((world.stats.closed_by_others, world.stats.sessions_closed, world.stats.open_logins()), (2, 1, 1));
        assert_eq!((world.token_of(other), world.stats.max_logins_at_once), (Some("b_2"), 3));
        world.close_others(None);
        assert_eq!((world.stats.closed_by_others, world.stats.open_logins()), (3, 0));
        for _ in 0..=MAX_LOGINS {
            world.open_login("x");
        }
        assert_eq!((world.logins.len(), world.stats.open_logins()), (MAX_LOGINS, MAX_LOGINS as u64 + 1));
    }

    #[test]
    fn a_code_lives_for_its_time_on_its_connection() {
        let mut world = World::default();
        let (here, there) = (world.connected(), world.connected());
        assert_eq!((here, there, world.stats.connections, world.stats.total_connections), (1, 2, 2, 2));
        world.add_code(code("a", here, SECOND * 10), Duration::ZERO);
        world.add_code(code("b", there, SECOND * 20), Duration::ZERO);
        assert!(world.code_of(here, "a", SECOND).is_some() && world.code_of(there, "a", SECOND).is_none());
        assert!(world.live_code("a", SECOND * 10).is_some() && world.live_code("a", SECOND * 11).is_none());
        assert!(world.approve("a", SECOND) && world.approve("a", SECOND), "twice is the same");
        assert_eq!(world.live_code("a", SECOND).unwrap().state.name(), "approved");
        assert!(!world.approve("nobody's", SECOND));
        assert!(world.end_code("b", State::Declined, SECOND) && !world.end_code("b", State::Expired, SECOND));
        assert!(world.live_code("b", SECOND).is_none(), "a phone can do no more with it");
        assert_eq!(tracks(&mut world, SECOND + SHOWN_AFTER_END), ["a", "b"], "it is shown for a while");
        assert_eq!(tracks(&mut world, SECOND * 2 + SHOWN_AFTER_END), ["a"]);
        world.disconnected(there);
        assert_eq!((tracks(&mut world, SECOND * 10).len(), world.stats.connections), (1, 1));
        world.disconnected(here);
        assert_eq!((tracks(&mut world, SECOND).len(), world.by_track.len(), world.stats.codes), (0, 0, 2));
        world.add_code(code("c", here, SECOND), Duration::ZERO);
        world.use_code("c");
        world.use_code("c");
        assert!(world.codes.is_empty() && world.by_track.is_empty());
        for number in 0..=MAX_CODES {
            world.add_code(code(&number.to_string(), here, SECOND), Duration::ZERO);
        }
        assert_eq!((world.codes.len(), world.by_track.len()), (MAX_CODES, MAX_CODES));
        assert!(world.live_code("0", Duration::ZERO).is_none() && world.live_code("1", Duration::ZERO).is_some());
        let again = MAX_CODES;
        world.add_code(code("late", here, SECOND * 9), SECOND * 2);
        assert_eq!((world.codes.len(), again), (1, MAX_CODES), "what is over goes first");
    }
}
