//! Both sides of each app, as they are printed, and what is refused.

use super::*;
use crate::config::{Config, preset_names};

fn printed(app: &str, domain: &str, issuer: &str) -> String {
    said(app, domain, issuer).unwrap()
}

fn said(app: &str, domain: &str, issuer: &str) -> Result<String, String> {
    let rng = Rng::seeded(1);
    let options = AppOptions { domain, issuer, rng: &rng };
    both_sides(app, &options).unwrap().map_err(|refused| refused.to_string())
}

/// The half that is for us.
fn ours_of(text: &str) -> String {
    let lines = text.lines().skip_while(|line| *line != "[[oidc.clients]]");
    lines.take_while(|line| !line.is_empty()).map(|line| format!("{line}\n")).collect()
}

#[test]
fn every_preset_is_an_app_and_every_app_a_preset() {
    assert_eq!(apps(), preset_names());
    for app in apps() {
        assert_eq!(known(app), Some(app));
        assert!(client_id(app).is_some(), "{app}");
    }
    assert_eq!((known("iis"), client_id("iis")), (None, None));
    let rng = Rng::seeded(1);
    assert!(both_sides("iis", &AppOptions { domain: "a.ru", issuer: "https://b.ru", rng: &rng }).is_none());
}

#[test]
fn each_page_has_what_is_printed() {
    for (name, page) in PAGES {
        assert!(host(page).is_some_and(|host| host.ends_with(".example.ru")), "{name}");
        assert!(!title(page).is_empty() && !title(page).contains('#'), "{name}");
        assert!(ours(page).is_some_and(|block| block.text.contains(HASH)), "{name}");
        let theirs: Vec<_> = blocks(page).filter(|block| block.title.is_some()).collect();
        assert!(theirs.iter().any(|block| block.text.contains(SECRET)), "{name}: the app learns its secret");
        assert!(page.contains("trap.**"), "{name}");
        assert_eq!(page.matches("```").count() % 2, 0, "{name}: every fence is closed");
    }
}

#[test]
fn each_app_prints_what_is_kept() {
    for app in apps() {
        let text = printed(app, "app.company.ru", "https://login.company.ru");
        crate::snapshot::assert_snapshot(&format!("setup/snapshots/{app}.txt"), &text);
    }
}

#[test]
fn nothing_of_the_page_is_left_in_what_is_printed() {
    for app in apps() {
        let text = printed(app, "app.company.ru", "https://login.company.ru");
        for left in ["example.ru", HASH, SECRET, OTHER_SECRET, "```", "**"] {
            assert!(!text.contains(left), "{app} has {left}:\n{text}");
        }
    }
}

#[test]
fn our_half_is_one_that_the_configuration_takes() {
    for app in apps() {
        for domain in ["app.company.ru", "app.company.ru:8443", "localhost:3000"] {
            let text = printed(app, domain, "https://login.company.ru");
            let half = ours_of(&text);
            let config = Config::of(&format!("[groups]\nadmins = [\"max:1\"]\n{half}"));
            assert_eq!(config.oidc.clients[0].id, client_id(app).unwrap(), "{half}");
            // The secret on the other side is the one whose hash is here.
            let hash = half.split("secret_hash = \"").nth(1).unwrap().split('"').next().unwrap();
            let rng = Rng::seeded(1);
            let secret = id::encode(&rng.bytes::<32>());
            assert_eq!(hash, secret_hash(&secret));
            assert!(text.replace(&half, "").contains(&secret), "{app}");
            assert!(!half.contains(&secret), "{app}: the secret itself is not ours to keep");
        }
    }
}

#[test]
fn an_address_that_looks_like_the_pages_own_is_put_in_once() {
    let text = printed("grafana", "grafana.example.ru.company.ru", "https://example.ru.company.ru/id");
    assert!(text.contains("auth_url = https://example.ru.company.ru/id/oauth2/authorize\n"), "{text}");
    assert!(text.contains("root_url = https://grafana.example.ru.company.ru\n"), "{text}");
    let turned = printed("grafana", "example.ru", "https://grafana.example.ru");
    assert!(turned.contains("root_url = https://example.ru\n"), "{turned}");
    assert!(turned.contains("token_url = https://grafana.example.ru/oauth2/token\n"), "{turned}");
    assert!(turned.contains("redirect_uri=https%3A%2F%2Fexample.ru%2Flogin\n"), "{turned}");
}

#[test]
fn a_port_stays_and_an_app_on_this_machine_is_plain() {
    let there = printed("grafana", "app.company.ru:8443", "https://company.ru");
    assert!(there.contains("[\"https://app.company.ru:8443/login/generic_oauth\"]"), "{there}");
    assert!(there.contains("redirect_uri=https%3A%2F%2Fapp.company.ru%3A8443%2Flogin\n"), "{there}");
    let usual = printed("grafana", "app.company.ru:443", "https://company.ru");
    assert!(usual.contains("[\"https://app.company.ru/login/generic_oauth\"]"), "{usual}");
    for here in ["localhost:3000", "127.0.0.1:3000"] {
        let text = printed("grafana", here, "http://127.0.0.1:3001");
        assert!(text.contains(&format!("[\"http://{here}/login/generic_oauth\"]")), "{text}");
        assert!(text.contains("token_url = http://127.0.0.1:3001/oauth2/token\n"), "{text}");
    }
}

#[test]
fn what_is_refused_is_said_with_its_option() {
    let first = |domain: &str, issuer: &str| {
        let refused = said("grafana", domain, issuer).err()?;
        Some(refused.split(' ').next().unwrap_or_default().to_owned())
    };
    let fine = "https://login.company.ru";
    for domain in ["", "a b", "a.ru/x", "https://a.ru", "a.ru:x", "a.ru:99999", ":80", "a\nb", "a\"b", "a_b", "a..b:"] {
        assert_eq!(first(domain, fine).as_deref(), Some("--domain"), "{domain}");
    }
    for issuer in
        ["", "login.company.ru", "ftp://a.ru", "https://", "https://a.ru/", "https://a.ru/?x", "https://a\n.ru"]
    {
        assert_eq!(first("app.company.ru", issuer).as_deref(), Some("--issuer"), "{issuer}");
    }
    let clash = said("oauth2-proxy", "login.company.ru", fine).unwrap_err();
    assert!(clash.contains("/oauth2/") && clash.contains("a host name of its own"), "{clash}");
    assert!(said("grafana", "login.company.ru", fine).is_ok(), "others may be beside us");
}
