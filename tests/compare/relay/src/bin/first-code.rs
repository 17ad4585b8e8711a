//! From the start of a process to the code that its first visitor sees, in milliseconds: `first-code ADDRESS PATH COMMAND…`.
//! The command is ended afterwards.

use std::error::Error;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(20);

/// Between two tries to connect.
const PAUSE: Duration = Duration::from_micros(200);

/// Masked with zeros: what it says is the same.
const MASK: [u8; 4] = [0; 4];

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, path, command, rest @ ..] = &*arguments else {
        return Err("first-code ADDRESS PATH COMMAND…".into());
    };
    let address = address.parse()?;
    let began = Instant::now();
    let mut server = Command::new(command).args(rest).stdin(Stdio::null()).stdout(Stdio::null()).spawn()?;
    let seen = code(address, path, &mut server, began);
    let took = began.elapsed();
    server.kill()?;
    server.wait()?;
    seen?;
    println!("{:.2}", took.as_secs_f64() * 1000.0);
    Ok(())
}

/// Returns when the event of a code has come.
fn code(address: SocketAddr, path: &str, server: &mut Child, began: Instant) -> Result<(), Box<dyn Error>> {
    let mut stream = loop {
        if let Ok(stream) = TcpStream::connect(address) {
            break stream;
        }
        if let Some(status) = server.try_wait()? {
            return Err(format!("it ended: {status}").into());
        }
        if began.elapsed() > PATIENCE {
            return Err("it does not listen".into());
        }
        sleep(PAUSE);
    };
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    let head = format!(
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nOrigin: http://{address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(head.as_bytes())?;
    read_until(&mut stream, b"\r\n\r\n")?;
    let hello = br#"{"userAgent":{"deviceName":"Chrome","osVersion":"Linux"}}"#;
    let frame = [&[0x81, 0x80 | hello.len() as u8], &MASK[..], hello].concat();
    stream.write_all(&frame)?;
    read_until(&mut stream, br#""event":"qr""#)
}

fn read_until(stream: &mut TcpStream, end: &[u8]) -> Result<(), Box<dyn Error>> {
    let (mut read, mut room) = (Vec::new(), [0; 4096]);
    while !read.windows(end.len()).any(|window| window == end) {
        match stream.read(&mut room)? {
            0 => return Err(format!("closed: {}", String::from_utf8_lossy(&read)).into()),
            size => read.extend_from_slice(&room[..size]),
        }
    }
    Ok(())
}
