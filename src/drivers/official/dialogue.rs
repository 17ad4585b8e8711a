//! The conversation: somebody opens a code, picks a number, perhaps gives a telephone number. Any node does any step.

use super::hmac::matches_hex;
use super::phrases::{Button, Phrases};
use super::question::{Answer, Judged, Opened, Question, Verdict};
use super::update::{Contact, Update, What};
use super::{Official, Person};
use crate::signin::{Awake, DriverName};
use crate::store::{Admission, Key, Space, Unavailable, Vault};
use crate::texts::Locale;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;

/// What seals the meaning of a button.
const BUTTON: &[u8] = b"button of the bot";

/// Codes that one person may try, and answers of the bot to what is no code: so many at once, and one more in [`EACH`].
const TRIES: u32 = 10;
const EACH: Duration = Duration::from_secs(6);

/// Before a step is done again that the store did not take: MAX was told that the update arrived, and brings it no more.
const STORE_PAUSES: [Duration; 4] =
    [Duration::from_millis(250), Duration::from_secs(1), Duration::from_secs(3), Duration::from_secs(6)];

/// What a button means.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Means {
    Pick(String),
    NotMe,
    WithoutContact,
}

/// As it travels.
#[derive(Serialize, Deserialize)]
struct Pressed {
    code: String,
    means: Means,
}

/// Where the bot's words go.
enum To<'a> {
    /// A new message.
    Person(i64),
    /// In place of the message whose button was pressed.
    Callback(i64, &'a str),
}

impl Official {
    pub(super) async fn hear(self: &Arc<Self>, update: Update) {
        let mut pauses = STORE_PAUSES.into_iter();
        while let Err(error) = self.heard(&update).await {
            match pauses.next() {
                Some(pause) => sleep(pause).await,
                None => return tracing::warn!("what somebody said to the bot could not be worked on: {error}"),
            }
        }
    }

    /// Each step may be done again: what was decided stays so.
    async fn heard(self: &Arc<Self>, update: &Update) -> Result<(), Unavailable> {
        let locale = update.locale.as_deref().map(Locale::parse).unwrap_or_default();
        let phrases = Phrases { words: self.texts.of(locale), site: &self.settings.site };
        let user = update.user.user_id;
        match &update.what {
            What::Started(Some(code)) => self.opened(code, user, &phrases).await,
            What::Said(text) => {
                let code = text.strip_prefix("/start").map_or(text.as_str(), str::trim);
                match super::question::looks_like_code(code) {
                    true => self.opened(code, user, &phrases).await,
                    false => self.greeted(user, &phrases).await,
                }
            }
            What::Started(None) => self.greeted(user, &phrases).await,
            What::Contact(card) => self.given(card, update, &phrases).await,
            What::Pressed { callback, payload } => self.pressed(callback, payload, update, &phrases).await,
            What::Stopped => Ok(()),
        }
    }

    async fn say(&self, to: To<'_>, message: &Value) -> bool {
        let said = match to {
            To::Person(user) => self.api.send(user, message).await,
            To::Callback(user, callback) => match self.api.answer(callback, message).await {
                Ok(()) => return true,
                // Too old, or the message is gone: it is said anew.
                Err(_) => self.api.send(user, message).await,
            },
        };
        match said {
            Ok(()) => true,
            Err(error) if error.is_closed_dialogue() => {
                tracing::debug!("a person has stopped the bot: {error}");
                false
            }
            Err(error) => {
                tracing::warn!("the bot could not say something: {error}");
                false
            }
        }
    }

    /// Whether this person may make the bot answer once more.
    async fn may_ask(&self, user: i64) -> bool {
        let key: Key = Vault::key(Space::Rate, &["bot", &user.to_string()]);
        !matches!(self.vault.admit(key, EACH, TRIES).await, Ok(Admission::Wait(_)))
    }

    async fn greeted(&self, user: i64, phrases: &Phrases<'_>) -> Result<(), Unavailable> {
        if self.may_ask(user).await {
            self.say(To::Person(user), &phrases.say(&phrases.words.bot.hello)).await;
        }
        Ok(())
    }

    async fn opened(&self, code: &str, user: i64, phrases: &Phrases<'_>) -> Result<(), Unavailable> {
        if !self.may_ask(user).await {
            return Ok(());
        }
        let words = &phrases.words.bot;
        let message = match self.questions.open(code, user).await? {
            Opened::Gone => phrases.say(&words.expired),
            Opened::Others => phrases.say(&words.used),
            Opened::Locked(left, question) => {
                self.wake(&question).await;
                phrases.locked(left)
            }
            Opened::Theirs(question) => {
                let Some(message) = self.question(&question, phrases) else { return Ok(()) };
                // The page shows the number no later than the phone asks for it.
                if self.wake(&question).await == Awake::Over {
                    phrases.say(&words.expired)
                } else {
                    if !self.say(To::Person(user), &message).await {
                        self.questions.decide(&question, Verdict::Unsent).await?;
                        self.wake(&question).await;
                    }
                    return Ok(());
                }
            }
        };
        self.say(To::Person(user), &message).await;
        Ok(())
    }

    fn button(&self, question: &Question, text: &str, means: Means) -> Option<Button> {
        let pressed = Pressed { code: question.code.clone(), means };
        let payload = self.vault.seal_token(BUTTON, &pressed, self.questions.ttl() * 4).ok()?;
        Some(Button { text: text.to_owned(), payload })
    }

    fn question(&self, question: &Question, phrases: &Phrases<'_>) -> Option<Value> {
        let words = &phrases.words.bot;
        let picks: Option<Vec<Button>> = match question.choices.is_empty() {
            true => Some(vec![self.button(question, &words.yes, Means::Pick(String::new()))?]),
            false => {
                let pick = |choice: &String| self.button(question, choice, Means::Pick(choice.clone()));
                question.choices.iter().map(pick).collect()
            }
        };
        let not_me = self.button(question, &words.not_me, Means::NotMe)?;
        Some(phrases.question(question, &picks?, &not_me))
    }

    async fn pressed(
        &self,
        callback: &str,
        payload: &str,
        update: &Update,
        phrases: &Phrases<'_>,
    ) -> Result<(), Unavailable> {
        let user = update.user.user_id;
        let (to, words) = (To::Callback(user, callback), &phrases.words.bot);
        let Some(Pressed { code, means }) = self.vault.open_token::<Pressed>(BUTTON, payload) else {
            self.say(to, &phrases.say(&words.expired)).await;
            return Ok(());
        };
        if let Means::WithoutContact = means {
            let message = match self.questions.awaited(user).await?.filter(|question| question.code == code) {
                Some(question) => self.finish(&question, update.user.clone().into(), None, phrases).await?,
                None => phrases.say(&words.expired),
            };
            self.say(to, &message).await;
            return Ok(());
        }
        let answer = match &means {
            Means::Pick(picked) => Answer::Picked(picked),
            _ => Answer::NotMe,
        };
        let message = match self.questions.judge(&code, user, answer).await? {
            (Judged::Right, Some(question)) if self.settings.wants_phone => {
                self.questions.await_contact(user, &code).await?;
                let without = self.button(&question, &words.without_contact, Means::WithoutContact);
                without.map_or_else(|| phrases.say(&words.expired), |without| phrases.contact(&words.contact, &without))
            }
            (Judged::Right, Some(question)) => {
                self.finish(&question, update.user.clone().into(), None, phrases).await?
            }
            (Judged::Wrong, Some(question)) => {
                self.wake(&question).await;
                phrases.say(if answer == Answer::NotMe { &words.stopped } else { &words.wrong })
            }
            // The question stays with whom it was put to.
            (Judged::Others, _) => {
                let _ = self.api.notify(callback, &words.used).await;
                return Ok(());
            }
            _ => phrases.say(&words.expired),
        };
        self.say(to, &message).await;
        Ok(())
    }

    /// A card that somebody sent: theirs, as MAX signed it, or somebody else's that they passed on.
    async fn given(&self, card: &Contact, update: &Update, phrases: &Phrases<'_>) -> Result<(), Unavailable> {
        let user = update.user.user_id;
        let Some(question) = self.questions.awaited(user).await? else { return self.greeted(user, phrases).await };
        let is_genuine = matches_hex(self.settings.token.expose().as_bytes(), card.vcf_info.as_bytes(), &card.hash);
        // A card that is passed on keeps its signature: only whose it is tells.
        let is_own = card.max_info.as_ref().is_some_and(|of| of.user_id == user);
        let phone = card.phone().filter(|_| is_genuine && is_own);
        let message = match phone {
            Some(phone) => self.finish(&question, update.user.clone().into(), Some(phone), phrases).await?,
            None => {
                let words = &phrases.words.bot;
                let Some(without) = self.button(&question, &words.without_contact, Means::WithoutContact) else {
                    return Ok(());
                };
                phrases.contact(&words.contact_wrong, &without)
            }
        };
        self.say(To::Person(user), &message).await;
        Ok(())
    }

    /// Signs in whoever answered rightly; what there is to say to them.
    async fn finish(
        &self,
        question: &Question,
        person: Person,
        phone: Option<String>,
        phrases: &Phrases<'_>,
    ) -> Result<Value, Unavailable> {
        let is_signed_in = self.signed_in(question, DriverName::Bot, person, phone).await?;
        let words = &phrases.words.bot;
        Ok(phrases.say(if is_signed_in { &words.done } else { &words.expired }))
    }

    /// False where it was too late.
    pub(super) async fn signed_in(
        &self,
        question: &Question,
        driver: DriverName,
        person: Person,
        phone: Option<String>,
    ) -> Result<bool, Unavailable> {
        let identity = self.identity(driver, person, phone);
        let is_first = self.questions.decide(question, Verdict::SignedIn(Box::new(identity))).await?;
        Ok(is_first && self.wake(question).await != Awake::Over)
    }
}
