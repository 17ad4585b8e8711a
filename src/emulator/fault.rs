//! Faults on command: which requests go wrong, how, and how often.

use std::time::Duration;

use serde::Deserialize;

use super::odd::Kind;
use crate::max::opcode::Opcode;

/// Faults in one script.
const MAX_FAULTS: usize = 64;

/// The longest delay, in ms: past ten minutes every client has given up.
const MAX_DELAY_MS: u64 = 600_000;

/// The longest error code, in bytes.
const MAX_CODE_BYTES: usize = 128;

/// A script as it is posted; it replaces the one before. `{"clear":true}` and no faults at all are the same.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Script {
    #[serde(default)]
    faults: Vec<Spec>,
    #[serde(default)]
    clear: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Spec {
    on: On,
    #[serde(rename = "do")]
    harm: Harm,
    ms: Option<u64>,
    code: Option<String>,
    #[serde(default = "once")]
    times: u32,
    #[serde(default)]
    skip: u32,
    when: Option<When>,
    status: Option<u16>,
    kind: Option<Kind>,
}

fn once() -> u32 {
    1
}

#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(untagged)]
enum On {
    Opcode(u16),
    Word(Word),
}

#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
enum Word {
    Connect,
    Any,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
enum Harm {
    Delay,
    Cut,
    HalfOpen,
    Refuse,
    WrongOpcode,
    PushCollide,
    Error,
    Garbage,
    Duplicate,
    Odd,
}

/// Where a connection is cut, or where something odd is sent.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(super) enum When {
    /// Cut: the request is lost, it has no effect. Odd: a push comes before the answer.
    Before,
    /// The request has its effect, its answer is lost, or is the odd thing.
    Instead,
    /// The answer still arrives, and then the odd push.
    After,
}

/// What goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// The request has its effect at once; its answer, or the handshake's, is late.
    Delay(Duration),
    Cut(When),
    /// Nothing is answered any more, and the connection stays.
    HalfOpen,
    /// The handshake is refused with this HTTP status.
    Refuse(u16),
    /// The answer names another operation.
    WrongOpcode,
    /// An unknown push with the same seq comes before the answer.
    PushCollide,
    /// The request has no effect and is answered with this error.
    Error(String),
    /// Something that is no frame comes instead of the answer.
    Garbage,
    /// The answer comes twice.
    Duplicate,
    /// A message that cannot be read, or not as an answer, around the answer or in its place.
    Odd(Kind, When),
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

impl Faults {
    /// Reads a script. The error is for the person who wrote it, and names the field.
    pub(super) fn parse(script: &[u8]) -> Result<Self, String> {
        // serde would also take a list of the fields' values, and read `[]` as "no faults".
        if !script.trim_ascii_start().starts_with(b"{") {
            return Err("a JSON object is expected, such as {\"faults\":[]}".to_owned());
        }
        let script: Script = serde_json::from_slice(script).map_err(|error| error.to_string())?;
        if script.clear && !script.faults.is_empty() {
            return Err("clear: takes no faults beside it".to_owned());
        }
        if script.faults.len() > MAX_FAULTS {
            return Err(format!("faults: {} of them, at most {MAX_FAULTS} are taken", script.faults.len()));
        }
        let faults = script
            .faults
            .into_iter()
            .enumerate()
            .map(|(index, spec)| spec.fault().map_err(|reason| format!("faults[{index}].{reason}")));
        faults.collect::<Result<_, _>>().map(Self)
    }

    pub(super) fn left(&self) -> usize {
        self.0.len()
    }

    pub(super) fn on_connect(&mut self) -> Option<Effect> {
        self.take(|on| on == On::Word(Word::Connect))
    }

    pub(super) fn on_request(&mut self, opcode: Opcode) -> Option<Effect> {
        self.take(|on| on == On::Opcode(opcode.0) || on == On::Word(Word::Any))
    }

    /// The first fault that fits and has nothing left to skip; those before it count this request.
    fn take(&mut self, fits: impl Fn(On) -> bool) -> Option<Effect> {
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

impl Spec {
    fn fault(self) -> Result<Fault, String> {
        if self.times == 0 {
            return Err("times: must be at least 1".to_owned());
        }
        let delay = self.harm == Harm::Delay;
        let only = |field: &str, given: bool, wanted: bool, harm: &str| match (given, wanted) {
            (true, false) => Err(format!("{field}: only for \"do\":\"{harm}\"")),
            _ => Ok(()),
        };
        only("ms", self.ms.is_some(), delay, "delay")?;
        only("code", self.code.is_some(), self.harm == Harm::Error, "error")?;
        only("when", self.when.is_some(), matches!(self.harm, Harm::Cut | Harm::Odd), "cut\" or \"odd")?;
        only("kind", self.kind.is_some(), self.harm == Harm::Odd, "odd")?;
        only("status", self.status.is_some(), self.harm == Harm::Refuse, "refuse")?;
        let effect = match self.harm {
            Harm::Delay => Effect::Delay(delay_of(self.ms)?),
            Harm::Cut => Effect::Cut(self.when.unwrap_or(When::Before)),
            Harm::HalfOpen => Effect::HalfOpen,
            Harm::Refuse => Effect::Refuse(status_of(self.status)?),
            Harm::WrongOpcode => Effect::WrongOpcode,
            Harm::PushCollide => Effect::PushCollide,
            Harm::Error => Effect::Error(code_of(self.code)?),
            Harm::Garbage => Effect::Garbage,
            Harm::Duplicate => Effect::Duplicate,
            Harm::Odd => {
                let kind = self.kind.ok_or_else(|| "kind: an odd message needs it".to_owned())?;
                Effect::Odd(kind, self.when.unwrap_or(When::Before))
            }
        };
        let at_connect = matches!(effect, Effect::Delay(_) | Effect::Cut(_) | Effect::HalfOpen | Effect::Refuse(_));
        match self.on {
            On::Word(Word::Connect) if !at_connect => {
                Err("do: on \"connect\" only delay, cut, half-open and refuse".to_owned())
            }
            On::Opcode(_) | On::Word(Word::Any) if matches!(effect, Effect::Refuse(_)) => {
                Err("do: refuse is for \"on\":\"connect\"; a request is refused with \"error\"".to_owned())
            }
            on => Ok(Fault { on, effect, skip: self.skip, times: self.times }),
        }
    }
}

fn delay_of(ms: Option<u64>) -> Result<Duration, String> {
    match ms {
        Some(ms) if ms <= MAX_DELAY_MS => Ok(Duration::from_millis(ms)),
        Some(_) => Err(format!("ms: at most {MAX_DELAY_MS}")),
        None => Err("ms: a delay needs it".to_owned()),
    }
}

/// MAX refuses with 403 where it does not like the `Origin`.
fn status_of(status: Option<u16>) -> Result<u16, String> {
    let status = status.unwrap_or(403);
    if (400..600).contains(&status) { Ok(status) } else { Err("status: between 400 and 599".to_owned()) }
}

fn code_of(code: Option<String>) -> Result<String, String> {
    match code {
        None => Ok("internal".to_owned()),
        Some(code) if code.len() <= MAX_CODE_BYTES => Ok(code),
        Some(_) => Err(format!("code: at most {MAX_CODE_BYTES} bytes")),
    }
}
