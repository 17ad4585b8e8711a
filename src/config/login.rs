//! `[login]`: one attempt to sign in.

use super::reader::ConfigMerger;
use super::value;
use crate::base::driver_name::DriverName;
use std::collections::BTreeSet;
use std::time::Duration;

/// `login.password`: what happens to an account with a cloud password.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PasswordPolicy {
    Refuse,
    Ask,
}

/// `[login]`: one attempt to sign in.
#[derive(Clone)]
pub struct Login {
    /// From the WebSocket's opening to the first message.
    pub first_message_timeout: Duration,
    /// Between questions to MAX, where MAX does not say.
    pub poll_interval: Duration,
    /// The longest a login lives.
    pub ttl: Duration,
    /// How long a visitor whose last connection is gone may take to come back.
    pub grace: Duration,
    /// The same for a phone, whose browser sleeps while its owner is in MAX.
    pub grace_phone: Duration,
    /// Logins in flight on this node.
    pub max_active: usize,
    /// The same on all nodes together; 0 is no limit.
    pub max_active_total: u32,
    /// From one address; 0 is no limit.
    pub starts_per_minute: u32,
    /// Accounts with a cloud password.
    pub password: PasswordPolicy,
    /// Who asks MAX, the preferred first; never empty, none twice.
    pub drivers: Vec<DriverName>,
}

pub(super) fn read(settings: &mut ConfigMerger) -> Option<Login> {
    let first_message_timeout = settings.read("login.first_message_timeout", value::positive_duration);
    let poll_interval = settings.read("login.poll_interval", value::positive_duration);
    let ttl = settings.read("login.ttl", value::positive_duration);
    let grace = settings.read("login.grace", value::positive_duration);
    let grace_phone = settings.read("login.grace_phone", value::positive_duration);
    let max_active = settings.read("login.max_active", value::number);
    let max_active_total = settings.read("login.max_active_total", value::number);
    let starts_per_minute = settings.read("login.starts_per_minute", value::number);
    let password = settings.read("login.password", |value| {
        value::choice(value, &[("refuse", PasswordPolicy::Refuse), ("ask", PasswordPolicy::Ask)])
    });
    let drivers = settings.read("login.drivers", |value| {
        let words = DriverName::ALL.map(|driver| (driver.name(), driver));
        let drivers = value::list(value, |value| value::choice(value, &words))?;
        let known: BTreeSet<DriverName> = drivers.iter().copied().collect();
        match (drivers.len(), known.len()) {
            (0, _) => Err("needs one driver at least".to_owned()),
            (all, known) if all != known => Err("names a driver twice".to_owned()),
            _ => Ok(drivers),
        }
    });
    Some(Login {
        first_message_timeout: first_message_timeout?,
        poll_interval: poll_interval?,
        ttl: ttl?,
        grace: grace?,
        grace_phone: grace_phone?,
        max_active: max_active? as usize,
        max_active_total: max_active_total?,
        starts_per_minute: starts_per_minute?,
        password: password?,
        drivers: drivers?,
    })
}
