//! `[session]`: the signed-in browser.

use super::oidc::backchannel_uri;
use super::people::{AllowList, Groups};
use super::reader::ConfigMerger;
use super::value;
use std::time::Duration;

/// `[session]`
pub struct Session {
    /// How long it stays signed in.
    pub ttl: Duration,
    /// Whether the site is told the phone number.
    pub phone: bool,
    /// Who may sign in to the site and pass `/verify`.
    pub allow: AllowList,
    /// Where the site's backend hears that a session is over.
    pub backchannel_logout_uri: Option<String>,
}

pub(super) fn read(settings: &mut ConfigMerger, groups: &Groups) -> Option<Session> {
    let ttl = settings.read("session.ttl", value::positive_duration);
    let phone = settings.read("session.phone", value::flag);
    let allow = settings.read("session.allow", |value| AllowList::parse(value, groups));
    let told = settings.read("session.backchannel_logout_uri", |value| match value::optional_text(value)? {
        None => Ok(None),
        Some(_) => backchannel_uri(value).map(Some),
    });
    Some(Session { ttl: ttl?, phone: phone?, allow: allow?, backchannel_logout_uri: told? })
}
