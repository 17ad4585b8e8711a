//! `[traces]`: OpenTelemetry.

use super::reader::ConfigMerger;
use super::value;
use url::Url;

/// `[traces]`
pub struct Traces {
    /// Where spans are sent (OTLP over HTTP, as JSON); nowhere without it.
    pub endpoint: Option<Url>,
    /// Of a hundred traces that begin here, so many are kept.
    pub percent: u32,
}

pub(super) fn read(settings: &mut ConfigMerger) -> Option<Traces> {
    let endpoint = settings.read("traces.endpoint", |value| {
        let Some(text) = value::optional_text(value)? else { return Ok(None) };
        let url = Url::parse(&text).map_err(|error| format!("{text:?}: {error}"))?;
        match url.scheme() {
            "http" | "https" => Ok(Some(url)),
            _ => Err(format!("{text:?} is no address such as \"http://127.0.0.1:4318/v1/traces\"")),
        }
    });
    let percent = settings.read("traces.percent", |value| match value::number(value)? {
        percent @ 0..=100 => Ok(percent),
        _ => Err("is 0 to 100".to_owned()),
    });
    Some(Traces { endpoint: endpoint?, percent: percent? })
}
