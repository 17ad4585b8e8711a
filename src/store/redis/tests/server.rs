//! A Redis for tests, on a free port of loopback, and a relay before it that can be cut.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener as StdListener, TcpStream as StdStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

pub struct Server {
    /// A shell that kills the server when its input ends: when it is told to, and also when the test's process is gone.
    child: Option<Child>,
    pub folder: TempDir,
    pub port: u16,
    settings: Vec<String>,
}

/// `STORE_SERVER`: Valkey, or another Redis.
const WRAPPER: &str = r#"
"${STORE_SERVER:-redis-server}" "$@" >server.log 2>&1 &
server=$!; cat >/dev/null; kill -9 $server; wait $server"#;

/// Below the ports of a cluster's bus, which are 10000 higher.
fn free_port() -> u16 {
    loop {
        let port = StdListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        if port < 55_000 && StdListener::bind(("127.0.0.1", port + 10_000)).is_ok() {
            return port;
        }
    }
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

impl Server {
    /// With nothing on disk unless `settings` say so.
    pub async fn start(settings: &str) -> Self {
        let version = r#""${STORE_SERVER:-redis-server}" --version"#;
        let there = Command::new("sh").args(["-c", version]).stdout(Stdio::null()).status();
        assert!(there.is_ok_and(|status| status.success()), "redis-server is not on PATH; scripts/setup installs it");
        let folder = tempfile::tempdir().unwrap();
        let mut server = Self { child: None, folder, port: free_port(), settings: words(settings) };
        server.again().await;
        server
    }

    /// One that watches over this master, by the name `main`, and decides alone.
    pub async fn sentinel(master: u16) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let settings = format!(
            "sentinel monitor main 127.0.0.1 {master} 1\nsentinel down-after-milliseconds main 500\n\
             sentinel failover-timeout main 3000\n"
        );
        std::fs::write(folder.path().join("sentinel.conf"), settings).unwrap();
        let mut server = Self { child: None, folder, port: free_port(), settings: words("--sentinel") };
        server.again().await;
        server
    }

    /// Three, each with a third of the slots.
    pub async fn cluster(settings: &str) -> Vec<Self> {
        let mut servers = Vec::new();
        for _ in 0..3 {
            let clustered = "--cluster-enabled yes --cluster-node-timeout 2000 --cluster-require-full-coverage no";
            servers.push(Self::start(&format!("{clustered} {settings}")).await);
        }
        let hosts = servers.iter().map(|server| format!("127.0.0.1:{}", server.port));
        let made = Command::new("redis-cli")
            .args(["--cluster", "create"])
            .args(hosts)
            .arg("--cluster-yes")
            .stdout(Stdio::null())
            .status();
        assert!(made.unwrap().success());
        for server in &servers {
            while !server.ask("CLUSTER INFO").contains("cluster_state:ok") {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        servers
    }

    /// Over TLS alone, with a certificate of its own; where that lies.
    pub async fn encrypted() -> (Self, PathBuf) {
        let (plain, folder) = (free_port(), tempfile::tempdir().unwrap());
        certificate(folder.path());
        let file = |name: &str| folder.path().join(name).display().to_string();
        let (cert, key) = (file("cert.pem"), file("key.pem"));
        let settings =
            format!("--port 0 --tls-port {plain} --tls-auth-clients no --tls-cert-file {cert} --tls-key-file {key}");
        let mut server = Self { child: None, folder, port: plain, settings: words(&settings) };
        server.again().await;
        while StdStream::connect(("127.0.0.1", server.port)).is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        (server, cert.into())
    }

    /// On the same port and folder; the later settings win.
    pub async fn again(&mut self) {
        let port = self.port.to_string();
        let mut command = Command::new("sh");
        command.args(["-c", WRAPPER, "sh"]);
        if self.settings.iter().any(|word| word == "--sentinel") {
            command.arg("sentinel.conf");
        } else {
            command.args(["--save", "", "--appendonly", "no"]);
        }
        command.args(["--port", &port, "--bind", "127.0.0.1"]);
        command.args(&self.settings).current_dir(self.folder.path());
        self.child = Some(command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        for _ in 0..500 {
            if self.settings.iter().any(|word| word == "--tls-port") || self.ask("PING\r\n").contains("PONG") {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let log = std::fs::read_to_string(self.folder.path().join("server.log")).unwrap_or_default();
        panic!("redis-server does not answer on port {port}: {log}");
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            drop(child.stdin.take());
            child.wait().unwrap();
        }
    }

    /// One inline command, by another connection.
    pub fn ask(&self, command: &str) -> String {
        let Ok(mut stream) = StdStream::connect(("127.0.0.1", self.port)) else { return String::new() };
        stream.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
        let _ = stream.write_all(format!("{}\r\nQUIT\r\n", command.trim()).as_bytes());
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    }

    pub fn address(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A certificate for 127.0.0.1 in this folder.
pub fn certificate(folder: &Path) {
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"])
        .args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE", "-keyout", "key.pem", "-out", "cert.pem"])
        .current_dir(folder)
        .stderr(Stdio::null())
        .status();
    assert!(made.is_ok_and(|status| status.success()), "openssl makes no certificate; scripts/setup installs it");
}

/// Passes bytes on until it is told not to.
pub struct Relay {
    pub port: u16,
    target: Arc<AtomicU16>,
    opened: Arc<AtomicUsize>,
    frozen: watch::Sender<Vec<usize>>,
    cut: watch::Sender<u64>,
}

impl Relay {
    pub async fn start(target: u16) -> Self {
        Self::slow(target, Duration::ZERO).await
    }

    /// Each packet takes so long.
    pub async fn slow(target: u16, delay: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (frozen, cut) = (watch::Sender::new(Vec::new()), watch::Sender::new(0));
        let (target, opened) = (Arc::new(AtomicU16::new(target)), Arc::new(AtomicUsize::new(0)));
        let relay = Self { port, target: Arc::clone(&target), opened: Arc::clone(&opened), frozen, cut };
        let (frozen, cut) = (relay.frozen.subscribe(), relay.cut.subscribe());
        crate::base::tasks::Tasks::new().spawn("relay", async move {
            let each = crate::base::tasks::Tasks::new();
            while let Ok((from, _)) = listener.accept().await {
                let number = opened.fetch_add(1, Ordering::SeqCst);
                let Ok(to) = TcpStream::connect(("127.0.0.1", target.load(Ordering::SeqCst))).await else { continue };
                let (frozen, mut cut) = (frozen.clone(), cut.clone());
                cut.mark_unchanged();
                each.spawn("relay", async move {
                    let ((from_read, from_write), (to_read, to_write)) = (from.into_split(), to.into_split());
                    tokio::select! {
                        () = pass(from_read, to_write, number, frozen.clone(), delay / 2) => {}
                        () = pass(to_read, from_write, number, frozen, delay / 2) => {}
                        _ = cut.changed() => {}
                    }
                });
            }
        });
        relay
    }

    /// How many connections there were.
    pub fn opened(&self) -> usize {
        self.opened.load(Ordering::SeqCst)
    }

    /// This connection stays open, and nothing passes any more.
    pub fn freeze(&self, number: usize) {
        self.frozen.send_modify(|frozen| frozen.push(number));
    }

    /// What comes from now on goes elsewhere.
    pub fn point(&self, target: u16) {
        self.target.store(target, Ordering::SeqCst);
    }

    /// The same, and what is open ends.
    pub fn turn(&self, target: u16) {
        self.point(target);
        self.cut.send_modify(|times| *times += 1);
    }

    pub fn address(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }
}

async fn pass(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    number: usize,
    mut frozen: watch::Receiver<Vec<usize>>,
    delay: Duration,
) {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let read = tokio::select! {
            () = async { drop(frozen.wait_for(|frozen| frozen.contains(&number)).await) } => return std::future::pending().await,
            read = from.read(&mut buffer) => read,
        };
        let Ok(count) = read else { return };
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        if count == 0 || to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}
