//! What is for the audit log, and for no other.

/// The target by which it is told: `tracing::info!(target: AUDIT, event = "session.begun", …)`. Every event has its row in
/// docs/http.md; `person` and `session` are left out and `address` is cut where people are masked.
pub const AUDIT: &str = "audit";
