//! The token, and MAX's exact answers to a wrong one.

use http::HeaderMap;
use http::header::AUTHORIZATION;
use subtle::ConstantTimeEq as _;

use super::Answer;

/// The whole header is the token, without a scheme. A token in the query does not count, and is told apart where the header is
/// missing.
pub(super) fn check(headers: &HeaderMap, in_query: Option<&str>, token: &str) -> Result<(), Answer> {
    let header = headers.get(AUTHORIZATION).map(|value| value.as_bytes().trim_ascii()).unwrap_or_default();
    let why = match header {
        b"" if in_query.is_some_and(|text| !text.trim().is_empty()) => {
            "Query parameter access_token is deprecated, use Authorization header"
        }
        b"" => "No access token",
        header if header.starts_with(b"Bearer ") => "Malformed access token",
        header if bool::from(header.ct_eq(token.as_bytes())) => return Ok(()),
        _ => "Invalid access_token",
    };
    Err(Answer::unauthorized(why))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn each_wrong_token_has_its_answer() {
        let ask = |header: Option<&str>, query: Option<&str>| {
            let mut headers = HeaderMap::new();
            if let Some(header) = header {
                headers.insert(AUTHORIZATION, HeaderValue::from_str(header).unwrap());
            }
            match check(&headers, query, "good") {
                Ok(()) => "fine".to_owned(),
                Err(answer) => {
                    assert_eq!((answer.status, &answer.body["code"]), (401, &"verify.token".into()));
                    answer.body["message"].as_str().unwrap().to_owned()
                }
            }
        };
        let deprecated = "Query parameter access_token is deprecated, use Authorization header";
        for (header, query, told) in [
            (None, None, "No access token"),
            (Some("   "), None, "No access token"),
            (None, Some(" "), "No access token"),
            (Some("Bearer good"), None, "Malformed access token"),
            (Some("Bearer x"), Some("good"), "Malformed access token"),
            (Some("bearer good"), None, "Invalid access_token"),
            (Some("Bearer"), None, "Invalid access_token"),
            (Some("bad"), Some("good"), "Invalid access_token"),
            (None, Some("good"), deprecated),
            (Some("good"), Some("rubbish"), "fine"),
            (Some("  good "), None, "fine"),
        ] {
            assert_eq!(ask(header, query), told, "{header:?} {query:?}");
        }
    }
}
