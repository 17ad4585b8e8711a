//! The audit log: who signed in, when, from where, to what, and how it ended, a line of JSON each, in a file or in journald. Off unless
//! `[audit]` says otherwise.
//!
//! Whatever is told under the target `base::audit::AUDIT` goes there and nowhere else. A thread of its own writes, as for the log: a full
//! disk costs lines, which are counted and told, and no sign-in.

use super::lines::{self, LastLines, Lines, Output};
use crate::config::{Audit, AuditPeople, AuditTo};
use ipnet::IpNet;
use std::fmt::{Debug, Write as _};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::net::IpAddr;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};
use tracing_subscriber::layer::Context;

/// Where systemd's journal listens.
const JOURNALD: &str = "/run/systemd/journal/socket";

/// What is left of an address where people are masked, in bits: as much as many people share.
const MASKED: (u8, u8) = (24, 48);

const OUTPUT: Output = Output {
    thread: "audit",
    dropped: "max_auth_audit_lines_dropped_total",
    told: "lines of the audit log were lost: they could not be written",
};

/// Begins to write, if anything is to be written.
pub fn begin(audit: &Audit) -> io::Result<Option<(AuditLayer, LastLines)>> {
    let (lines, last) = match audit.to {
        AuditTo::Off => return Ok(None),
        AuditTo::File => {
            let named = |error: io::Error| {
                io::Error::new(error.kind(), format!("audit.path: {}: {error}", audit.path.display()))
            };
            lines::begin_with(AuditFile::open(&audit.path).map_err(named)?, OUTPUT)?
        }
        AuditTo::Journald => {
            let named = |error: io::Error| {
                io::Error::new(error.kind(), format!("audit.to = \"journald\": {JOURNALD}: {error}"))
            };
            lines::begin_with(Journal::connect(Path::new(JOURNALD)).map_err(named)?, OUTPUT)?
        }
    };
    Ok(Some((AuditLayer { lines, masked: audit.people == AuditPeople::Masked }, last)))
}

/// Turns what is told into lines.
pub struct AuditLayer {
    lines: Lines,
    masked: bool,
}

impl<S: Subscriber> tracing_subscriber::Layer<S> for AuditLayer {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut line = String::from("{\"time\":\"");
        let _ = SystemTime.format_time(&mut Writer::new(&mut line));
        line.push('"');
        event.record(&mut Fields { line: &mut line, masked: self.masked });
        line.push_str("}\n");
        let _ = (&self.lines).write(line.as_bytes());
    }
}

/// Writes fields in the order in which they are told. An empty text is left out.
struct Fields<'a> {
    line: &'a mut String,
    masked: bool,
}

impl Visit for Fields<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        let masked = self.masked.then(|| mask(field.name(), value)).flatten();
        let value = masked.as_deref().unwrap_or(value);
        if !value.is_empty() {
            let _ = write!(self.line, ",\"{}\":{}", field.name(), serde_json::Value::from(value));
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        let _ = write!(self.line, ",\"{}\":{value}", field.name());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}

/// What is said instead; `None`: just that.
fn mask(name: &str, value: &str) -> Option<String> {
    match name {
        "person" | "session" => Some(String::new()),
        "address" => {
            let address: IpAddr = value.parse().ok()?;
            let bits = if address.is_ipv4() { MASKED.0 } else { MASKED.1 };
            Some(IpNet::new(address, bits).ok()?.trunc().to_string())
        }
        _ => None,
    }
}

/// A file that is only added to. When it was moved away (logrotate), a new one is begun.
struct AuditFile {
    path: PathBuf,
    file: File,
    /// The last line is there in part: the disk was full.
    torn: bool,
}

impl AuditFile {
    fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
        Ok(Self { path: path.to_owned(), file, torn: false })
    }

    fn is_moved(&self) -> bool {
        let place = |metadata: std::fs::Metadata| (metadata.dev(), metadata.ino());
        let there = std::fs::metadata(&self.path).map(place).ok();
        there.is_none() || there != self.file.metadata().map(place).ok()
    }
}

impl Write for AuditFile {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.is_moved() {
            *self = Self::open(&self.path)?;
        }
        if self.torn {
            self.file.write_all(b"\n")?;
        }
        self.torn = true;
        self.file.write_all(line)?;
        self.torn = false;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// journald's own protocol: fields on lines of a datagram.
struct Journal(UnixDatagram);

impl Journal {
    fn connect(path: &Path) -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        socket.connect(path)?;
        Ok(Self(socket))
    }
}

impl Write for Journal {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let head = b"PRIORITY=6\nSYSLOG_IDENTIFIER=max-auth-audit\nMESSAGE=";
        self.0.send(&[head, line].concat())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::audit::AUDIT;
    use tracing_subscriber::layer::SubscriberExt as _;

    fn audit(to: AuditTo, path: &Path, people: AuditPeople) -> Audit {
        Audit { to, path: path.to_owned(), people }
    }

    fn tell(layer: AuditLayer) {
        let subscriber = tracing_subscriber::registry().with(layer);
        tracing::subscriber::with_default(subscriber, || {
            let address = "203.0.113.77".parse::<IpAddr>().unwrap();
            tracing::info!(target: AUDIT, event = "login.begun", login = "abc", %address, agent = "a \"b\"\nc", client = "");
            tracing::info!(target: AUDIT, event = "login.ended", person = "401041669", times = 2_u64);
        });
    }

    #[test]
    fn lines_are_added_to_a_file_that_only_we_read_and_a_moved_one_is_begun_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        for people in [AuditPeople::Full, AuditPeople::Masked] {
            let (layer, last) = begin(&audit(AuditTo::File, &path, people)).unwrap().unwrap();
            tell(layer);
            drop(last);
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 4, "{text}");
        assert!(text.starts_with("{\"time\":\"20") && lines[0]["time"].as_str().unwrap().ends_with('Z'), "{text}");
        assert_eq!((&lines[0]["address"], &lines[0]["agent"]), (&"203.0.113.77".into(), &"a \"b\"\nc".into()));
        assert_eq!((lines[1]["person"].as_str(), lines[1]["times"].as_u64()), (Some("401041669"), Some(2)));
        assert!(lines[0].get("client").is_none(), "nothing to say");
        assert_eq!(lines[2]["address"], "203.0.113.0/24");
        assert!(lines[3].get("person").is_none() && lines[3]["event"] == "login.ended");
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);

        let mut file = AuditFile::open(&path).unwrap();
        std::fs::rename(&path, folder.path().join("audit.jsonl.1")).unwrap();
        file.write_all(b"{}\n").unwrap();
        file.torn = true;
        file.write_all(b"[]\n").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "{}\n\n[]\n", "behind a torn line a new one begins");
    }

    #[test]
    fn journald_is_told_in_its_own_protocol() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let listener = UnixDatagram::bind(&path).unwrap();
        Journal::connect(&path).unwrap().write_all(b"{\"event\":\"x\"}\n").unwrap();
        let mut bytes = [0; 256];
        let read = listener.recv(&mut bytes).unwrap();
        assert_eq!(&bytes[..read], b"PRIORITY=6\nSYSLOG_IDENTIFIER=max-auth-audit\nMESSAGE={\"event\":\"x\"}\n");
    }

    #[test]
    fn what_cannot_be_written_to_is_named() {
        assert!(begin(&audit(AuditTo::Off, Path::new("/nowhere"), AuditPeople::Full)).unwrap().is_none());
        let error = begin(&audit(AuditTo::File, Path::new("/nowhere/a"), AuditPeople::Full)).err().unwrap();
        assert!(error.to_string().starts_with("audit.path: /nowhere/a: "), "{error}");
    }

    #[test]
    fn an_address_is_masked_to_its_network() {
        for (address, network) in [("2001:db8:1:2:3::4", "2001:db8:1::/48"), ("10.1.2.3", "10.1.2.0/24")] {
            assert_eq!(mask("address", address).as_deref(), Some(network));
        }
        assert_eq!((mask("address", "?"), mask("agent", "x")), (None, None));
    }
}
