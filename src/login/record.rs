//! A login as the store has it: a head that says what it is, a record for each event, commands. All sealed, each bound to its
//! place.

use super::event::{Event, Kind};
use super::position::Position;
use super::start::{Purpose, StartParams};
use crate::base::id::{self, Fingerprint, LoginId};
use crate::base::secret::Secret;
use crate::signin::BrowserInfo;
use crate::store::{Key, Seal, Space};
use crate::texts::Locale;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::net::IpAddr;

/// What another process needs to go on with a login.
#[derive(Serialize, Deserialize, Clone)]
pub struct Head {
    pub epoch: u32,
    /// Unix milliseconds.
    pub began: i64,
    flow: String,
    key: Option<String>,
    locale: String,
    phone: bool,
    purpose: Purpose,
    browser: BrowserInfo,
    #[serde(default)]
    driver: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    address: Option<IpAddr>,
}

impl Head {
    pub fn new(epoch: u32, began: i64, params: &StartParams) -> Self {
        Self {
            epoch,
            began,
            flow: id::encode(params.flow.bytes()),
            key: params.key.map(|key| id::encode(key.bytes())),
            locale: params.locale.tag().to_owned(),
            phone: params.phone,
            purpose: params.purpose.clone(),
            browser: params.browser.clone(),
            driver: params.driver.clone(),
            address: params.address,
        }
    }

    /// What began it; `None` for what no version of ours wrote.
    pub fn params(self) -> Option<StartParams> {
        let key = match &self.key {
            Some(key) => Some(Fingerprint::from_text(key)?),
            None => None,
        };
        Some(StartParams {
            browser: self.browser,
            purpose: self.purpose,
            locale: Locale::parse(&self.locale),
            flow: Fingerprint::from_text(&self.flow)?,
            key,
            phone: self.phone,
            network: None,
            driver: self.driver,
            address: self.address,
        })
    }
}

/// What a visitor, on another node than the owner's, has to say.
pub enum RemoteCommand {
    Wake,
    Cancel,
    Password(Secret),
}

/// The sealed records of one login.
pub struct Records<'a> {
    seal: &'a Seal,
    log: Key,
}

impl<'a> Records<'a> {
    /// What the store calls the log of a login.
    pub fn log(login: LoginId) -> Key {
        Key::of(Space::Login, &[login.text().as_bytes()])
    }

    pub fn new(seal: &'a Seal, login: LoginId) -> Self {
        Self { seal, log: Self::log(login) }
    }

    fn place(&self, part: &str) -> Vec<u8> {
        [&self.log.bytes()[..], part.as_bytes()].concat()
    }

    pub fn seal_head(&self, head: &Head) -> Option<Bytes> {
        self.seal.seal(&self.place("head"), &serde_json::to_vec(head).ok()?)
    }

    pub fn open_head(&self, sealed: &[u8]) -> Option<Head> {
        serde_json::from_slice(&self.seal.open(&self.place("head"), sealed)?).ok()
    }

    pub fn seal_event(&self, offset: u32, kind: Kind, data: &Value) -> Option<Bytes> {
        let text = serde_json::to_vec(&(kind.name(), data)).ok()?;
        self.seal.seal(&self.place(&format!("event {offset}")), &text)
    }

    pub fn open_event(&self, position: Position, sealed: &[u8]) -> Option<Event> {
        let text = self.seal.open(&self.place(&format!("event {}", position.offset)), sealed)?;
        let (kind, data): (String, Value) = serde_json::from_slice(&text).ok()?;
        Some(Event::new(position, Kind::parse(&kind)?, &data))
    }

    pub fn seal_command(&self, command: &RemoteCommand) -> Option<Bytes> {
        let text = match command {
            RemoteCommand::Wake => Secret::new("wake".to_owned()),
            RemoteCommand::Cancel => Secret::new("cancel".to_owned()),
            RemoteCommand::Password(password) => Secret::new(format!("password {}", password.expose())),
        };
        self.seal.seal(&self.place("command"), text.expose().as_bytes())
    }

    pub fn open_command(&self, sealed: &[u8]) -> Option<RemoteCommand> {
        let text = Secret::new(String::from_utf8(self.seal.open(&self.place("command"), sealed)?).ok()?);
        match text.expose() {
            "wake" => Some(RemoteCommand::Wake),
            "cancel" => Some(RemoteCommand::Cancel),
            other => Some(RemoteCommand::Password(Secret::new(other.strip_prefix("password ")?.to_owned()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::drawing::Drawing;
    use super::*;
    use crate::base::rng::Rng;
    use crate::store::Seals;
    use serde_json::json;

    fn seal() -> Seal {
        Seals::new(&[1; 32], &Rng::seeded(1)).unwrap().store
    }

    #[test]
    fn a_head_survives_and_opens_for_its_login_only() {
        let (seal, one, other) = (seal(), LoginId::new(&Rng::seeded(1)), LoginId::new(&Rng::seeded(2)));
        let (flow, key) = (Fingerprint::of(b"flow"), Fingerprint::of(b"key"));
        let browser = BrowserInfo { device_name: Some("Firefox".into()), ..BrowserInfo::default() };
        let purpose = Purpose::Site { return_to: "/a".into() };
        let params = StartParams {
            browser,
            purpose,
            locale: Locale::En,
            flow,
            key: Some(key),
            phone: true,
            network: None,
            driver: Some("bot".into()),
            address: Some([10, 0, 0, 1].into()),
        };
        let sealed = Records::new(&seal, one).seal_head(&Head::new(7, 1_000, &params)).unwrap();
        let opened = Records::new(&seal, one).open_head(&sealed).unwrap();
        assert_eq!((opened.epoch, opened.began), (7, 1_000));
        let again = opened.params().unwrap();
        assert_eq!((&again.browser, &again.purpose), (&params.browser, &params.purpose));
        assert!(again.flow.matches(&flow) && again.key.unwrap().matches(&key));
        assert_eq!((again.locale, again.phone), (Locale::En, true));
        assert_eq!((again.driver.as_deref(), again.address), (Some("bot"), params.address));
        assert!(Records::new(&seal, other).open_head(&sealed).is_none());
    }

    #[test]
    fn an_event_comes_back_byte_for_byte_and_only_at_its_offset() {
        let (seal, login) = (seal(), LoginId::new(&Rng::seeded(1)));
        let records = Records::new(&seal, login);
        let link = "https://max.ru/:auth/x";
        let data = json!({"qrLink": link, "expiresAt": 9, "ttl": 5});
        let position = Position { epoch: 7, offset: 3 };
        let sealed = records.seal_event(3, Kind::Qr, &data).unwrap();
        assert!(sealed.len() < 160, "{} bytes", sealed.len());
        let event = records.open_event(position, &sealed).unwrap();
        assert_eq!(event.json(Drawing::Svg), Event::new(position, Kind::Qr, &data).json(Drawing::Svg));
        assert!(records.open_event(Position { epoch: 7, offset: 4 }, &sealed).is_none());
    }

    #[test]
    fn commands_survive() {
        let (seal, login) = (seal(), LoginId::new(&Rng::seeded(1)));
        let records = Records::new(&seal, login);
        let again = |command| records.open_command(&records.seal_command(&command).unwrap());
        assert!(matches!(again(RemoteCommand::Wake), Some(RemoteCommand::Wake)));
        assert!(matches!(again(RemoteCommand::Cancel), Some(RemoteCommand::Cancel)));
        let password = again(RemoteCommand::Password(Secret::new("кот cat".to_owned())));
        assert!(matches!(password, Some(RemoteCommand::Password(password)) if password.expose() == "кот cat"));
    }
}
