//! Calls to MAX's Bot API, by HTTP; its roots are trusted for this one host and for nothing else.

use crate::drivers::{Call, Carrier, Said, Saying};
use crate::outbound;
use crate::upstream::Roots;
use http::HeaderValue;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};

pub struct BotCarrier(pub Roots);

impl Carrier for BotCarrier {
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
            Ok(Said { status: answered.status, retry_after: answered.retry_after, body: answered.body })
        })
    }
}
