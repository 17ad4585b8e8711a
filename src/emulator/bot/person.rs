//! The people who talk to the bot, each with a dialogue and a state. Whoever is named exists.

use std::collections::{BTreeMap, VecDeque};

use serde_json::{Value, json};

use super::message::Message;

/// People; past it nobody new is made up.
const PEOPLE: usize = 10_000;

/// Messages of one dialogue; past it the oldest goes.
const MESSAGES: usize = 100;

/// Where the numbers of messages begin: MAX's are beyond 2^53, where a number of JavaScript is no longer exact.
const FIRST_SEQ: i64 = 116_000_000_000_000_001;

/// What tells a dialogue's id from a person's.
const CHAT_OFFSET: i64 = 500_000_000_000;

const NAMES: [(&str, Option<&str>); 6] = [
    ("Анна", Some("Смирнова")),
    ("Борис", Some("Кузнецов")),
    ("Вера", None),
    ("Глеб", Some("Попов")),
    ("Дарья", Some("Волкова")),
    ("Евгений", Some("Лис")),
];

/// Whether the bot may write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    New,
    Started,
    Stopped,
}

pub(super) struct Person {
    pub(super) id: i64,
    pub(super) first_name: String,
    pub(super) last_name: Option<String>,
    pub(super) username: Option<String>,
    pub(super) locale: Option<String>,
    pub(super) photo_url: Option<String>,
    pub(super) phone: i64,
    /// Some dialogues of MAX have a negative one.
    pub(super) chat_id: i64,
    pub(super) standing: Standing,
    /// Whether the bot may write before the person started it. No source says.
    pub(super) may_be_written_first: bool,
    pub(super) next_seq: i64,
    pub(super) messages: VecDeque<Message>,
    /// What the bot's last answer to a press showed for a moment.
    pub(super) notice: Option<String>,
}

impl Person {
    fn made_up(id: i64) -> Self {
        let (first_name, last_name) = NAMES[id.rem_euclid(NAMES.len() as i64) as usize];
        Self {
            id,
            first_name: first_name.to_owned(),
            last_name: last_name.map(str::to_owned),
            username: None,
            locale: Some("ru".to_owned()),
            photo_url: None,
            phone: 79_990_000_000 + id.rem_euclid(10_000_000),
            chat_id: CHAT_OFFSET.wrapping_add(id),
            standing: Standing::New,
            may_be_written_first: false,
            next_seq: FIRST_SEQ,
            messages: VecDeque::new(),
            notice: None,
        }
    }

    pub(super) fn name(&self) -> String {
        match self.last_name.as_deref() {
            Some(last) if !last.is_empty() => format!("{} {last}", self.first_name),
            _ => self.first_name.clone(),
        }
    }

    /// `User` of the Bot API. `whole`: with the picture, as where somebody starts or stops the bot.
    pub(super) fn told(&self, now_ms: i64, whole: bool) -> Value {
        let mut user = json!({
            "user_id": self.id,
            "first_name": self.first_name,
            "last_name": self.last_name.as_deref().unwrap_or_default(),
            "is_bot": false,
            "last_activity_time": now_ms,
            "name": self.name(),
        });
        if let Some(username) = &self.username {
            user["username"] = username.as_str().into();
        }
        if let Some(photo) = self.photo_url.as_deref().filter(|_| whole) {
            user["avatar_url"] = photo.into();
            user["full_avatar_url"] = photo.into();
        }
        user
    }

    /// The card of this person, as MAX writes one.
    pub(super) fn card(&self) -> String {
        format!(
            "BEGIN:VCARD\r\nVERSION:3.0\r\nPRODID:ez-vcard 0.10.3\r\nTEL;TYPE=cell:{}\r\nFN:{}\r\nEND:VCARD\r\n",
            self.phone,
            self.name()
        )
    }

    pub(super) fn seq(&mut self) -> i64 {
        let seq = self.next_seq;
        self.next_seq = self.next_seq.wrapping_add(1);
        seq
    }

    pub(super) fn add(&mut self, message: Message) {
        if self.messages.len() >= MESSAGES {
            self.messages.pop_front();
        }
        self.messages.push_back(message);
    }

    pub(super) fn message(&mut self, mid: &str) -> Option<&mut Message> {
        self.messages.iter_mut().find(|message| message.mid == mid)
    }
}

pub(super) struct People {
    /// The person whose account the emulator has.
    pub(super) first: i64,
    by_id: BTreeMap<i64, Person>,
}

impl People {
    /// With the person who is meant where nobody is named.
    pub(super) fn new(id: i64, phone: i64, (first_name, last_name): (String, String), photo: Option<String>) -> Self {
        let person = Person {
            first_name,
            last_name: Some(last_name).filter(|name| !name.is_empty()),
            phone,
            photo_url: photo,
            ..Person::made_up(id)
        };
        Self { first: id, by_id: BTreeMap::from([(id, person)]) }
    }

    /// That person, made up where nobody has spoken of them yet; `None`: there are too many already.
    pub(super) fn named(&mut self, id: i64) -> Option<&mut Person> {
        if !self.by_id.contains_key(&id) && self.by_id.len() >= PEOPLE {
            return None;
        }
        Some(self.by_id.entry(id).or_insert_with(|| Person::made_up(id)))
    }

    /// Somebody who is there already.
    pub(super) fn known(&mut self, id: i64) -> Option<&mut Person> {
        self.by_id.get_mut(&id)
    }

    pub(super) fn of_chat(&mut self, chat_id: i64) -> Option<&mut Person> {
        self.by_id.values_mut().find(|person| person.chat_id == chat_id)
    }

    pub(super) fn with_message(&mut self, mid: &str) -> Option<&mut Person> {
        self.by_id.values_mut().find(|person| person.messages.iter().any(|message| message.mid == mid))
    }

    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_are_made_up_the_same_each_time_and_not_without_end() {
        let names = ("Иван".to_owned(), "Петров".to_owned());
        let mut people = People::new(401_041_669, 79_991_234_567, names, None);
        let first = people.named(people.first).unwrap();
        assert_eq!(
            (first.name().as_str(), first.phone, first.chat_id),
            ("Иван Петров", 79_991_234_567, 500_401_041_669)
        );
        let vera = people.named(8).unwrap();
        assert_eq!((vera.name().as_str(), vera.told(1, false)["last_name"].as_str()), ("Вера", Some("")));
        assert!(vera.card().contains("\r\nFN:Вера\r\n") && vera.told(1, true).get("username").is_none());
        assert!(people.known(9).is_none() && people.of_chat(500_000_000_008).is_some_and(|person| person.id == 8));
        assert!((0..2 * PEOPLE as i64).any(|id| people.named(id).is_none()));
        assert_eq!(people.len(), PEOPLE);
        assert!(people.named(8).is_some(), "who is there stays");
    }
}
