//! What a bot sends, and what is pasted into the phone, for the fuzzer.

use serde_json::Value;

use super::fault::Faults;
use super::link::{self, Target};
use super::outgoing::Outgoing;
use super::subscriptions::Wanted;

pub fn bot_request(data: &[u8]) {
    if let Ok(body) = serde_json::from_slice::<Value>(data) {
        if let Ok(wanted) = Wanted::read(&body) {
            assert!(wanted.secret.is_none_or(|secret| (5..=256).contains(&secret.len())));
        }
        if let Some(Ok(sent)) = body.as_object().map(Outgoing::read) {
            assert!(sent.text.is_none_or(|text| text.chars().count() <= 4000));
            assert!(sent.attachments.is_none_or(|list| list.len() <= 12));
        }
    }
    if let Ok(read) = Faults::parse(data) {
        assert!(read.faults.left() <= 64);
    }
    if let Some(Target::Start(Some(payload))) = std::str::from_utf8(data).ok().and_then(|text| link::read(text, "b")) {
        assert!((1..=128).contains(&payload.chars().count()));
    }
}
