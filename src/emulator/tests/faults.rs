//! Every fault, what it does on the wire, and that the session machine lives through it.

use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite;

use super::{DIALECTS, Run, SETTINGS, connect, emulator, phone, quick, script, stat};
use crate::max::frame::Dialect;
use crate::max::opcode::Opcode;
use crate::max::session::{End, Logout, Lost};

/// A sign-in under a script of one fault.
async fn under(fault: Value, dialect: Dialect) -> (End, u64, u64) {
    let emulator = emulator(quick());
    script(&emulator, json!([fault])).await;
    let mut run = Run::new(&emulator, SETTINGS);
    let end = run.over(&emulator, dialect).await;
    if let Some(token) = run.session.take_token() {
        assert_eq!(
            Run::rescue(&emulator, token).over(&emulator, dialect).await,
            End::Stopped { logout: Logout::Confirmed }
        );
    }
    assert_eq!(stat(&emulator, "faults").await, 0, "the fault was applied");
    (end, stat(&emulator, "logins").await, stat(&emulator, "logouts").await)
}

fn timeout_of(opcode: Opcode) -> End {
    End::Lost { why: Lost::AnswerTimeout { opcode } }
}

#[tokio::test(start_paused = true)]
async fn harmless_faults_are_survived() {
    for dialect in DIALECTS {
        for on in [json!(6), json!(288), json!(289), json!(291), json!(20), json!("any")] {
            for harm in ["push-collide", "duplicate"] {
                let (end, logins, logouts) = under(json!({"on":on,"do":harm}), dialect).await;
                assert!(matches!(end, End::SignedIn { logout: Logout::Confirmed, .. }), "{harm} on {on}: {end:?}");
                assert_eq!((logins, logouts), (1, 1));
            }
            let (end, ..) = under(json!({"on":on,"do":"delay","ms":9000}), dialect).await;
            assert!(matches!(end, End::SignedIn { .. }), "delay on {on}: {end:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_ends_a_connection_before_the_login() {
    for dialect in DIALECTS {
        for opcode in [Opcode::SESSION_INIT, Opcode::GET_QR, Opcode::GET_QR_STATUS] {
            for (harm, expected) in [
                (json!({"on":opcode.0,"do":"cut"}), End::Lost { why: Lost::Closed }),
                (json!({"on":opcode.0,"do":"cut","when":"instead"}), End::Lost { why: Lost::Closed }),
                (json!({"on":opcode.0,"do":"cut","when":"after"}), End::Lost { why: Lost::Closed }),
                (json!({"on":opcode.0,"do":"garbage"}), End::Lost { why: Lost::Closed }),
                (json!({"on":opcode.0,"do":"half-open"}), timeout_of(opcode)),
                (json!({"on":opcode.0,"do":"wrong-opcode"}), timeout_of(opcode)),
            ] {
                let (end, logins, _) = under(harm.clone(), dialect).await;
                assert_eq!((end, logins), (expected, 0), "{harm}");
            }
            let (end, ..) = under(json!({"on":opcode.0,"do":"error","code":"login.blocked"}), dialect).await;
            assert!(matches!(end, End::Refused { ref refusal, .. } if refusal.code == "login.blocked"), "{end:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_happens_around_the_login() {
    for dialect in DIALECTS {
        // Late beyond patience: the LOGOUT that was sent behind it ends it all the same.
        let (end, logins, logouts) = under(json!({"on":291,"do":"delay","ms":12_000}), dialect).await;
        assert_eq!((end, logins, logouts), (timeout_of(Opcode::LOGIN_BY_QR), 1, 1));

        // An answer that cannot be told to be one.
        let (end, logins, logouts) = under(json!({"on":291,"do":"wrong-opcode"}), dialect).await;
        assert_eq!((end, logins, logouts), (timeout_of(Opcode::LOGIN_BY_QR), 1, 1));

        // The login is open, its answer lost with the connection: nobody can end it, and the counters say so.
        let (end, logins, logouts) = under(json!({"on":291,"do":"cut","when":"instead"}), dialect).await;
        assert_eq!((end, logins, logouts), (End::Lost { why: Lost::Closed }, 1, 0));

        // Lost around LOGOUT: the person is known, the token is taken to another connection.
        for harm in [
            json!({"on":291,"do":"cut","when":"after"}),
            json!({"on":20,"do":"cut"}),
            json!({"on":20,"do":"cut","when":"instead"}),
            json!({"on":20,"do":"half-open"}),
            json!({"on":20,"do":"garbage"}),
            json!({"on":20,"do":"wrong-opcode"}),
        ] {
            let (end, logins, logouts) = under(harm.clone(), dialect).await;
            assert!(matches!(end, End::SignedIn { logout: Logout::Failed, .. }), "{harm}: {end:?}");
            assert_eq!((logins, logouts), (1, 1), "{harm}");
        }

        // MAX wants a LOGIN first.
        let (end, logins, logouts) = under(json!({"on":20,"do":"error","code":"proto.state"}), dialect).await;
        assert!(matches!(end, End::SignedIn { logout: Logout::Confirmed, .. }), "{end:?}");
        assert_eq!((logins, logouts), (1, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn faults_of_the_handshake() {
    let emulator = emulator(quick());
    script(
        &emulator,
        json!([
            {"on":"connect","do":"refuse"},
            {"on":"connect","do":"refuse","status":503},
            {"on":"connect","do":"delay","ms":3000},
            {"on":"connect","do":"cut"},
            {"on":"connect","do":"half-open"},
        ]),
    )
    .await;
    for status in [StatusCode::FORBIDDEN, StatusCode::SERVICE_UNAVAILABLE] {
        let Err(tungstenite::Error::Http(response)) = connect(&emulator).await else { panic!() };
        assert_eq!(response.status(), status);
    }
    let before = emulator.clock.monotonic();
    connect(&emulator).await.unwrap();
    assert_eq!(emulator.clock.monotonic() - before, Duration::from_secs(3));
    let end = Run::new(&emulator, SETTINGS).over(&emulator, Dialect::Json).await;
    assert_eq!(end, End::Lost { why: Lost::Closed });
    let end = Run::new(&emulator, SETTINGS).over(&emulator, Dialect::Json).await;
    assert_eq!(end, timeout_of(Opcode::SESSION_INIT));
    let end = Run::new(&emulator, SETTINGS).over(&emulator, Dialect::Json).await;
    assert!(matches!(end, End::SignedIn { .. }));
    assert_eq!(stat(&emulator, "connections").await, 0);
}

#[tokio::test(start_paused = true)]
async fn faults_skip_repeat_and_are_replaced() {
    let emulator = emulator(quick());
    script(&emulator, json!([{"on":289,"do":"error","code":"service.timeout","skip":1,"times":2}])).await;
    let end = Run::new(&emulator, SETTINGS).over(&emulator, Dialect::Binary).await;
    assert!(matches!(end, End::SignedIn { .. }));
    assert_eq!(stat(&emulator, "faults").await, 0);

    script(&emulator, json!([{"on":"any","do":"cut","times":1000}])).await;
    assert_eq!(stat(&emulator, "faults").await, 1);
    script(&emulator, json!([])).await;
    assert_eq!(stat(&emulator, "faults").await, 0);
    script(&emulator, json!([{"on":"any","do":"cut"}])).await;
    assert_eq!(phone(&emulator, "POST", "/phone/fault", r#"{"clear":true}"#).await.0, StatusCode::NO_CONTENT);
    assert_eq!(stat(&emulator, "faults").await, 0);
}

#[tokio::test]
async fn a_bad_script_is_refused_by_the_name_of_its_field() {
    let emulator = emulator(quick());
    for (script, field) in [
        (r#"{"faults":[{"on":20,"do":"cut","wen":"after"}]}"#, "wen"),
        (r#"{"fault":[]}"#, "fault"),
        (r#"{"faults":[{"do":"cut"}]}"#, "on"),
        (r#"{"faults":[{"on":20,"do":"explode"}]}"#, "explode"),
        (r#"{"faults":[{"on":20,"do":"delay"}]}"#, "faults[0].ms"),
        (r#"{"faults":[{"on":20,"do":"delay","ms":999999999}]}"#, "faults[0].ms"),
        (r#"{"faults":[{"on":20,"do":"cut"},{"on":20,"do":"cut","ms":5}]}"#, "faults[1].ms"),
        (r#"{"faults":[{"on":20,"do":"cut","times":0}]}"#, "faults[0].times"),
        (r#"{"faults":[{"on":"connect","do":"garbage"}]}"#, "faults[0].do"),
        (r#"{"faults":[{"on":20,"do":"refuse"}]}"#, "faults[0].do"),
        (r#"{"faults":[{"on":"connect","do":"refuse","status":200}]}"#, "faults[0].status"),
        ("[]", "object"),
        ("{nonsense", "line 1"),
    ] {
        let (status, problem) = phone(&emulator, "POST", "/phone/fault", script).await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
        assert!(problem["detail"].as_str().unwrap().contains(field), "{script}: {problem}");
    }
    let many = json!({ "faults": vec![json!({"on":20,"do":"cut"}); 65] }).to_string();
    assert_eq!(phone(&emulator, "POST", "/phone/fault", &many).await.0, StatusCode::BAD_REQUEST);
}
