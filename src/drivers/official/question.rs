//! What is kept of a code and of what its finder answers: in the store, so that any node may hear either, and whoever goes on
//! with a login goes on with its code.

use super::locks::Locks;
use crate::base::driver_name::DriverName;
use crate::base::id::{self, LoginId};
use crate::signin::Identity;
use crate::store::{Key, Space, Unavailable, Vault};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::time::Duration;

/// How long an update is known: MAX brings again what it could not deliver, the third time after ten minutes.
const REMEMBERED: Duration = Duration::from_secs(15 * 60);

/// How long a subscription is known to be ours; then it is made once more.
const SUBSCRIBED: Duration = Duration::from_secs(30 * 86_400);

/// Beyond the times of a code and its answer: whoever comes later finds nothing, which says the same to them.
const MARGIN: Duration = Duration::from_secs(60);

/// Of a code that people type. No vowels, so no words; nothing that looks like something else.
const LETTERS: &[u8; 28] = b"23456789BCDFGHJKMNPQRSTVWXYZ";

/// Characters of it: 28^8 are 3.8 × 10^11.
pub const TEXT_CODE: usize = 8;

/// Characters of the code in a link: 128 bits.
const LINK_CODE: usize = 22;

/// Numbers to pick from.
const CHOICES: usize = 4;

/// A number that is picked on the phone: two digits.
const NUMBERS: std::ops::Range<u32> = 10..100;

/// What the phone is asked, and for whom.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Question {
    /// In the link.
    pub code: String,
    /// For people who type.
    pub text_code: String,
    login: String,
    pub driver: DriverName,
    /// What the page shows, and what the phone offers; empty where nothing is picked.
    pub choices: Vec<String>,
    right: usize,
    /// The browser, for people: `Firefox, Windows 11`.
    pub browser: Option<String>,
    pub address: Option<IpAddr>,
    /// Unix milliseconds: until then it may be opened.
    pub over_at: i64,
}

impl Question {
    pub fn login(&self) -> Option<LoginId> {
        LoginId::parse(&self.login)
    }

    /// What the page shows.
    pub fn match_code(&self) -> Option<&str> {
        self.choices.get(self.right).map(String::as_str)
    }
}

/// Who opened a code, and when.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Claim {
    pub user: i64,
    /// Unix milliseconds.
    pub at: i64,
}

/// What came of a code.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    SignedIn(Box<Identity>),
    Declined,
    /// Nothing could be said to whoever opened it.
    Unsent,
    /// In milliseconds: when its finder may try again.
    Locked {
        retry_after: u64,
    },
}

#[derive(Serialize, Deserialize)]
struct Decided {
    verdict: Verdict,
}

#[derive(Serialize, Deserialize)]
struct CodeOf {
    code: String,
}

/// A subscription of ours, by a pseudonym of its secret.
#[derive(Serialize, Deserialize)]
struct Subscribed {
    by: String,
}

/// What somebody found who opened a code.
#[derive(Debug, PartialEq)]
pub enum Opened {
    /// Theirs to answer. `again`: it was before.
    Theirs(Box<Question>),
    /// Another person has it.
    Others,
    /// It is over, or never was.
    Gone,
    Locked(Duration, Box<Question>),
}

/// What somebody said who was asked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Answer<'a> {
    Picked(&'a str),
    NotMe,
}

/// What came of an answer.
#[derive(Debug, PartialEq)]
pub enum Judged {
    Right,
    Wrong,
    /// Too late, or decided before.
    Stale,
    /// Another person was asked.
    Others,
}

#[derive(Clone)]
pub struct Questions {
    vault: Vault,
    pub locks: Locks,
    ttl: Duration,
}

impl Questions {
    pub fn new(vault: Vault, ttl: Duration) -> Self {
        Self { locks: Locks::new(vault.clone()), vault, ttl }
    }

    pub fn unix_ms(&self) -> i64 {
        self.vault.unix_ms()
    }

    pub fn ttl(&self) -> Duration {
        self.ttl
    }

    /// Of the records of one.
    fn life(&self) -> Duration {
        self.ttl * 2 + MARGIN
    }

    fn key(parts: &[&str]) -> Key {
        Vault::key(Space::Question, parts)
    }

    /// A fresh code for a login.
    pub async fn ask(
        &self,
        login: LoginId,
        driver: DriverName,
        (browser, address): (Option<String>, Option<IpAddr>),
        picks: bool,
    ) -> Result<Question, Unavailable> {
        let life = self.life();
        let (choices, right) = if picks { self.choices() } else { (Vec::new(), 0) };
        let over_at = self.unix_ms().saturating_add(i64::try_from(self.ttl.as_millis()).unwrap_or(i64::MAX));
        let code = id::encode(&self.vault.bytes::<16>());
        let mut text_code = self.text_code();
        while !self.vault.put_new(Self::key(&["text", &text_code]), &CodeOf { code: code.clone() }, life).await? {
            text_code = self.text_code();
        }
        let login = login.text();
        let question = Question { code, text_code, login, driver, choices, right, browser, address, over_at };
        self.vault.put(Self::key(&["code", &question.code]), &question, life).await?;
        let current = CodeOf { code: question.code.clone() };
        self.vault.put(Self::key(&["login", &question.login]), &current, life).await?;
        Ok(question)
    }

    fn text_code(&self) -> String {
        // 28 of 256: the first letters are a little likelier, by 1 in 10; the code lives for two minutes.
        self.vault
            .bytes::<TEXT_CODE>()
            .iter()
            .map(|byte| char::from(LETTERS[usize::from(*byte) % LETTERS.len()]))
            .collect()
    }

    fn choices(&self) -> (Vec<String>, usize) {
        let mut numbers: Vec<u32> = NUMBERS.collect();
        let draw = |below: usize| u32::from_be_bytes(self.vault.bytes()) as usize % below;
        let choices = (0..CHOICES).map(|_| numbers.swap_remove(draw(numbers.len())).to_string()).collect();
        (choices, draw(CHOICES))
    }

    /// The code that a login has, whoever gave it.
    pub async fn current(&self, login: LoginId) -> Result<Option<Question>, Unavailable> {
        let current: Option<CodeOf> = self.vault.get(Self::key(&["login", &login.text()])).await?;
        match current {
            Some(current) => self.vault.get(Self::key(&["code", &current.code])).await,
            None => Ok(None),
        }
    }

    /// By what was in a link or was typed.
    async fn find(&self, text: &str) -> Result<Option<Question>, Unavailable> {
        let code = match typed(text) {
            Some(typed) => self.vault.get::<CodeOf>(Self::key(&["text", &typed])).await?.map(|found| found.code),
            None if is_link_code(text) => Some(text.to_owned()),
            None => None,
        };
        match code {
            Some(code) => self.vault.get(Self::key(&["code", &code])).await,
            None => Ok(None),
        }
    }

    /// Somebody opened a code: the first one has it.
    pub async fn open(&self, text: &str, user: i64) -> Result<Opened, Unavailable> {
        let now = self.unix_ms();
        let Some(question) = self.find(text).await? else { return Ok(Opened::Gone) };
        if let Some(left) = self.locks.left(user).await? {
            // The page hears why nothing comes.
            let retry_after = u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
            self.decide(&question, Verdict::Locked { retry_after }).await?;
            return Ok(Opened::Locked(left, Box::new(question)));
        }
        let key = Self::key(&["claim", &question.code]);
        let claim = match self.vault.get::<Claim>(key).await? {
            Some(claim) => claim,
            None if now > question.over_at => return Ok(Opened::Gone),
            None => {
                let claim = Claim { user, at: now };
                match self.vault.put_new(key, &claim, self.life()).await? {
                    true => claim,
                    false => self.vault.get::<Claim>(key).await?.unwrap_or(Claim { user: 0, at: 0 }),
                }
            }
        };
        Ok(match claim {
            claim if claim.user != user => Opened::Others,
            claim if self.is_late(&claim) || self.verdict(&question.code).await?.is_some() => Opened::Gone,
            _ => Opened::Theirs(Box::new(question)),
        })
    }

    pub async fn claim(&self, code: &str) -> Result<Option<Claim>, Unavailable> {
        self.vault.get(Self::key(&["claim", code])).await
    }

    /// Whoever opened it took too long to answer.
    pub fn is_late(&self, claim: &Claim) -> bool {
        let ttl = i64::try_from(self.ttl.as_millis()).unwrap_or(i64::MAX);
        self.unix_ms() > claim.at.saturating_add(ttl)
    }

    pub async fn verdict(&self, code: &str) -> Result<Option<Verdict>, Unavailable> {
        let decided: Option<Decided> = self.vault.get(Self::key(&["verdict", code])).await?;
        Ok(decided.map(|decided| decided.verdict))
    }

    /// False where it was decided before.
    pub async fn decide(&self, question: &Question, verdict: Verdict) -> Result<bool, Unavailable> {
        self.vault.put_new(Self::key(&["verdict", &question.code]), &Decided { verdict }, self.life()).await
    }

    /// Judges an answer; a wrong one, or "not me", decides at once.
    pub async fn judge(
        &self,
        code: &str,
        user: i64,
        answer: Answer<'_>,
    ) -> Result<(Judged, Option<Question>), Unavailable> {
        let stale = Ok((Judged::Stale, None));
        let Some(question): Option<Question> = self.vault.get(Self::key(&["code", code])).await? else { return stale };
        let Some(claim) = self.claim(code).await? else { return stale };
        if claim.user != user {
            return Ok((Judged::Others, None));
        }
        if self.is_late(&claim) || self.verdict(code).await?.is_some() {
            return stale;
        }
        let is_right = match answer {
            Answer::NotMe => false,
            Answer::Picked(picked) => question.match_code().is_none_or(|right| right == picked),
        };
        if is_right {
            return Ok((Judged::Right, Some(question)));
        }
        if !self.decide(&question, Verdict::Declined).await? {
            return stale;
        }
        if matches!(answer, Answer::Picked(_)) {
            self.locks.wrong(user).await?;
        }
        Ok((Judged::Wrong, Some(question)))
    }

    /// This person picked rightly and is asked for their number: by it the code is found again, for what they send has none.
    pub async fn await_contact(&self, user: i64, code: &str) -> Result<(), Unavailable> {
        let code = CodeOf { code: code.to_owned() };
        self.vault.put(Self::key(&["contact", &user.to_string()]), &code, self.ttl).await
    }

    /// Whose number is awaited, if it still is.
    pub async fn awaited(&self, user: i64) -> Result<Option<Question>, Unavailable> {
        let Some(found) = self.vault.get::<CodeOf>(Self::key(&["contact", &user.to_string()])).await? else {
            return Ok(None);
        };
        let question: Option<Question> = self.vault.get(Self::key(&["code", &found.code])).await?;
        let claim = self.claim(&found.code).await?;
        let is_theirs = claim.is_some_and(|claim| claim.user == user && !self.is_late(&claim));
        let open = is_theirs && self.verdict(&found.code).await?.is_none();
        Ok(question.filter(|_| open))
    }

    /// Whether the subscription of this address was made with this secret, as far as the store knows.
    pub async fn is_subscribed(&self, url: &str, secret: &str) -> Result<bool, Unavailable> {
        let kept: Option<Subscribed> = self.vault.get(Self::key(&["subscribed", url])).await?;
        Ok(kept.is_some_and(|kept| kept.by == self.vault.pseudonym(secret.as_bytes())))
    }

    pub async fn subscribed(&self, url: &str, secret: &str) -> Result<(), Unavailable> {
        let by = self.vault.pseudonym(secret.as_bytes());
        self.vault.put(Self::key(&["subscribed", url]), &Subscribed { by }, SUBSCRIBED).await
    }

    /// True for the first who comes with it, at any node, as long as it could come again.
    pub async fn is_first(&self, what: &str, name: &str) -> Result<bool, Unavailable> {
        #[derive(Serialize)]
        struct Seen {}
        self.vault.put_new(Self::key(&[what, name]), &Seen {}, REMEMBERED).await
    }
}

/// As it is kept, of what people type: any case, with blanks or a dash inside.
fn typed(text: &str) -> Option<String> {
    let plain = text.chars().filter(|letter| !matches!(letter, ' ' | '-' | '–' | '—'));
    let plain: String = plain.flat_map(char::to_uppercase).collect();
    (plain.len() == TEXT_CODE && plain.bytes().all(|letter| LETTERS.contains(&letter))).then_some(plain)
}

/// Whether this could be the code of a link.
pub fn is_link_code(text: &str) -> bool {
    text.len() == LINK_CODE && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

/// Whether a text that somebody wrote to the bot could be a code.
pub fn looks_like_code(text: &str) -> bool {
    is_link_code(text) || typed(text).is_some()
}
