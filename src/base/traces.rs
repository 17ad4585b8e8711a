//! What is for traces, and for nothing else.

/// The target of the spans that an OTLP collector gets: `tracing::info_span!(target: TRACES, "login")`. Where nobody collects
/// them they are disabled, which costs a comparison. No field holds a secret, a name, an address or a number of a person.
pub const TRACES: &str = "traces";
