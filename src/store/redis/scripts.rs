//! The verbs that are more than one command: Lua that Redis runs whole or not at all, each over one key, so that a cluster
//! can run them too. What they do is `rules.rs`, line by line.

use aws_lc_rs::digest;
use redis::Cmd;
use std::fmt::Write as _;
use std::sync::OnceLock;

/// One script, and the name under which Redis remembers it.
pub struct Script {
    source: &'static str,
    hash: OnceLock<String>,
}

macro_rules! script {
    ($name:ident, $($file:literal),+) => {
        pub static $name: Script = Script { source: concat!($(include_str!($file)),+), hash: OnceLock::new() };
    };
}

script!(ADMIT, "admit.lua");
script!(BEGIN, "begin.lua");
script!(APPEND, "log.lua", "append.lua");
script!(READ, "log.lua", "read.lua");
script!(CLAIM, "log.lua", "claim.lua");
script!(SEND, "log.lua", "send.lua");
script!(BEAT, "nodes.lua", "beat.lua");
script!(RESERVE, "nodes.lua", "reserve.lua");

/// A script with its key and arguments.
pub struct Call {
    pub script: &'static Script,
    pub key: String,
    pub arguments: Vec<Argument>,
}

/// What a script is given.
pub type Argument = bytes::Bytes;

impl Call {
    /// By its hash: what Redis usually has.
    pub fn short(&self) -> Cmd {
        self.command("EVALSHA", self.script.hash())
    }

    /// With its text, once for each server and each of its restarts; in a cluster it goes where the key is.
    pub fn full(&self) -> Cmd {
        self.command("EVAL", self.script.source)
    }

    fn command(&self, name: &str, script: &str) -> Cmd {
        let mut command = redis::cmd(name);
        command.arg(script).arg(1).arg(&self.key);
        for argument in &self.arguments {
            command.arg(&argument[..]);
        }
        command
    }
}

impl Script {
    fn hash(&self) -> &str {
        self.hash.get_or_init(|| {
            let hash = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, self.source.as_bytes());
            hash.as_ref().iter().fold(String::new(), |mut text, byte| {
                let _ = write!(text, "{byte:02x}");
                text
            })
        })
    }
}
