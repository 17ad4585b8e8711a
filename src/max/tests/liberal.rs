//! What else is accepted, and what is refused with a text that says what and where.

use serde_json::{Value, json};

use crate::max::binary;
use crate::max::frame::{Cmd, DecodeError, Dialect, Frame, Head, MAX_FRAME_BYTES, Received};
use crate::max::opcode::Opcode;

fn json_frame(text: &str) -> Result<Frame, DecodeError> {
    Dialect::Json.decode(Received::Text(text))
}

/// A plain answer to PING with this body.
fn with_body(flags: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap();
    let mut bytes = vec![0x0a, 0x01, 0x00, 0x00, 0x00, 0x01];
    bytes.extend((u32::from(flags) << 24 | length).to_be_bytes());
    bytes.extend(body);
    bytes
}

fn body(bytes: &[u8]) -> Result<Option<Value>, DecodeError> {
    binary::decode(&with_body(0, bytes)).map(|mut frame| frame.payload.take())
}

fn text_of(error: Result<Option<Value>, DecodeError>) -> String {
    error.expect_err("this must be refused").to_string()
}

#[test]
fn json_payloads_may_be_empty_null_or_missing() {
    let payload = |text| json_frame(text).unwrap().payload.take();
    assert_eq!(payload(r#"{"ver":11,"cmd":0,"seq":1,"opcode":288,"payload":{}}"#), Some(json!({})));
    assert_eq!(payload(r#"{"seq": 1, "cmd": 0, "opcode": 288, "ver": 11, "payload": null}"#), None);
    assert_eq!(payload(r#"{"ver": 11, "cmd": 0, "seq": 1, "opcode": 288}"#), None);
}

#[test]
fn json_keys_may_be_added() {
    let frame =
        json_frame(r#"{"ver":11,"cmd":2,"seq":9,"opcode":9999,"payload":{"a":1},"trace":[{}],"x":"y"}"#).unwrap();
    assert_eq!((frame.cmd, frame.seq, frame.opcode), (Cmd::Event, 9, Opcode(9999)));
}

#[test]
fn json_integers_of_64_bits_stay_exact() {
    let mut frame =
        json_frame(r#"{"ver":11,"cmd":1,"seq":0,"opcode":1,"payload":[9007199254740993,-9223372036854775808,18446744073709551615]}"#)
            .unwrap();
    assert_eq!(frame.payload.take(), Some(json!([9_007_199_254_740_993_i64, i64::MIN, u64::MAX])));
}

#[test]
fn json_refusals_say_where_and_never_what_was_there() {
    let error = json_frame("{\"ver\":11,\"cmd\":1,\"seq\":\"An_secret\",\"opcode\":1}").unwrap_err();
    assert!(error.to_string().contains("line 1, column"), "{error}");
    assert!(!format!("{error} {error:?}").contains("secret"));

    assert!(matches!(
        json_frame(r#"{"ver":12,"cmd":1,"seq":0,"opcode":1}"#),
        Err(DecodeError::Version { got: 12, .. })
    ));
    assert!(matches!(json_frame(r#"{"ver":11,"cmd":7,"seq":0,"opcode":1}"#), Err(DecodeError::Cmd(7))));
    assert!(matches!(json_frame(&" ".repeat(MAX_FRAME_BYTES + 1)), Err(DecodeError::TooLarge { .. })));
    assert!(matches!(json_frame(&",".repeat(600_000)), Err(DecodeError::TooManyValues)));
}

#[test]
fn nesting_is_bounded_in_both_dialects() {
    let nested = |levels: usize| {
        let (open, close) = ("[".repeat(levels), "]".repeat(levels));
        json_frame(&format!(r#"{{"ver":11,"cmd":1,"seq":0,"opcode":1,"payload":{open}{close}}}"#))
    };
    assert!(nested(64).is_ok());
    assert!(matches!(nested(65), Err(DecodeError::TooDeep)));

    let packed = |levels: usize| body(&[vec![0x91; levels - 1], vec![0x90]].concat());
    assert!(packed(64).is_ok());
    assert!(matches!(packed(65), Err(DecodeError::TooDeep)));
    assert!(matches!(packed(100_000), Err(DecodeError::TooDeep)));
}

#[test]
fn wrapped_integers_are_unwrapped_anywhere() {
    let mut bytes = vec![0x82]; // a map of 2
    bytes.extend([0xd4, 0x01, 0x07]); // key: ext of 1 byte, type 1, 7
    bytes.extend([0xc7, 0x09, 0x01, 0xd3]); // ext of 9 bytes, type 1, int64
    bytes.extend((-5_i64).to_be_bytes());
    bytes.extend([0xa1, b'n']);
    bytes.extend([0x92, 0xc7, 0x03, 0x01, 0xcd, 0x13, 0x88, 0xc0]); // a list: ext 1 of uint16 5000, nil
    assert_eq!(body(&bytes).unwrap(), Some(json!({ "7": -5, "n": [5000, null] })));
}

#[test]
fn what_json_cannot_say_gets_a_fixed_meaning() {
    let mut bytes = vec![0x95]; // a list of 5
    bytes.extend([0xc4, 0x02, 0xab, 0x01]); // 2 bytes
    bytes.extend([0xd4, 0x05, 0x00]); // ext type 5
    bytes.extend([0xd6, 0xff, 0x00, 0x00, 0x00, 0x00]); // a timestamp
    bytes.extend([0xa1, 0xff]); // text that is not UTF-8
    bytes.extend([0xcb, 0x7f, 0xf8, 0, 0, 0, 0, 0, 0]); // NaN
    assert_eq!(body(&bytes).unwrap(), Some(json!(["ab01", null, null, "\u{fffd}", null])));
    assert_eq!(body(&[0xc0]).unwrap(), None, "nil is no payload");
}

#[test]
fn binary_refusals_say_what_and_where() {
    assert_eq!(
        text_of(body(&[0x92, 0x01])),
        "not MessagePack: a list or map longer than the body at byte 1 of the body"
    );
    assert_eq!(text_of(body(&[0xa5, b'a'])), "not MessagePack: an early end at byte 2 of the body");
    assert_eq!(text_of(body(&[0x01, 0x01])), "not MessagePack: more bytes after the value at byte 1 of the body");
    assert_eq!(text_of(body(&[0xc1])), "not MessagePack: the reserved marker 0xc1 at byte 0 of the body");
    assert!(matches!(body(&[0x81, 0xc3, 0x01]), Err(DecodeError::Key)));

    let frame = |bytes: &[u8]| binary::decode(bytes).map(|mut frame| frame.payload.take());
    assert_eq!(text_of(frame(&[0x0a, 0x01])), "2 bytes, a header alone has 10");
    assert!(matches!(frame(&[0x0b, 1, 0, 0, 0, 1, 0, 0, 0, 0]), Err(DecodeError::Version { got: 11, .. })));
    assert!(matches!(frame(&[0x0a, 1, 0, 0, 0, 1, 0, 0, 0, 9]), Err(DecodeError::Length { declared: 9, present: 0 })));
    assert!(matches!(frame(&with_body(0xff, &[1])), Err(DecodeError::Zstandard)));
    assert!(text_of(frame(&with_body(0x01, &[0xf0]))).contains("LZ4 block of 1 bytes"));
    assert!(matches!(
        Dialect::Binary.decode(Received::Text("{}")),
        Err(DecodeError::Dialect { expected: "binary", got: "text" })
    ));
}

/// Each kind of value as long as it says: what follows it is read, too.
#[test]
fn every_marker_is_passed_over_by_its_length() {
    let text = |length: usize| vec![b'a'; length];
    let letters = |length: usize| json!("a".repeat(length));
    let pairs = |count: usize| [0xa1, b'k', 0x05].repeat(count);
    for (name, head, content, expected) in [
        ("uint 8", &[0xcc][..], vec![200], json!(200)),
        ("uint 16", &[0xcd], vec![1, 0], json!(256)),
        ("uint 32", &[0xce], vec![0, 1, 0, 0], json!(65_536)),
        ("uint 64", &[0xcf], vec![0, 0, 0, 1, 0, 0, 0, 0], json!(4_294_967_296_u64)),
        ("int 8", &[0xd0], vec![0x80], json!(-128)),
        ("int 16", &[0xd1], vec![0x80, 0], json!(-32_768)),
        ("int 32", &[0xd2], vec![0x80, 0, 0, 0], json!(i32::MIN)),
        ("int 64", &[0xd3], vec![0x80, 0, 0, 0, 0, 0, 0, 0], json!(i64::MIN)),
        ("float 32", &[0xca], vec![0x3f, 0x80, 0, 0], json!(1.0)),
        ("float 64", &[0xcb], vec![0x3f, 0xf0, 0, 0, 0, 0, 0, 0], json!(1.0)),
        ("true", &[0xc3], vec![], json!(true)),
        ("false", &[0xc2], vec![], json!(false)),
        ("fixstr", &[0xbf], text(31), letters(31)),
        ("str 8", &[0xd9, 2], text(2), letters(2)),
        ("str 16", &[0xda, 1, 2], text(258), letters(258)),
        ("str 32", &[0xdb, 0, 0, 1, 2], text(258), letters(258)),
        ("bin 8", &[0xc4, 2], vec![0xab, 1], json!("ab01")),
        ("bin 16", &[0xc5, 0, 2], vec![0xab, 1], json!("ab01")),
        ("bin 32", &[0xc6, 0, 0, 0, 2], vec![0xab, 1], json!("ab01")),
        ("fixext 1", &[0xd4, 1], vec![7], json!(7)),
        ("fixext 2", &[0xd5, 1], vec![0xcc, 200], json!(200)),
        ("fixext 4", &[0xd6, 1], [&[0xa3][..], b"abc"].concat(), json!("abc")),
        ("fixext 8", &[0xd7, 1], [&[0xa7][..], &text(7)].concat(), letters(7)),
        ("fixext 16", &[0xd8, 1], [&[0xaf][..], &text(15)].concat(), letters(15)),
        ("ext 8", &[0xc7, 3, 1], vec![0xcd, 1, 0], json!(256)),
        ("ext 16", &[0xc8, 0, 3, 1], vec![0xcd, 1, 0], json!(256)),
        ("ext 32", &[0xc9, 0, 0, 0, 3, 1], vec![0xcd, 1, 0], json!(256)),
        ("array 16", &[0xdc, 0, 3], vec![5; 3], json!([5, 5, 5])),
        ("array 32", &[0xdd, 0, 0, 0, 3], vec![5; 3], json!([5, 5, 5])),
        ("fixmap", &[0x82], pairs(2), json!({ "k": 5 })),
        ("map 16", &[0xde, 0, 2], pairs(2), json!({ "k": 5 })),
        ("map 32", &[0xdf, 0, 0, 0, 2], pairs(2), json!({ "k": 5 })),
    ] {
        let whole = [&[0x92], head, &content, &[0x07]].concat();
        assert_eq!(body(&whole).unwrap(), Some(json!([expected, 7])), "{name}");
        let short = [&[0x92], head, &content].concat();
        assert!(body(&short).is_err(), "{name}, and nothing behind it");
        assert!(body(&short[..short.len() - 1]).is_err(), "{name}, cut");
    }
}

#[test]
fn keys_are_text_or_integers() {
    let float = [&[0x81, 0xcb, 0x3f, 0xf8, 0, 0, 0, 0, 0, 0][..], &[1]].concat();
    for bytes in [&[0x81, 0xc0, 1][..], &[0x81, 0x90, 1], &float] {
        assert!(matches!(body(bytes), Err(DecodeError::Key)), "{bytes:x?}");
    }
    assert_eq!(body(&[0x82, 0xff, 1, 0xa1, b'k', 2]).unwrap(), Some(json!({ "-1": 1, "k": 2 })));
}

/// At the limit all is read, one byte above it nothing is.
#[test]
fn the_limit_on_bytes_is_the_largest_frame() {
    let frame = r#"{"ver":11,"cmd":1,"seq":5,"opcode":19,"payload":{}}"#;
    let json = |bytes: usize| frame.to_owned() + &" ".repeat(bytes - frame.len());
    let binary = |bytes: usize| with_body(0, &vec![0xc1; bytes]);
    let head = Head { cmd: Cmd::Answer, seq: 5, opcode: Opcode(19) };
    assert!(json_frame(&json(MAX_FRAME_BYTES)).is_ok());
    assert!(matches!(json_frame(&json(MAX_FRAME_BYTES + 1)), Err(DecodeError::TooLarge { .. })));
    assert_eq!(Received::Text(&json(MAX_FRAME_BYTES)).head(), Some(head));
    assert_eq!(Received::Text(&json(MAX_FRAME_BYTES + 1)).head(), None);
    assert!(matches!(binary::decode(&binary(MAX_FRAME_BYTES)), Err(DecodeError::MessagePack { .. })));
    assert!(matches!(binary::decode(&binary(MAX_FRAME_BYTES + 1)), Err(DecodeError::TooLarge { .. })));
}

#[test]
fn small_frames_cannot_cost_much_memory() {
    // A list that promises 4 billion items, and a map that promises as many pairs.
    assert!(body(&[0xdd, 0xff, 0xff, 0xff, 0xff]).is_err());
    assert!(body(&[0xdf, 0xff, 0xff, 0xff, 0xff]).is_err());
    // As many one-byte values as fit into a frame.
    let mut values = vec![0xdd, 0x00, 0x3f, 0xff, 0x00];
    values.resize(5 + 0x003f_ff00, 0xc0);
    assert!(matches!(body(&values), Err(DecodeError::TooManyValues)));
    // Ext type 1 in ext type 1.
    assert!(matches!(body(&[0xc7, 0x03, 0x01, 0xd4, 0x01, 0x07]), Err(DecodeError::TooDeep)));
    // A block that unpacks to more than the limit, however many times its flags allow.
    let bomb = lz4_flex::block::compress(&vec![0; MAX_FRAME_BYTES + 1]);
    assert!(matches!(binary::decode(&with_body(0xfe, &bomb)), Err(DecodeError::Lz4 { .. })));
}
