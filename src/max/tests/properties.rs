//! What must hold for any payload and for any bytes.

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use serde_json::Value;

use super::golden;
use crate::max::binary::{self, Packing, Wrapped};
use crate::max::frame::{Cmd, Dialect, Frame, Received, Wire};
use crate::max::opcode::Opcode;

fn payloads() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (-300_i64..300).prop_map(Value::from),
        // Eighths are exact in text as in bits.
        any::<i32>().prop_map(|eighths| Value::from(f64::from(eighths) / 8.0)),
        any::<String>().prop_map(Value::from),
        "[a-z]{0,80}".prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 64, 8, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..8).prop_map(Value::from),
            btree_map("[a-zA-Z]{0,8}", inner, 0..8).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn frames() -> impl Strategy<Value = Frame> {
    let cmds = prop_oneof![Just(Cmd::Request), Just(Cmd::Answer), Just(Cmd::Event), Just(Cmd::Error)];
    (cmds, any::<u16>(), any::<u16>(), payloads()).prop_map(|(cmd, seq, opcode, payload)| Frame {
        cmd,
        seq,
        opcode: Opcode(opcode),
        payload: Some(payload).filter(|payload| !payload.is_null()),
    })
}

fn packings() -> impl Strategy<Value = Packing> {
    let wrapped = prop_oneof![Just(Wrapped::Nothing), Just(Wrapped::Long), Just(Wrapped::Every)];
    (prop_oneof![Just(None), Just(Some(0)), Just(Some(32))], wrapped)
        .prop_map(|(compress_from, wrapped)| Packing { compress_from, wrapped })
}

fn golden_frames() -> Vec<Vec<u8>> {
    vec![
        golden::init_answer_of_max(),
        golden::get_qr_answer(),
        golden::GET_QR_NOTHING.to_vec(),
        golden::GET_QR_EMPTY_MAP.to_vec(),
        golden::PING_REQUEST.to_vec(),
        golden::PING_ANSWER.to_vec(),
    ]
}

proptest! {
    #[test]
    fn binary_frames_come_back_as_they_went(frame in frames(), packing in packings()) {
        let bytes = binary::encode(&frame, packing).unwrap();
        prop_assert!(binary::decode(&bytes).unwrap() == frame);
    }

    #[test]
    fn json_frames_come_back_as_they_went(mut frame in frames()) {
        let Wire::Text(text) = Dialect::Json.encode(&frame).unwrap() else { panic!("text expected") };
        if frame.cmd == Cmd::Request && frame.payload.is_none() {
            frame.payload = Some(Value::Object(serde_json::Map::new()));
        }
        prop_assert!(Dialect::Json.decode(Received::Text(&text)).unwrap() == frame);
    }

    #[test]
    fn any_bytes_are_a_frame_or_an_error(bytes in vec(any::<u8>(), 0..300)) {
        let _ = binary::decode(&bytes);
    }

    /// A right header, so that the body is reached.
    #[test]
    fn any_body_is_a_payload_or_an_error(flags in any::<u8>(), body in vec(any::<u8>(), 0..300)) {
        let mut bytes = vec![0x0a, 0x01, 0x00, 0x00, 0x00, 0x06, flags, 0x00];
        bytes.extend(u16::try_from(body.len()).unwrap().to_be_bytes());
        bytes.extend(body);
        let _ = binary::decode(&bytes);
    }

    #[test]
    fn any_text_is_a_frame_or_an_error(text in any::<String>(), payload in "[\\[\\]{}:,\"0-9a-z.eE+-]{0,100}") {
        let _ = Dialect::Json.decode(Received::Text(&text));
        let framed = format!(r#"{{"ver":11,"cmd":1,"seq":0,"opcode":1,"payload":{payload}}}"#);
        let _ = Dialect::Json.decode(Received::Text(&framed));
    }

    #[test]
    fn broken_golden_frames_are_frames_or_errors(which in 0..6_usize, at in any::<usize>(), bit in 0..8_u8) {
        let mut bytes = golden_frames().swap_remove(which);
        let at = at % bytes.len();
        bytes[at] ^= 1 << bit;
        let _ = binary::decode(&bytes);
    }
}

#[test]
fn truncated_golden_frames_are_errors() {
    for bytes in golden_frames() {
        for length in 0..bytes.len() {
            assert!(binary::decode(&bytes[..length]).is_err());
        }
    }
}
