//! A button on another site: the answer as a message, and a code that its backend redeems for who it is.

use super::request::origin_of;
use super::tests::{VERIFIER, answer, loose, payload, query, world_with};
use super::*;
use serde_json::{Map, Value};

const MORE: &str = r#"
    [[oidc.clients]]
    id = "native"
    auth = "none"
    redirect_uris = ["ru.example.app:/cb", "http://127.0.0.1/cb"]
    id_token_alg = "ES256"
"#;

#[tokio::test(start_paused = true)]
async fn an_answer_goes_to_the_page_that_opened_the_window_where_there_can_be_one() {
    let world = world_with(MORE);
    let Step::SignIn(request) = world.authorize(&query("&response_mode=web_message"), None).await else {
        panic!("no sign-in")
    };
    assert!(world.provider.question(&request, &world.flow).await.unwrap().unwrap().is_popup);
    let (signed_in, _) = world.signed_in(7).await;
    let step = world.provider.resume(&request, Some(&signed_in), &world.flow).await.unwrap();
    let Step::Reply(reply) = &step else { panic!("{step:?}") };
    assert_eq!((reply.mode, reply.origin().as_str()), (ResponseMode::WebMessage, "https://app.example.ru"));
    assert!(answer(&step, "code").is_some() && answer(&step, "state").is_some());
    let Step::SignIn(request) = world.authorize(&query(""), None).await else { panic!("no sign-in") };
    assert!(!world.provider.question(&request, &world.flow).await.unwrap().unwrap().is_popup);

    // Errors go there, too; an app that is no page of the web has nobody to tell.
    let refused = world.authorize(&query("&response_mode=web_message&prompt=none"), None).await;
    assert!(matches!(&refused, Step::Reply(reply) if reply.mode == ResponseMode::WebMessage), "{refused:?}");
    let native = query("&response_mode=web_message")
        .replace("client_id=app", "client_id=native")
        .replace("https%3A%2F%2Fapp.example.ru%2Fcb", "ru.example.app:/cb");
    assert_eq!(answer(&world.authorize(&native, None).await, "error").as_deref(), Some("invalid_request"));
    for (uri, origin) in [
        ("https://a.ru:8443/x?y", Some("https://a.ru:8443")),
        ("http://127.0.0.1:9/", Some("http://127.0.0.1:9")),
        ("ru.example.app:/cb", None),
        ("", None),
    ] {
        assert_eq!(origin_of(uri).as_deref(), origin, "{uri}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_backend_redeems_a_code_for_who_it_is() {
    let world = world_with("");
    let redeem = async |fields: &[(&str, &str)]| -> Result<Map<String, Value>, &'static str> {
        let fields: Map<String, Value> = fields.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        let text = Value::Object(fields).to_string();
        let params = Params::of_json(text.as_bytes()).unwrap();
        world.provider.identity(&params, None).await.map_err(|error| error.code.text())
    };
    let code = world.code().await;
    let (id, secret) = (("client_id", "app"), ("client_secret", "0123456789abcdef"));
    let (right, verifier) = (("code", code.as_str()), ("code_verifier", VERIFIER));
    for (wrong, why) in [
        (vec![id, ("client_secret", "another"), right, verifier], "invalid_client"),
        (vec![id, right, verifier], "invalid_client"),
        (vec![("client_id", "loose"), secret, right, verifier], "invalid_grant"),
        (vec![id, secret, right], "invalid_request"),
        (vec![id, secret, verifier], "invalid_request"),
        (vec![id, secret, right, ("code_verifier", &VERIFIER.replace('0', "1"))], "invalid_grant"),
        (vec![id, secret, ("code", "another"), verifier], "invalid_grant"),
    ] {
        assert_eq!(redeem(&wrong).await, Err(why), "{wrong:?}");
    }
    let who = redeem(&[id, secret, right, verifier]).await.unwrap();
    let signed = payload(&who["id_token"]);
    for name in ["sub", "name", "given_name", "phone_number", "groups", "auth_time", "sid"] {
        assert!(who.contains_key(name) && who[name] == signed[name], "{name}: {who:?} {signed}");
    }
    assert_eq!((signed["aud"].as_str(), signed["nonce"].as_str()), (Some("app"), Some("n")));
    assert!(signed.get("at_hash").is_none() && !who.contains_key("access_token"), "there is no access token");
    assert_eq!(redeem(&[id, secret, right, verifier]).await, Err("invalid_grant"), "once");
}

#[tokio::test(start_paused = true)]
async fn without_a_verifier_a_code_is_for_the_token_endpoint() {
    let world = world_with("");
    let (signed_in, _) = world.signed_in(7).await;
    let step = world.authorize(&loose(""), Some(&signed_in)).await;
    let code = answer(&step, "code").unwrap();
    let identity = async |verifier: &str| {
        let form = format!("client_id=loose&client_secret=0123456789abcdef&code={code}{verifier}");
        world.provider.identity(&Params::parse(form.as_bytes()), None).await.map_err(|error| error.code.text())
    };
    assert_eq!(identity("").await, Err("invalid_request"));
    assert_eq!(
        identity(&format!("&code_verifier={VERIFIER}")).await,
        Err("invalid_grant"),
        "anybody's code could be slipped in"
    );
}
