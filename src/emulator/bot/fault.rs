//! Faults on command: what the Bot API answers wrongly, what becomes of an update, what becomes of a delivery.

use std::time::Duration;

use serde::Deserialize;

use super::updates::NoMarker;

/// Faults in one script.
const MAX_FAULTS: usize = 64;

/// The longest wait, in ms.
const MAX_MS: u64 = 600_000;

/// A code or a message, in bytes.
const MAX_TEXT: usize = 1024;

/// A script as it is posted; it replaces the one before.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Script {
    #[serde(default)]
    faults: Vec<Spec>,
    /// MAX's limits in requests a second; on unless switched off.
    limits: Option<bool>,
    #[serde(default)]
    no_marker: NoMarkerWord,
    /// All subscriptions are gone, as after somebody else's DELETE.
    #[serde(default)]
    forget: bool,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum NoMarkerWord {
    #[default]
    All,
    Last,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Spec {
    on: On,
    #[serde(rename = "do")]
    harm: Harm,
    ms: Option<u64>,
    status: Option<u16>,
    code: Option<String>,
    message: Option<String>,
    retry_after: Option<u64>,
    #[serde(default = "once")]
    times: u32,
    #[serde(default)]
    skip: u32,
}

fn once() -> u32 {
    1
}

/// What a request is about, an update on its way, or a try to deliver one.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(super) enum On {
    Me,
    EditMe,
    Subscriptions,
    Subscribe,
    Unsubscribe,
    Updates,
    Read,
    Send,
    Edit,
    Delete,
    Answer,
    Chat,
    /// Any request.
    Any,
    Update,
    Delivery,
}

impl On {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Me => "me",
            Self::EditMe => "edit-me",
            Self::Subscriptions => "subscriptions",
            Self::Subscribe => "subscribe",
            Self::Unsubscribe => "unsubscribe",
            Self::Updates => "updates",
            Self::Read => "read",
            Self::Send => "send",
            Self::Edit => "edit",
            Self::Delete => "delete",
            Self::Answer => "answer",
            Self::Chat => "chat",
            Self::Any => "any",
            Self::Update => "update",
            Self::Delivery => "delivery",
        }
    }
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
enum Harm {
    Refuse,
    Unsuccessful,
    Empty,
    Html,
    Delay,
    SlowBody,
    Cut,
    MarkerStuck,
    MarkerLost,
    Drop,
    Duplicate,
    Hold,
    Reorder,
    Unknown,
    UnknownFields,
    BotAdded,
    Bare,
    NullPayload,
    EmptyPayload,
    NoMessage,
    UserIdMoved,
    Fail,
    AnswerLost,
}

/// What goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// A request: no effect, this answer.
    Refuse {
        status: u16,
        code: String,
        message: String,
        retry_after: Option<u64>,
    },
    /// 200, `success: false`, no effect.
    Unsuccessful {
        code: String,
        message: String,
    },
    /// `{}`, no effect.
    Empty,
    /// A page of some proxy with this status, no effect.
    Html(u16),
    /// It has its effect at once; the answer is late.
    Delay(Duration),
    /// The answer trickles for so long.
    SlowBody(Duration),
    /// It has its effect; the connection is cut within the answer.
    Cut,
    /// A poll: its marker is the one it was asked with, so the same come again; or none at all.
    MarkerStuck,
    MarkerLost,
    /// An update: never sent, twice, late, after the next one.
    Drop,
    Duplicate,
    Hold(Duration),
    Reorder,
    /// One of another kind comes before it: an unknown one, or `bot_added`, which names nobody.
    Unknown,
    BotAdded,
    /// It has fields that nobody knows.
    UnknownFields,
    /// Without `username`, `last_name`, `user_locale`, and what else may be missing.
    Bare,
    /// `payload` is null, or the empty text, where it was missing.
    NullPayload,
    EmptyPayload,
    /// A press of a button on a message that is gone: `message` is null.
    NoMessage,
    /// `user_id` at the top where it was missing, and the other way round.
    UserIdMoved,
    /// A delivery: not sent, and tried again as if it had failed.
    Fail,
    /// Sent; what was answered does not count, so it comes again.
    AnswerLost,
}

struct Fault {
    on: On,
    effect: Effect,
    skip: u32,
    times: u32,
}

/// The script that is left.
#[derive(Default)]
pub(super) struct Faults(Vec<Fault>);

/// A script that was read.
pub(super) struct Read {
    pub(super) faults: Faults,
    pub(super) limits: bool,
    pub(super) no_marker: NoMarker,
    pub(super) forget: bool,
}

impl Faults {
    /// The error is for the person who wrote it, and names the field.
    pub(super) fn parse(script: &[u8]) -> Result<Read, String> {
        // serde would also take a list of the fields' values.
        if !script.trim_ascii_start().starts_with(b"{") {
            return Err("a JSON object is expected, such as {\"faults\":[]}".to_owned());
        }
        let script: Script = serde_json::from_slice(script).map_err(|error| error.to_string())?;
        if script.faults.len() > MAX_FAULTS {
            return Err(format!("faults: {} of them, at most {MAX_FAULTS} are taken", script.faults.len()));
        }
        let faults = script
            .faults
            .into_iter()
            .enumerate()
            .map(|(index, spec)| spec.fault().map_err(|reason| format!("faults[{index}].{reason}")));
        let no_marker = match script.no_marker {
            NoMarkerWord::All => NoMarker::All,
            NoMarkerWord::Last => NoMarker::Last,
        };
        let faults = Self(faults.collect::<Result<_, _>>()?);
        Ok(Read { faults, limits: script.limits.unwrap_or(true), no_marker, forget: script.forget })
    }

    pub(super) fn left(&self) -> usize {
        self.0.len()
    }

    /// The first fault that fits and has nothing left to skip; those before it count this occasion.
    pub(super) fn take(&mut self, occasion: On) -> Option<Effect> {
        let is_request = !matches!(occasion, On::Update | On::Delivery);
        let fits = |on: On| on == occasion || (on == On::Any && is_request);
        for (index, fault) in self.0.iter_mut().enumerate().filter(|(_, fault)| fits(fault.on)) {
            if fault.skip > 0 {
                fault.skip -= 1;
                continue;
            }
            fault.times -= 1;
            let effect = fault.effect.clone();
            if fault.times == 0 {
                self.0.remove(index);
            }
            return Some(effect);
        }
        None
    }
}

impl Harm {
    /// Where it can happen.
    fn fits(self, on: On) -> bool {
        match self {
            Self::Refuse | Self::Unsuccessful | Self::Empty | Self::Html | Self::Delay | Self::SlowBody | Self::Cut => {
                !matches!(on, On::Update | On::Delivery)
            }
            Self::MarkerStuck | Self::MarkerLost => on == On::Updates,
            Self::Fail | Self::AnswerLost => on == On::Delivery,
            _ => on == On::Update,
        }
    }
}

impl Spec {
    fn fault(self) -> Result<Fault, String> {
        if self.times == 0 {
            return Err("times: must be at least 1".to_owned());
        }
        if !self.harm.fits(self.on) {
            return Err(format!("do: not on \"{}\"", self.on.name()));
        }
        let waits = matches!(self.harm, Harm::Delay | Harm::SlowBody | Harm::Hold);
        let says = matches!(self.harm, Harm::Refuse | Harm::Unsuccessful);
        for (field, is_given, is_fine) in [
            ("ms", self.ms.is_some(), waits),
            ("status", self.status.is_some(), matches!(self.harm, Harm::Refuse | Harm::Html)),
            ("code", self.code.is_some(), says),
            ("message", self.message.is_some(), says),
            ("retryAfter", self.retry_after.is_some(), self.harm == Harm::Refuse),
        ] {
            if is_given && !is_fine {
                return Err(format!("{field}: not for this \"do\""));
            }
        }
        let wait = match self.ms {
            Some(ms) if ms <= MAX_MS => Duration::from_millis(ms),
            Some(_) => return Err(format!("ms: at most {MAX_MS}")),
            None if waits => return Err("ms: is needed".to_owned()),
            None => Duration::ZERO,
        };
        let status = self.status.unwrap_or(if self.harm == Harm::Html { 502 } else { 503 });
        if !(400..600).contains(&status) {
            return Err("status: between 400 and 599".to_owned());
        }
        if [&self.code, &self.message].into_iter().flatten().any(|text| text.len() > MAX_TEXT) {
            return Err(format!("code, message: at most {MAX_TEXT} bytes"));
        }
        let code = self.code.unwrap_or_else(|| usual_code(status).to_owned());
        let message = self.message.unwrap_or_else(|| "on command".to_owned());
        let effect = match self.harm {
            Harm::Refuse => Effect::Refuse { status, code, message, retry_after: self.retry_after },
            Harm::Unsuccessful => Effect::Unsuccessful { code, message },
            Harm::Empty => Effect::Empty,
            Harm::Html => Effect::Html(status),
            Harm::Delay => Effect::Delay(wait),
            Harm::SlowBody => Effect::SlowBody(wait),
            Harm::Cut => Effect::Cut,
            Harm::MarkerStuck => Effect::MarkerStuck,
            Harm::MarkerLost => Effect::MarkerLost,
            Harm::Drop => Effect::Drop,
            Harm::Duplicate => Effect::Duplicate,
            Harm::Hold => Effect::Hold(wait),
            Harm::Reorder => Effect::Reorder,
            Harm::Unknown => Effect::Unknown,
            Harm::UnknownFields => Effect::UnknownFields,
            Harm::BotAdded => Effect::BotAdded,
            Harm::Bare => Effect::Bare,
            Harm::NullPayload => Effect::NullPayload,
            Harm::EmptyPayload => Effect::EmptyPayload,
            Harm::NoMessage => Effect::NoMessage,
            Harm::UserIdMoved => Effect::UserIdMoved,
            Harm::Fail => Effect::Fail,
            Harm::AnswerLost => Effect::AnswerLost,
        };
        Ok(Fault { on: self.on, effect, skip: self.skip, times: self.times })
    }
}

fn usual_code(status: u16) -> &'static str {
    match status {
        400 => "proto.payload",
        401 => "verify.token",
        403 => "chat.denied",
        404 => "not.found",
        429 => "too.many.requests",
        _ => "internal.error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn parse(script: Value) -> Result<Read, String> {
        Faults::parse(script.to_string().as_bytes())
    }

    #[test]
    fn faults_come_in_their_order_on_their_occasion() {
        let script = json!({ "faults": [
            { "on": "send", "do": "refuse", "status": 429, "retryAfter": 2, "skip": 1 },
            { "on": "any", "do": "empty" },
            { "on": "update", "do": "duplicate", "times": 2 },
            { "on": "delivery", "do": "fail" },
        ] });
        let mut read = parse(script).unwrap();
        assert!(read.limits && !read.forget && read.no_marker == NoMarker::All);
        let faults = &mut read.faults;
        assert_eq!(faults.take(On::Delivery), Some(Effect::Fail));
        assert_eq!(faults.take(On::Delivery), None, "\"any\" is for requests");
        assert_eq!(faults.take(On::Send), Some(Effect::Empty));
        let refuse = Effect::Refuse {
            status: 429,
            code: "too.many.requests".to_owned(),
            message: "on command".to_owned(),
            retry_after: Some(2),
        };
        assert_eq!(faults.take(On::Me), None);
        assert_eq!(faults.take(On::Send), Some(refuse));
        assert_eq!([(); 3].map(|()| faults.take(On::Update).is_some()), [true, true, false]);
        assert_eq!(faults.left(), 0);
    }

    #[test]
    fn a_script_says_what_is_wrong_with_it() {
        let one = |fault: Value| parse(json!({ "faults": [fault] })).err().unwrap_or_default();
        for (fault, why) in [
            (json!({ "on": "update", "do": "refuse" }), "do: not on \"update\""),
            (json!({ "on": "me", "do": "marker-lost" }), "do: not on \"me\""),
            (json!({ "on": "delivery", "do": "drop" }), "do: not on \"delivery\""),
            (json!({ "on": "me", "do": "delay" }), "ms: is needed"),
            (json!({ "on": "me", "do": "delay", "ms": 700_000 }), "ms: at most"),
            (json!({ "on": "me", "do": "empty", "ms": 1 }), "ms: not for"),
            (json!({ "on": "me", "do": "refuse", "status": 200 }), "status: between"),
            (json!({ "on": "me", "do": "html", "code": "x" }), "code: not for"),
            (json!({ "on": "me", "do": "empty", "times": 0 }), "times: must"),
            (json!({ "on": "nobody", "do": "empty" }), "unknown variant"),
        ] {
            assert!(one(fault.clone()).contains(why), "{fault}: {}", one(fault.clone()));
        }
        assert!(parse(json!([])).is_err() && parse(json!({ "fault": [] })).is_err());
        let many = vec![json!({ "on": "me", "do": "empty" }); MAX_FAULTS + 1];
        assert!(parse(json!({ "faults": many })).is_err());
        let switches = parse(json!({ "limits": false, "noMarker": "last", "forget": true })).unwrap();
        assert!(!switches.limits && switches.forget && switches.no_marker == NoMarker::Last);
    }
}
