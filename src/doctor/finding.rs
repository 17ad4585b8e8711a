//! What the doctor found, as people and programs get it.

use super::words;
use crate::proxies::{APP, CLIENT_SIDE, Fact, FindingCode, Lang, Layer, PathPart, ProxyPosition, Severity, fixes};
use serde_json::{Value, json};

/// What replaces the placeholders of a fix.
#[derive(Clone, Debug)]
pub struct Site {
    /// The path of max-auth's endpoints, without a slash at its end.
    pub base: String,
    /// What browsers send as `Origin`.
    pub origin: String,
}

/// One line that fixes a finding, or a sentence where no line can be known.
#[derive(Clone, Debug)]
pub struct Fix {
    pub text: String,
    pub why: &'static str,
    /// Where it goes, if not to the place of the others.
    pub place: Option<&'static str>,
    pub is_advice: bool,
}

#[derive(Clone, PartialEq, Debug)]
pub struct Finding {
    pub code: FindingCode,
    pub severity: Severity,
    pub layer: Layer,
    /// Which of several proxies of one kind.
    pub position: ProxyPosition,
    /// What was sent, what came, when.
    pub evidence: String,
    /// Of a timeout or a wrong clock.
    pub seconds: Option<f64>,
    /// Instead of the table's: where a file and line are known.
    pub place: Option<String>,
}

/// Where max-auth listens unless it was told otherwise.
const UPSTREAM: &str = "127.0.0.1:3001";

impl Finding {
    /// As bad as such a finding is by itself, of whichever tier.
    pub fn new(code: FindingCode, layer: Layer, evidence: impl Into<String>) -> Self {
        let (severity, position) = (code.severity(), ProxyPosition::Unknown);
        Self { code, severity, layer, position, evidence: evidence.into(), seconds: None, place: None }
    }

    pub fn severity(self, severity: Severity) -> Self {
        Self { severity, ..self }
    }

    pub fn at(self, position: ProxyPosition) -> Self {
        Self { position, ..self }
    }

    pub fn seconds(self, seconds: f64) -> Self {
        Self { seconds: Some(seconds), ..self }
    }

    pub fn is_fault(&self) -> bool {
        self.severity == Severity::Fault
    }

    /// What fixes it, with the reason of each.
    pub fn fixes(&self, site: &Site, lang: Lang) -> Vec<Fix> {
        let fill = |line: &str| {
            line.replace("{base}", &site.base).replace("{upstream}", UPSTREAM).replace("{origin}", &site.origin)
        };
        let said = |fact: &'static Fact| match (lang, fact.russian) {
            (Lang::Ru, Some(russian)) => russian,
            _ => fact.line,
        };
        let facts = fixes(self.code, self.layer, self.position).into_iter();
        facts
            .map(|fact| Fix { text: fill(said(fact)), why: fact.why, place: fact.place, is_advice: fact.is_advice() })
            .collect()
    }

    /// Where the lines go, and those that go elsewhere.
    pub fn place(&self, site: &Site) -> String {
        if let Some(place) = &self.place {
            return place.clone();
        }
        let place = match self.code {
            FindingCode::Dns => "the zone of the name".to_owned(),
            FindingCode::ClockSkew => "the machine whose clock is wrong".to_owned(),
            FindingCode::FrozenByNetwork => "the address that the name of the site leads to".to_owned(),
            FindingCode::HopNotAsked => "the command line of the doctor".to_owned(),
            FindingCode::ClientAddressLost
                if self.layer.product().has_tiers && self.position == ProxyPosition::Unknown =>
            {
                let place = self.layer.place(ProxyPosition::Single, &site.base);
                format!("{place}, in the outer or only {}", self.layer.name())
            }
            code if code.part() == PathPart::ProtectedPage && self.layer != APP => "the rules for the page".to_owned(),
            _ => self.layer.place(self.position, &site.base),
        };
        let fixes = self.fixes(site, Lang::En);
        let mut elsewhere: Vec<String> = Vec::new();
        for fix in &fixes {
            let first = fix.text.split(' ').next().unwrap_or_default();
            elsewhere.extend(fix.place.map(|place| format!("{first}: {place}")));
        }
        if !fixes.is_empty() && elsewhere.len() == fixes.len() {
            return fixes.iter().find_map(|fix| fix.place).unwrap_or_default().to_owned();
        }
        elsewhere.insert(0, place);
        elsewhere.join("; ")
    }

    /// `buffered (nginx, outer)` without its name: nothing where no tier is known.
    pub fn tier(&self) -> String {
        match self.position {
            ProxyPosition::Unknown | ProxyPosition::Single => String::new(),
            known => format!(", {}", known.name()),
        }
    }

    pub fn json(&self, site: &Site) -> Value {
        let fixes = self.fixes(site, Lang::En);
        let texts = |advice: bool| {
            let texts = fixes.iter().filter(|fix| fix.is_advice == advice);
            texts.flat_map(|fix| fix.text.lines()).collect::<Vec<_>>()
        };
        json!({
            "code": self.code.name(),
            "severity": self.severity.name(),
            "layer": self.layer.name(),
            "tier": self.position.name(),
            "who": words::who(Lang::En, self.code, self.severity, self.layer),
            "evidence": self.evidence,
            // Lines as they stand in a file; what can only be said in words is advice.
            "fix": texts(false),
            "advice": texts(true),
            "where": self.place(site),
            "seconds": self.seconds,
            "page": self.code.page(),
        })
    }

    /// Of an inner address that told nothing.
    pub fn hop_not_asked(evidence: String) -> Self {
        Self::new(FindingCode::HopNotAsked, CLIENT_SIDE, evidence)
    }
}
