//! What the Bot API answers: a status and JSON. Codes that MAX's answers were seen with are told; where none was seen, the
//! nearest of those stands here.

use serde_json::{Value, json};

pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Value,
    /// In seconds.
    pub(super) retry_after: Option<u64>,
}

impl Answer {
    pub(super) fn fine(body: Value) -> Self {
        Self { status: 200, body, retry_after: None }
    }

    pub(super) fn success() -> Self {
        Self::fine(json!({ "success": true }))
    }

    /// 200, and not done all the same.
    pub(super) fn unsuccessful(code: &str, message: &str) -> Self {
        Self::fine(json!({ "success": false, "code": code, "message": message }))
    }

    pub(super) fn refused(status: u16, code: &str, message: &str) -> Self {
        Self { status, body: json!({ "code": code, "message": message }), retry_after: None }
    }

    /// The request is not as the API wants it.
    pub(super) fn malformed(message: &str) -> Self {
        Self::refused(400, "proto.payload", message)
    }

    pub(super) fn unauthorized(message: &str) -> Self {
        Self::refused(401, "verify.token", message)
    }

    pub(super) fn not_found(code: &str, message: &str) -> Self {
        Self::refused(404, code, message)
    }

    /// MAX was not seen to say when to come back.
    pub(super) fn too_many() -> Self {
        Self::refused(429, "too.many.requests", "Too many requests")
    }
}
