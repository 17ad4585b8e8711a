//! What the doctor found, as people and programs get it.

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
    /// The proxy's address as the server sees it, where that matters.
    pub proxy: String,
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

    /// The lines that cure it, with the reason of each.
    pub fn fix(&self, site: &Site) -> Vec<(String, &'static str)> {
        let facts = facts::fix(self.code, self.layer, self.tier);
        let fill = |line: &str| {
            line.replace("{base}", &site.base)
                .replace("{upstream}", UPSTREAM)
                .replace("{origin}", &site.origin)
                .replace("{proxy}", &site.proxy)
        };
        let mut lines: Vec<(String, &str)> = Vec::new();
        for fact in facts {
            for (index, line) in fact.line.lines().enumerate() {
                lines.push((fill(line), if index == 0 { fact.why } else { "" }));
            }
        }
        lines
    }

    pub fn place(&self, site: &Site) -> String {
        if let Some(place) = &self.place {
            return place.clone();
        }
        match self.code {
            Code::Dns => "the zone of the name".to_owned(),
            Code::ClockSkew => "the machine whose clock is wrong".to_owned(),
            _ => facts::place(self.layer, self.tier, &site.base),
        }
    }

    pub fn page(&self) -> String {
        format!("docs/troubleshooting.md#{}", self.code.name())
    }

    pub fn json(&self, site: &Site) -> Value {
        json!({
            "code": self.code.name(),
            "severity": match self.severity { Severity::Fault => "fault", Severity::Note => "note" },
            "layer": self.layer.name(),
            "tier": self.tier.name(),
            "evidence": self.evidence,
            "fix": self.fix(site).into_iter().map(|(line, _)| line).collect::<Vec<_>>(),
            "where": self.place(site),
            "seconds": self.seconds,
            "page": self.page(),
        })
    }
}
