//! What the operator's listener tells `max-auth doctor --networks`: how sign-ins go for the visitors of each network.

use serde::{Deserialize, Serialize};

/// On `server.ops_listen`: a [`NetworksAnswer`].
pub const NETWORKS_PATH: &str = "/networks";

/// What some networks let through of a connection before they freeze it, in KB: from, to. What a stream had been sent when
/// its other end went silent lies between them, less what else the connection carried.
pub const FREEZE_KB: (u64, u64) = (8, 40);

/// How sign-ins went for visitors, the networks with trouble first.
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct NetworksAnswer {
    /// Networks that visitors came from in the last day; no more than a hundred are listed.
    pub seen: u64,
    /// In the last day, from all of them.
    #[serde(default)]
    pub all: NetworkCounts,
    pub networks: Vec<NetworkSeen>,
}

/// The visitors of one network.
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct NetworkSeen {
    /// An IPv4 /16 or an IPv6 /32.
    pub network: String,
    /// No visitor has such an address: it is that of a proxy.
    #[serde(default)]
    pub inside: bool,
    pub hour: NetworkCounts,
    pub day: NetworkCounts,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct NetworkCounts {
    /// Sign-ins that were begun.
    pub logins: u64,
    /// Sign-ins whose browser said that a line was frozen.
    pub frozen: u64,
    /// Streams that ended, without those of phones: they sleep while MAX is in front.
    pub streams: u64,
    /// Those of them whose other end went silent, without a close.
    pub silent: SilentStreams,
}

/// By how much had been sent over them by then: see [`FREEZE_KB`].
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SilentStreams {
    pub below: u64,
    pub between: u64,
    pub above: u64,
    /// The mean of those between.
    #[serde(default)]
    pub mean_bytes: Option<u64>,
}

impl SilentStreams {
    pub fn all(&self) -> u64 {
        self.below + self.between + self.above
    }
}
