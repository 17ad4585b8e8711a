//! The last logins that came to nothing though their visitors wanted in, for the operator: when, why, from which network. No
//! phone, no name, no address of a person.

use crate::base::id::LoginId;
use crate::signin::Failure;
use ipnet::IpNet;
use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

/// Kept, the newest; some 100 bytes each.
const FAILURES_KEPT: usize = 50;

/// One of them.
#[derive(Clone, PartialEq, Debug)]
pub struct Failed {
    pub unix_ms: i64,
    /// The beginning of its id, as in the log.
    pub login: String,
    pub failure: Failure,
    /// MAX's own code, if it said one.
    pub max_code: Option<String>,
    /// Of the visitor, an IPv4 /16 or an IPv6 /32; `None` of a login that began at another node.
    pub network: Option<IpNet>,
}

#[derive(Default)]
pub struct Failures(Mutex<VecDeque<Failed>>);

impl Failures {
    /// Whoever walked away, gave up or waited until it was over has not failed.
    pub fn note(&self, unix_ms: i64, login: LoginId, failure: Failure, max_code: Option<&str>, network: Option<IpNet>) {
        if matches!(
            failure,
            Failure::VisitorLeft | Failure::Cancelled | Failure::Expired | Failure::Declined | Failure::CodeExpired
        ) {
            return;
        }
        let login = login.short().to_string();
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= FAILURES_KEPT {
            kept.pop_front();
        }
        kept.push_back(Failed { unix_ms, login, failure, max_code: max_code.map(str::to_owned), network });
    }

    /// The newest first.
    pub fn last(&self) -> Vec<Failed> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().rev().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;

    #[test]
    fn the_newest_are_kept_and_who_left_by_choice_is_none_of_them() {
        let (failures, rng) = (Failures::default(), Rng::seeded(1));
        let network = Some("198.51.0.0/16".parse().unwrap());
        for at in 0..FAILURES_KEPT as i64 + 10 {
            failures.note(at, LoginId::new(&rng), Failure::MaxTrouble, Some("service.timeout"), network);
        }
        for gave_up in [Failure::VisitorLeft, Failure::Cancelled, Failure::Expired] {
            failures.note(1000, LoginId::new(&rng), gave_up, None, network);
        }
        let last = failures.last();
        assert_eq!((last.len(), last[0].unix_ms, last[49].unix_ms), (FAILURES_KEPT, 59, 10));
        assert_eq!((last[0].max_code.as_deref(), last[0].network), (Some("service.timeout"), network));
    }
}
