//! A line of a proxy's configuration, or advice where no line can be known.

use super::finding_code::FindingCode::{self, *};
use super::position::ProxyPosition;

/// One line (or block) of a proxy's configuration.
#[derive(Debug)]
pub struct Fact {
    /// What setup's templates call it: `@id` for a line of its own, `{=id}` inside one.
    pub id: &'static str,
    /// As it stands in the file. `{base}` is the base path, `{upstream}` the address of max-auth, `{origin}` the
    /// address that people type.
    pub line: &'static str,
    /// Why it is there, as its comment.
    pub why: &'static str,
    /// The findings that it fixes.
    pub fixes: &'static [FindingCode],
    /// The tier that it is for, where the outer and the inner one need different lines.
    pub only: Option<ProxyPosition>,
    /// Where it goes, if not to the place of the others of its layer.
    pub place: Option<&'static str>,
    /// Not a line but a sentence for a person: the same in Russian.
    pub russian: Option<&'static str>,
}

impl Fact {
    /// A sentence for a person, where no line can be known.
    pub fn is_advice(&self) -> bool {
        self.russian.is_some()
    }
}

pub(super) const fn fact(
    id: &'static str,
    line: &'static str,
    why: &'static str,
    fixes: &'static [FindingCode],
) -> Fact {
    Fact { id, line, why, fixes, only: None, place: None, russian: None }
}

/// A line that goes elsewhere than the others of its product.
pub(super) const fn placed(place: &'static str, fact: Fact) -> Fact {
    Fact { place: Some(place), ..fact }
}

/// A line for one of two tiers.
pub(super) const fn only(position: ProxyPosition, fact: Fact) -> Fact {
    Fact { only: Some(position), ..fact }
}

/// A sentence for a person, in English and in Russian.
pub(super) const fn advice(
    id: &'static str,
    english: &'static str,
    russian: &'static str,
    fixes: &'static [FindingCode],
) -> Fact {
    Fact { russian: Some(russian), ..fact(id, english, "", fixes) }
}

/// What a WebSocket needs of a proxy that drops upgrades.
pub(super) const UPGRADE: &[FindingCode] = &[WsUpgradeNotPassed, WsUpgradeRefused, WsUpgradeHangs];
pub(super) const UPGRADE_OR_TOKEN: &[FindingCode] =
    &[WsUpgradeNotPassed, WsUpgradeRefused, WsUpgradeHangs, WsConnectionHeaderMissing];
