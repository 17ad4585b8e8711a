//! Calls to MAX's Bot API, by HTTP; its roots are trusted for this one host and for nothing else.

use super::api::{Call, Carrier, Said, Saying};
use crate::outbound;
use crate::upstream::Roots;
use http::HeaderValue;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use std::time::SystemTime;

pub struct OverHttp(pub Roots);

impl Carrier for OverHttp {
    fn carry(&self, call: Call) -> Saying<'_> {
        Box::pin(async move {
            let mut token =
                HeaderValue::from_str(call.token.expose()).map_err(|_| "the token is no header".to_owned())?;
            token.set_sensitive(true);
            let json = HeaderValue::from_static("application/json");
            let headers = vec![(AUTHORIZATION, token), (ACCEPT, json.clone()), (CONTENT_TYPE, json)];
            let body = call.body.unwrap_or_default();
            let answered =
                outbound::ask((call.method, &call.url), headers, body, (call.most, call.time), &self.0).await;
            let answered = answered.map_err(|error| format!("MAX's Bot API: {error}"))?;
            let outbound::Answered { status, retry_after, date, body } = answered;
            let date = date.and_then(|date| date.duration_since(SystemTime::UNIX_EPOCH).ok());
            let date = date.and_then(|since| i64::try_from(since.as_millis()).ok());
            Ok(Said { status, retry_after, date, body })
        })
    }
}
