//! The signed-in browser: who it is travels in a sealed cookie, so that a restart signs nobody out and the server
//! keeps nothing about anybody. What it does keep, in the store, is which sessions were ended early.

mod ended;
#[cfg(any(fuzzing, test))]
pub mod fuzzing;
mod people;

use crate::base::clock::Clock;
use crate::base::id::{self, Fingerprint};
use crate::base::rng::Rng;
use crate::base::tasks::Tasks;
use crate::signin::{DriverName, Identity};
use crate::store::{Seal, Store, Unavailable, Vault};
use ended::Ended;
pub use ended::EndedBefore;
#[cfg(test)]
pub use people::PLACES;
pub use people::{People, Place};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;

/// Bound into the seal: a cookie of another purpose, or of another layout, does not open.
const PURPOSE: &[u8] = b"max-auth session 1";

/// Longest sealed cookie that is looked at, in bytes: browsers keep 4 KiB.
const COOKIE_MAX: usize = 4096;

/// Longest sealed cookie that is made, in bytes. Browsers would keep twice that; but nginx by default takes no more than
/// 4 KiB of a whole answer's head, in which there are a Location of 1 KiB and headers of another.
const FITS: usize = 2048;

/// What is left of each name, in characters, when a session does not fit; tried in this order.
const SHORTER_NAMES: [usize; 3] = [64, 32, 16];

/// Who is signed in, as `/session` says it.
#[derive(Serialize, Deserialize, Clone, PartialEq, Debug)]
pub struct BrowserSession {
    /// MAX's user id, with the driver's name before it where the drivers' people are apart: stable, the key to store.
    pub sub: String,
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub picture: Option<String>,
    /// Who found it out, where it is not the account QR.
    #[serde(default, skip_serializing_if = "is_account_qr")]
    pub driver: DriverName,
    /// E.164, only with `session.phone = true`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
    /// Unix milliseconds of the MAX sign-in.
    #[serde(rename = "authTime")]
    pub auth_time: i64,
    /// Unix milliseconds.
    #[serde(rename = "expiresAt")]
    pub expires_at: i64,
}

fn is_account_qr(driver: &DriverName) -> bool {
    *driver == DriverName::AccountQr
}

impl BrowserSession {
    fn shorten_names(&mut self, characters: usize) {
        let names = [Some(&mut self.name), self.first_name.as_mut(), self.last_name.as_mut()];
        for name in names.into_iter().flatten() {
            if let Some((end, _)) = name.char_indices().nth(characters) {
                name.truncate(end);
            }
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Sealed {
    sid: String,
    /// Kept and not said: for lists of who may, and for apps that may know it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kept_phone: Option<String>,
    #[serde(flatten)]
    session: BrowserSession,
}

/// What becomes of a phone number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phone {
    /// Forgotten.
    Dropped,
    /// In the sealed cookie, and not in `/session`.
    Kept,
    /// `session.phone`: the site is told.
    Said,
}

/// Which session it is, without being what opens it: 22 characters.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SessionId(String);

impl SessionId {
    pub fn of(sid: &str) -> Self {
        Self(id::encode(&Fingerprint::of(sid.as_bytes()).bytes()[..ended::MARK]))
    }

    pub fn text(&self) -> &str {
        &self.0
    }
}

/// A session with all that is known.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SignedIn {
    pub id: SessionId,
    pub session: BrowserSession,
    /// E.164, where it is kept.
    pub phone: Option<String>,
}

pub struct Sessions {
    seal: Seal,
    ended: Ended,
    clock: Clock,
    rng: Rng,
    ttl: Duration,
    phone: Phone,
    people: Option<People>,
}

impl Sessions {
    pub fn new(seal: Seal, store: Arc<dyn Store>, clock: Clock, rng: Rng, ttl: Duration, phone: Phone) -> Self {
        Self { seal, ended: Ended::new(store), clock, rng, ttl, phone, people: None }
    }

    /// Where each person is signed in is kept, too.
    pub fn with_people(self, vault: Vault) -> Self {
        Self { people: Some(People::new(vault, self.ttl)), ..self }
    }

    /// To be run beside: see [`Ended::write_again`].
    pub fn spawn_write_again(&self, tasks: &Tasks) {
        let ended = self.ended.clone();
        let stopping = tasks.clone();
        tasks.spawn("ended-sessions", async move {
            tokio::select! {
                () = ended.write_again() => {}
                () = stopping.stopping() => {}
            }
        });
    }

    pub fn ttl(&self) -> Duration {
        self.ttl
    }

    /// A new session, under a new id, and the value of its cookie.
    pub fn begin(&self, identity: Identity) -> Option<(BrowserSession, String)> {
        let sub = identity.subject();
        let (told, kept_phone) = match self.phone {
            Phone::Said => (identity.phone, None),
            Phone::Kept => (None, identity.phone),
            Phone::Dropped => (None, None),
        };
        let ttl_ms = i64::try_from(self.ttl.as_millis()).unwrap_or(i64::MAX);
        let session = BrowserSession {
            sub,
            driver: identity.driver,
            name: identity.name,
            first_name: identity.first_name,
            last_name: identity.last_name,
            picture: identity.photo_url,
            phone: told,
            auth_time: self.clock.unix_ms(),
            expires_at: self.clock.unix_ms().saturating_add(ttl_ms),
        };
        let mut sealed = Sealed { sid: id::encode(&self.rng.bytes::<16>()), kept_phone, session };
        let mut shorter = SHORTER_NAMES.into_iter();
        loop {
            let cookie = self.seal(&sealed)?;
            if cookie.len() <= FITS {
                return Some((sealed.session, cookie));
            }
            if sealed.session.picture.take().is_none() {
                sealed.session.shorten_names(shorter.next()?);
            }
        }
    }

    fn seal(&self, sealed: &Sealed) -> Option<String> {
        let text = serde_json::to_vec(sealed).ok()?;
        Some(id::encode(&self.seal.seal(PURPOSE, &text)?))
    }

    /// The session of a cookie: `None` for what is forged, over, or was ended. While the store is out of reach a session
    /// counts as it stands: its seal and its time are known, and locking everybody out would be worse.
    pub async fn read(&self, cookie: &str) -> Option<SignedIn> {
        let sealed = self.unseal(cookie).filter(|sealed| sealed.session.expires_at > self.clock.unix_ms())?;
        let id = SessionId::of(&sealed.sid);
        let phone = sealed.kept_phone.or_else(|| sealed.session.phone.clone());
        let signed_in = SignedIn { id, phone, session: sealed.session };
        if self.is_over(&signed_in).await { None } else { Some(signed_in) }
    }

    /// Whether it was ended before its time, by itself or with all of its person's.
    pub async fn is_over(&self, signed_in: &SignedIn) -> bool {
        let session = &signed_in.session;
        let all = async {
            let Some(people) = &self.people else { return false };
            people.is_over(&session.sub, session.auth_time).await.unwrap_or_default()
        };
        let (ended, all) = tokio::join!(self.is_ended(&signed_in.id), all);
        ended || all
    }

    /// Keeps where somebody just signed in. Not to be told is no reason to refuse them.
    pub async fn begun(&self, cookie: &str, browser: &str) {
        if let Some((people, sealed)) = self.people.as_ref().zip(self.unseal(cookie)) {
            let session = sealed.session;
            let (id, browser) = (SessionId::of(&sealed.sid), browser.to_owned());
            let place = Place { id, began: session.auth_time, browser };
            if let Err(error) = people.add(&session.sub, &place).await {
                tracing::warn!("where somebody signed in is not kept: {error}");
            }
        }
    }

    /// Where this person is signed in, the newest first.
    pub async fn places(&self, signed_in: &SignedIn) -> Result<Vec<Place>, Unavailable> {
        let Some(people) = &self.people else { return Ok(Vec::new()) };
        people.places(&signed_in.session.sub).await
    }

    /// Ends all sessions of a person, known or not; those that were known.
    pub async fn end_all(&self, signed_in: &SignedIn) -> Result<Vec<SessionId>, Unavailable> {
        let Some(people) = &self.people else { return Ok(Vec::new()) };
        let places = people.end_all(&signed_in.session.sub).await?;
        let known = places.into_iter().map(|place| place.id).filter(|id| *id != signed_in.id);
        let all: Vec<SessionId> = known.chain([signed_in.id.clone()]).collect();
        for id in &all {
            // One by one, too: that is written again where a failover loses what was written last.
            if let Some(mark) = ended::mark(id.text()) {
                self.ended.end(&mark, self.ttl).await?;
            }
        }
        Ok(all)
    }

    /// Whether it was ended before its time. Not while the store is out of reach: see [`Self::read`].
    pub async fn is_ended(&self, id: &SessionId) -> bool {
        let Some(mark) = ended::mark(id.text()) else { return true };
        self.ended.contains(&mark).await.unwrap_or_else(|_| {
            metrics::counter!("max_auth_sessions_unchecked_total").increment(1);
            false
        })
    }

    fn unseal(&self, cookie: &str) -> Option<Sealed> {
        if cookie.len() > COOKIE_MAX {
            return None;
        }
        serde_json::from_slice(&self.seal.open(PURPOSE, &id::decode(cookie)?)?).ok()
    }

    /// Ends the session for good: the cookie is worthless from now on, also after a restart.
    pub async fn end(&self, cookie: &str) -> Result<(), Unavailable> {
        let Some(sealed) = self.unseal(cookie) else { return Ok(()) };
        let Some(mark) = ended::mark(SessionId::of(&sealed.sid).text()) else { return Ok(()) };
        let left = sealed.session.expires_at.saturating_sub(self.clock.unix_ms());
        let life = Duration::from_millis(u64::try_from(left).unwrap_or_default());
        self.ended.end(&mark, life).await?;
        if let Some(people) = &self.people {
            let removed = people.remove(&sealed.session.sub, &SessionId::of(&sealed.sid)).await;
            if let Err(error) = removed {
                tracing::warn!("the list of somebody's sessions names one that is over: {error}");
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Flaky, MemoryStore, Seals};
    use tokio::time::sleep;

    fn identity() -> Identity {
        Identity {
            id: 401_041_669,
            name: "Иван Петров".into(),
            first_name: Some("Иван".into()),
            last_name: Some("Петров".into()),
            phone: Some("+79991234567".into()),
            photo_url: Some(format!("https://i.oneme.ru/i?r={}", "x".repeat(2000))),
            driver: DriverName::AccountQr,
            apart: None,
        }
    }

    fn sessions(key: u8, store: &Arc<dyn Store>, clock: &Clock, phone: Phone) -> Sessions {
        let (rng, ttl) = (Rng::system(), Duration::from_secs(3600));
        let seal = Seals::new(&[key; 32], &rng).unwrap().session;
        Sessions::new(seal, Arc::clone(store), clock.clone(), rng, ttl, phone)
    }

    fn world() -> (Arc<dyn Store>, Clock) {
        let clock = Clock::fixed(1_000_000);
        (Arc::new(MemoryStore::new(clock.clone(), 100)), clock)
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_survives_a_restart_and_ends_in_time() {
        let (store, clock) = world();
        let (_, cookie) = sessions(1, &store, &clock, Phone::Dropped).begin(identity()).unwrap();
        let after_restart = sessions(1, &world().0, &clock, Phone::Dropped);
        let session = after_restart.read(&cookie).await.unwrap().session;
        assert_eq!((session.sub.as_str(), session.name.as_str()), ("401041669", "Иван Петров"));
        assert_eq!((session.phone, session.picture), (None, None), "phone not asked for, photo too long");
        tokio::time::advance(Duration::from_secs(3600)).await;
        assert!(after_restart.read(&cookie).await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn an_ended_session_stays_ended_on_every_node() {
        let (store, clock) = world();
        let (one, other) = (sessions(1, &store, &clock, Phone::Dropped), sessions(1, &store, &clock, Phone::Dropped));
        let (ended, alive) = (one.begin(identity()).unwrap().1, one.begin(identity()).unwrap().1);
        one.end(&ended).await.unwrap();
        for node in [one, other] {
            assert!(node.read(&ended).await.is_none());
            assert!(node.read(&alive).await.is_some());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_phone_is_dropped_kept_or_said() {
        let (store, clock) = world();
        let number = || Some("+79991234567".to_owned());
        let cases = [(Phone::Dropped, None, None), (Phone::Kept, None, number()), (Phone::Said, number(), number())];
        for (phone, said, known) in cases {
            let sessions = sessions(1, &store, &clock, phone);
            let (session, cookie) = sessions.begin(identity()).unwrap();
            let read = sessions.read(&cookie).await.unwrap();
            assert_eq!((&session.phone, &read.session.phone, &read.phone), (&said, &said, &known), "{phone:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_is_known_by_an_id_that_does_not_open_it() {
        let (store, clock) = world();
        let sessions = sessions(1, &store, &clock, Phone::Dropped);
        let (one, other) = (sessions.begin(identity()).unwrap().1, sessions.begin(identity()).unwrap().1);
        let id = sessions.read(&one).await.unwrap().id;
        assert_eq!(id, sessions.read(&one).await.unwrap().id);
        assert_ne!(id, sessions.read(&other).await.unwrap().id);
        assert!(sessions.read(id.text()).await.is_none());
        assert!(!sessions.is_ended(&id).await);
        sessions.end(&one).await.unwrap();
        assert!(sessions.is_ended(&id).await);
        assert!(sessions.is_ended(&SessionId("no id".into())).await);
    }

    /// Names of the greatest length that is kept, in characters of four bytes, beside a long picture and a phone.
    #[tokio::test(start_paused = true)]
    async fn whoever_signs_in_gets_a_cookie_that_browsers_and_proxies_take() {
        let (store, clock) = world();
        let sessions = sessions(1, &store, &clock, Phone::Said);
        for (length, character) in [(128, "🎉"), (128, "ф"), (128, "\""), (20, "x")] {
            for photo in [2048, 1400, 60, 0] {
                let name = character.repeat(length);
                let identity = Identity {
                    name: format!("{name} {name}"),
                    first_name: Some(name.clone()),
                    last_name: Some(name.clone()),
                    photo_url: (photo > 0).then(|| "p".repeat(photo)),
                    ..identity()
                };
                let (_, cookie) = sessions.begin(identity).unwrap();
                let what = format!("{character} {length} {photo}");
                assert!(cookie.len() <= FITS, "{what}: {}", cookie.len());
                let session = sessions.read(&cookie).await.expect(&what).session;
                assert_eq!((session.sub.as_str(), session.phone.is_some()), ("401041669", true), "{what}");
                assert!(session.first_name.unwrap().starts_with(&character.repeat(16)), "{what}");
                if length == 20 && photo <= 60 {
                    assert_eq!(session.picture.is_some(), photo > 0, "{what}: no more is left out than must be");
                    assert_eq!(session.name, format!("{name} {name}"), "{what}");
                }
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_forged_does_not_open() {
        let (store, clock) = world();
        let other_key = sessions(2, &store, &clock, Phone::Dropped);
        let sessions = sessions(1, &store, &clock, Phone::Dropped);
        let (_, cookie) = sessions.begin(identity()).unwrap();
        let mut flipped = id::decode(&cookie).unwrap();
        for at in [0, 12, 40, flipped.len() - 1] {
            flipped[at] ^= 1;
            assert!(sessions.read(&id::encode(&flipped)).await.is_none(), "byte {at}");
            flipped[at] ^= 1;
        }
        for bad in ["", "x", "AAAA", &cookie[..20], &"A".repeat(5000)] {
            assert!(sessions.read(bad).await.is_none());
        }
        assert!(other_key.read(&cookie).await.is_none(), "another key");
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_forgot_is_told_again_who_signed_out_until_the_server_stops() {
        let clock = Clock::fixed(1_000_000);
        let flaky = Arc::new(Flaky::new(clock.clone()));
        let store: Arc<dyn Store> = Arc::<Flaky>::clone(&flaky);
        let (sessions, tasks) = (sessions(1, &store, &clock, Phone::Dropped), Tasks::new());
        sessions.spawn_write_again(&tasks);
        sleep(Duration::from_millis(1)).await;
        let (_, cookie) = sessions.begin(identity()).unwrap();
        sessions.end(&cookie).await.unwrap();
        flaky.forget();
        sleep(Duration::from_secs(2)).await;
        assert!(sessions.read(&cookie).await.is_none(), "written again");
        assert!(tasks.stopped(sleep(Duration::from_secs(1))).await, "nothing holds a stop up");
    }

    #[tokio::test(start_paused = true)]
    async fn a_cookie_is_looked_at_up_to_its_longest_and_a_longer_one_is_not() {
        let (store, clock) = world();
        let sessions = sessions(1, &store, &clock, Phone::Dropped);
        let (session, _) = sessions.begin(identity()).unwrap();
        let cookie = |letters: usize| {
            let picture = Some("p".repeat(letters));
            let session = BrowserSession { picture, ..session.clone() };
            sessions.seal(&Sealed { sid: "s".into(), kept_phone: None, session }).unwrap()
        };
        let longest = (2000..4000).map(cookie).find(|cookie| cookie.len() >= COOKIE_MAX).unwrap();
        assert_eq!(longest.len(), COOKIE_MAX);
        assert!(sessions.read(&longest).await.is_some());
        let longer = (2000..4000).map(cookie).find(|cookie| cookie.len() > COOKIE_MAX).unwrap();
        assert!(sessions.read(&longer).await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_says_its_times_and_is_over_at_its_last_millisecond() {
        let (store, clock) = world();
        let sessions = sessions(1, &store, &clock, Phone::Dropped);
        assert_eq!(sessions.ttl(), Duration::from_secs(3600));
        let (session, cookie) = sessions.begin(identity()).unwrap();
        assert_eq!((session.auth_time, session.expires_at), (clock.unix_ms(), clock.unix_ms() + 3_600_000));
        sleep(Duration::from_millis(3_599_999)).await;
        assert!(sessions.read(&cookie).await.is_some());
        sleep(Duration::from_millis(1)).await;
        assert!(sessions.read(&cookie).await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn while_the_store_is_away_a_session_counts_as_it_stands() {
        let clock = Clock::fixed(1_000_000);
        let flaky = Arc::new(Flaky::new(clock.clone()));
        let store: Arc<dyn Store> = Arc::<Flaky>::clone(&flaky);
        let sessions = sessions(1, &store, &clock, Phone::Dropped);
        let (_, cookie) = sessions.begin(identity()).unwrap();
        flaky.reach(false);
        assert!(sessions.read(&cookie).await.is_some());
        assert!(sessions.end(&cookie).await.is_err(), "and nobody is told that it has ended");
        flaky.reach(true);
        sessions.end(&cookie).await.unwrap();
        assert!(sessions.read(&cookie).await.is_none());
    }
}
