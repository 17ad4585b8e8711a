//! Frames as they stood on the wire, written out by hand. The first is a capture of MAX's own server.

use serde_json::{Value, json};

use crate::max::binary::{self, Packing, Wrapped};
use crate::max::frame::{Cmd, Dialect, Frame, Received, Wire};
use crate::max::opcode::Opcode;

/// The answer of `api.oneme.ru` to INIT: LZ4 of what does not shrink, 200 bytes in 202.
pub(super) fn init_answer_of_max() -> Vec<u8> {
    let mut bytes = vec![
        0x0a, // ver 10
        0x01, // cmd: answer
        0x00, 0x00, // seq 0
        0x00, 0x06, // opcode 6, SESSION_INIT
        0x01, // flags: LZ4, the raw body is at most 1 time as long
        0x00, 0x00, 0xca, // length 202
        0xf0, 0xb9, // LZ4: literals only, 15 + 185 = 200 of them
        0x85, // a map of 5
    ];
    bytes.push(0xad); // text of 13
    bytes.extend(b"web-pwa-promo");
    bytes.push(0xc3); // true
    bytes.push(0xb2); // text of 18
    bytes.extend(b"phone-auth-enabled");
    bytes.push(0xc3); // true
    bytes.push(0xa8); // text of 8
    bytes.extend(b"location");
    bytes.push(0xa2); // text of 2
    bytes.extend(b"RU");
    bytes.push(0xa4); // text of 4
    bytes.extend(b"lang");
    bytes.push(0xc3); // true
    bytes.push(0xb0); // text of 16
    bytes.extend(b"reg-country-code");
    bytes.extend([0xdc, 0x00, 0x2a]); // a list of 42
    for country in COUNTRIES {
        bytes.push(0xa2); // text of 2
        bytes.extend(country.as_bytes());
    }
    bytes
}

const COUNTRIES: [&str; 42] = [
    "AZ", "AM", "KZ", "KG", "MD", "TJ", "UZ", "GE", "TH", "TR", "TM", "AE", "LA", "MY", "ID", "CU", "KH", "VN", "AF",
    "BO", "CD", "CG", "CO", "GD", "GM", "IN", "IQ", "KN", "KW", "LB", "MM", "NI", "PK", "PW", "QA", "SA", "VE", "TZ",
    "EG", "CN", "ZA", "BR",
];

fn init_answer_payload() -> Value {
    json!({
        "web-pwa-promo": true,
        "phone-auth-enabled": true,
        "location": "RU",
        "lang": true,
        "reg-country-code": COUNTRIES.to_vec(),
    })
}

/// GET_QR without a body, as the web client and max-cli send it.
pub(super) const GET_QR_NOTHING: [u8; 10] = [
    0x0a, 0x00, // ver 10, request
    0x00, 0x01, // seq 1
    0x01, 0x20, // opcode 288
    0x00, 0x00, 0x00, 0x00, // plain, length 0
];

/// GET_QR with an empty map, as PyMax sends it.
pub(super) const GET_QR_EMPTY_MAP: [u8; 11] = [
    0x0a, 0x00, // ver 10, request
    0x00, 0x01, // seq 1
    0x01, 0x20, // opcode 288
    0x00, 0x00, 0x00, 0x01, // plain, length 1
    0x80, // a map of 0
];

/// What PyMax 2.5.0 put on the wire.
pub(super) const PING_REQUEST: [u8; 24] = [
    0x0a, 0x00, // ver 10, request
    0x00, 0x02, // seq 2
    0x00, 0x01, // opcode 1
    0x00, 0x00, 0x00, 0x0e, // plain, length 14
    0x81, // a map of 1
    0xab, b'i', b'n', b't', b'e', b'r', b'a', b'c', b't', b'i', b'v', b'e', // text of 11
    0xc3, // true
];

pub(super) const PING_ANSWER: [u8; 10] = [
    0x0a, 0x01, // ver 10, answer
    0x00, 0x02, // seq 2
    0x00, 0x01, // opcode 1
    0x00, 0x00, 0x00, 0x00, // plain, length 0
];

const LINK: &str = "https://max.ru/:auth/3ab77df8-fc3c-4041-ba90-f1447a0e040b";
const TRACK: &str = "3ab77df8-fc3c-4041-ba90-f1447a0e040b";

/// The answer to GET_QR, plain, with plain integers, the keys in MAX's order.
pub(super) fn get_qr_answer() -> Vec<u8> {
    let mut bytes = vec![
        0x0a, 0x01, // ver 10, answer
        0x00, 0x01, // seq 1
        0x01, 0x20, // opcode 288
        0x00, 0x00, 0x00, 0xa0, // plain, length 160
        0x85, // a map of 5
    ];
    bytes.push(0xa6); // text of 6
    bytes.extend(b"qrLink");
    bytes.extend([0xd9, 57]); // text of 57
    bytes.extend(LINK.as_bytes());
    bytes.push(0xa7); // text of 7
    bytes.extend(b"trackId");
    bytes.extend([0xd9, 36]); // text of 36
    bytes.extend(TRACK.as_bytes());
    bytes.push(0xaf); // text of 15
    bytes.extend(b"pollingInterval");
    bytes.extend([0xcd, 0x13, 0x88]); // uint16 5000
    bytes.push(0xa3); // text of 3
    bytes.extend(b"ttl");
    bytes.extend([0xce, 0x00, 0x01, 0xd4, 0xba]); // uint32 119994
    bytes.push(0xa9); // text of 9
    bytes.extend(b"expiresAt");
    bytes.extend([0xcf, 0x00, 0x00, 0x01, 0xa0, 0x25, 0x5b, 0xe9, 0xd2]); // uint64 1787333175762
    bytes
}

fn get_qr_payload() -> Value {
    json!({
        "qrLink": LINK,
        "trackId": TRACK,
        "pollingInterval": 5000,
        "ttl": 119_994,
        "expiresAt": 1_787_333_175_762_i64,
    })
}

fn assert_reads(bytes: &[u8], cmd: Cmd, seq: u16, opcode: Opcode, payload: Option<Value>) -> Frame {
    let frame = Dialect::Binary.decode(Received::Binary(bytes)).unwrap();
    assert!(frame == Frame { cmd, seq, opcode, payload });
    frame
}

fn assert_reads_and_writes(bytes: &[u8], cmd: Cmd, seq: u16, opcode: Opcode, payload: Option<Value>) {
    let frame = assert_reads(bytes, cmd, seq, opcode, payload);
    assert_eq!(binary::encode(&frame, Packing::PLAIN).unwrap(), bytes);
}

#[test]
fn frames_without_a_choice_are_written_as_they_were_read() {
    assert_reads_and_writes(&GET_QR_NOTHING, Cmd::Request, 1, Opcode::GET_QR, None);
    assert_reads_and_writes(&GET_QR_EMPTY_MAP, Cmd::Request, 1, Opcode::GET_QR, Some(json!({})));
    assert_reads_and_writes(&PING_REQUEST, Cmd::Request, 2, Opcode::PING, Some(json!({ "interactive": true })));
    assert_reads_and_writes(&PING_ANSWER, Cmd::Answer, 2, Opcode::PING, None);
}

#[test]
fn the_capture_of_the_real_server_is_understood() {
    let bytes = init_answer_of_max();
    assert_eq!(bytes.len(), 212);
    let frame = assert_reads(&bytes, Cmd::Answer, 0, Opcode::SESSION_INIT, Some(init_answer_payload()));

    // Maps here are kept sorted, so the bytes differ and the meaning does not.
    let ours = binary::encode(&frame, Packing::LIKE_MAX).unwrap();
    assert_ne!(ours[6], 0, "200 bytes are compressed, whatever comes of it");
    assert!(binary::decode(&ours).unwrap() == frame);
}

#[test]
fn a_code_is_read_and_keeps_its_integer_widths() {
    let bytes = get_qr_answer();
    let frame = assert_reads(&bytes, Cmd::Answer, 1, Opcode::GET_QR, Some(get_qr_payload()));
    // Same fields in another order: as long as the original.
    assert_eq!(binary::encode(&frame, Packing::PLAIN).unwrap().len(), bytes.len());
}

#[test]
fn every_packing_says_the_same() {
    let frame = Frame::answer(1, Opcode::GET_QR, Some(get_qr_payload()));
    for wrapped in [Wrapped::Nothing, Wrapped::Long, Wrapped::Every] {
        for compress_from in [None, Some(0), Some(32)] {
            let bytes = binary::encode(&frame, Packing { compress_from, wrapped }).unwrap();
            assert!(binary::decode(&bytes).unwrap() == frame, "{wrapped:?} {compress_from:?}");
        }
    }
}

#[test]
fn only_long_integers_are_wrapped_as_max_wraps_them() {
    let frame = Frame::answer(0, Opcode::PING, Some(json!([5000, 1_758_000_000_000_i64, 4_294_967_295_u32])));
    let bytes = binary::encode(&frame, Packing { compress_from: None, wrapped: Wrapped::Long }).unwrap();
    let mut body = vec![0x93, 0xcd, 0x13, 0x88]; // a list of 3, uint16 5000
    body.extend([0xc7, 0x09, 0x01, 0xcf]); // ext of 9 bytes, type 1, uint64
    body.extend(1_758_000_000_000_u64.to_be_bytes());
    body.extend([0xce, 0xff, 0xff, 0xff, 0xff]); // uint32
    assert_eq!(&bytes[binary::HEADER_BYTES..], body);
}

#[test]
fn the_json_dialect_writes_what_clients_write() {
    let Wire::Text(text) = Dialect::Json.encode(&Frame::request(1, Opcode::GET_QR, None)).unwrap() else { panic!() };
    assert_eq!(text, r#"{"ver":11,"cmd":0,"seq":1,"opcode":288,"payload":{}}"#);
    let Wire::Text(text) = Dialect::Json.encode(&Frame::answer(2, Opcode::PING, None)).unwrap() else { panic!() };
    assert_eq!(text, r#"{"ver":11,"cmd":1,"seq":2,"opcode":1,"payload":null}"#);
}
