//! `[audit]`: who signed in, for whoever must be able to say so later.

use super::reader::ConfigMerger;
use super::value;
use std::path::PathBuf;

/// `audit.to`
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AuditTo {
    /// Nowhere.
    Off,
    /// `audit.path`.
    File,
    /// systemd's journal.
    Journald,
}

/// `audit.people`
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AuditPeople {
    /// MAX's user id, and the whole address.
    Full,
    /// Nobody, and the network of the address.
    Masked,
}

/// `[audit]`
pub struct Audit {
    /// Where it goes.
    pub to: AuditTo,
    /// The file, which is only added to.
    pub path: PathBuf,
    /// What it says of people.
    pub people: AuditPeople,
}

pub(super) fn read(settings: &mut ConfigMerger) -> Option<Audit> {
    let places = [("off", AuditTo::Off), ("file", AuditTo::File), ("journald", AuditTo::Journald)];
    let to = settings.read("audit.to", |value| value::choice(value, &places));
    let path =
        settings.read("audit.path", |value| value::optional_text(value)?.ok_or_else(|| "needs a file".to_owned()));
    let people = settings.read("audit.people", |value| {
        value::choice(value, &[("full", AuditPeople::Full), ("masked", AuditPeople::Masked)])
    });
    Some(Audit { to: to?, path: path.map(PathBuf::from)?, people: people? })
}
