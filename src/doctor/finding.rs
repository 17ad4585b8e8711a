//! What the doctor found, as people and programs get it.

use super::words::{self, Lang};
use crate::config::facts::{self, Code, Layer, Tier};
use serde_json::{Value, json};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Severity {
    /// Costs visitors something now.
    Fault,
    /// max-auth defeats it by itself; others would break.
    Note,
}

/// What replaces the placeholders of a fix.
#[derive(Clone, Debug)]
pub struct Site {
    pub base: String,
    pub origin: String,
}

/// One line of a cure, or a sentence where no line can be known.
#[derive(Clone, Debug)]
pub struct Cure {
    pub text: String,
    pub why: &'static str,
    /// Where it goes, if not to the place of the others.
    pub place: Option<&'static str>,
    pub words: bool,
}

#[derive(Clone, Debug)]
pub struct Finding {
    pub code: Code,
    pub severity: Severity,
    pub layer: Layer,
    pub tier: Tier,
    /// What was sent, what came, when.
    pub evidence: String,
    pub seconds: Option<f64>,
    /// Instead of the table's: where a file and line are known.
    pub place: Option<String>,
}

/// Where max-auth listens unless it was told otherwise.
const UPSTREAM: &str = "127.0.0.1:3001";

impl Finding {
    pub fn new(code: Code, severity: Severity, layer: Layer, tier: Tier, evidence: impl Into<String>) -> Self {
        Self { code, severity, layer, tier, evidence: evidence.into(), seconds: None, place: None }
    }

    /// What cures it, with the reason of each.
    pub fn cures(&self, site: &Site, lang: Lang) -> Vec<Cure> {
        let fill = |line: &str| {
            line.replace("{base}", &site.base).replace("{upstream}", UPSTREAM).replace("{origin}", &site.origin)
        };
        let facts = facts::fix(self.code, self.layer, self.tier).into_iter();
        let russian = |id: &str| words::ADVICE.iter().find(|(of, _)| *of == id).map(|(_, text)| *text);
        let said = |fact: &'static facts::Fact| match lang {
            Lang::Ru if fact.words => russian(fact.id).unwrap_or(fact.line),
            _ => fact.line,
        };
        facts.map(|fact| Cure { text: fill(said(fact)), why: fact.why, place: fact.place, words: fact.words }).collect()
    }

    /// Where the lines go, and those that go elsewhere.
    pub fn place(&self, site: &Site) -> String {
        if let Some(place) = &self.place {
            return place.clone();
        }
        let place = match self.code {
            Code::Dns => "the zone of the name".to_owned(),
            Code::ClockSkew => "the machine whose clock is wrong".to_owned(),
            Code::HopNotAsked => "the command line of the doctor".to_owned(),
            Code::ClientAddressLost if self.layer == Layer::Nginx && self.tier == Tier::Unknown => {
                format!("the location for {}, in the outer or only nginx", site.base)
            }
            _ => facts::place(self.layer, self.tier, &site.base),
        };
        let cures = self.cures(site, Lang::En);
        let mut elsewhere: Vec<String> = Vec::new();
        for cure in &cures {
            let first = cure.text.split(' ').next().unwrap_or_default();
            elsewhere.extend(cure.place.map(|place| format!("{first}: {place}")));
        }
        if !cures.is_empty() && elsewhere.len() == cures.len() {
            return cures.iter().find_map(|cure| cure.place).unwrap_or_default().to_owned();
        }
        elsewhere.insert(0, place);
        elsewhere.join("; ")
    }

    pub fn page(&self) -> String {
        format!("docs/troubleshooting.md#{}", self.code.name())
    }

    pub fn json(&self, site: &Site) -> Value {
        let cures = self.cures(site, Lang::En);
        let texts = |words: bool| {
            let texts = cures.iter().filter(|cure| cure.words == words);
            texts.flat_map(|cure| cure.text.lines()).collect::<Vec<_>>()
        };
        json!({
            "code": self.code.name(),
            "severity": match self.severity { Severity::Fault => "fault", Severity::Note => "note" },
            "layer": self.layer.name(),
            "tier": self.tier.name(),
            "who": words::who(Lang::En, self),
            "evidence": self.evidence,
            // Lines as they stand in a file; what can only be said in words is advice.
            "fix": texts(false),
            "advice": texts(true),
            "where": self.place(site),
            "seconds": self.seconds,
            "page": self.page(),
        })
    }
}
