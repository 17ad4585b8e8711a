//! The table is whole: each code has a way out, names are told apart, both languages say the same.

use super::*;
use crate::snapshot::assert_snapshot;
use http::header::HeaderName;
use std::collections::BTreeSet;

fn headers(named: &[(&'static str, &str)]) -> HeaderMap {
    named.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect()
}

#[test]
fn every_code_has_a_way_out() {
    for &code in FindingCode::ALL {
        for layer in layers() {
            let found = fixes(code, layer, ProxyPosition::Unknown);
            assert!(!found.is_empty(), "{} at {}", code.name(), layer.name());
            assert!(found.iter().all(|fact| fact.fixes.contains(&code)));
        }
    }
}

#[test]
fn a_tier_gets_the_lines_that_are_for_it() {
    let ids = |position| -> Vec<&str> {
        fixes(FindingCode::ClientAddressLost, NGINX, position).iter().map(|fact| fact.id).collect()
    };
    assert_eq!(ids(ProxyPosition::Inner), ["client-inner"]);
    for other in [ProxyPosition::Outer, ProxyPosition::Both, ProxyPosition::Single, ProxyPosition::Unknown] {
        assert_eq!(ids(other), ["client"], "{other:?}");
    }
    let varnish = fixes(FindingCode::PostRefused, layer("varnish"), ProxyPosition::Unknown);
    assert!(varnish.iter().all(|fact| fact.is_advice()), "what is true of any");
}

#[test]
fn names_are_unique_and_what_is_referred_to_is_there() {
    let mut names = BTreeSet::new();
    for layer in layers() {
        assert!(names.insert(layer.name()), "{} twice", layer.name());
        assert_eq!(layer.engine().engine(), layer.engine(), "{}: a fork of a fork", layer.name());
        let mut ids = BTreeSet::new();
        for fact in layer.product().all_facts() {
            assert!(ids.insert(fact.id), "{}: {} twice", layer.name(), fact.id);
            assert!(!fact.fixes.is_empty(), "{}: {} fixes nothing", layer.name(), fact.id);
        }
        assert!(layer.product().fact("no such line").is_none());
    }
    let targets: BTreeSet<&str> = templates().map(|(_, template)| template.target).collect();
    assert_eq!(targets.len(), templates().count(), "{targets:?}");
    assert_eq!(delays_small_writes().map(Layer::name).collect::<Vec<_>>(), ["haproxy"]);
}

#[test]
fn advice_says_the_same_in_russian() {
    for layer in layers() {
        for fact in layer.product().facts {
            let Some(russian) = fact.russian else { continue };
            for name in ["{base}", "{upstream}", "{origin}"] {
                assert_eq!(fact.line.contains(name), russian.contains(name), "{} {name}", fact.id);
            }
            assert!(russian.chars().any(|letter| ('а'..='я').contains(&letter)), "{}: {russian}", fact.id);
        }
    }
}

#[test]
fn a_product_names_itself() {
    for (name, value, expected) in [
        ("server", "nginx/1.22.1", "nginx"),
        ("server", "openresty", "nginx"),
        ("server", "Angie/1.13.0", "angie"),
        ("server", "ATS/9.2.9", "trafficserver"),
        ("server", "cloudflare", "cloudflare"),
        ("cf-ray", "8f", "cloudflare"),
        ("via", "1.1 host (Varnish/7.1)", "varnish"),
        ("via", "1.1 Caddy", "caddy"),
        ("via", "1.1 proxy (squid/6.1)", "squid"),
        ("x-varnish", "2", "varnish"),
        ("x-envoy-upstream-service-time", "3", "envoy"),
        ("server", "Apache/2.4", "apache"),
        ("server", "Seats", "unknown"),
        ("x-powered-by", "nginx", "unknown"),
    ] {
        assert_eq!(named_in_answer(&headers(&[(name, value)])).name(), expected, "{name}: {value}");
        assert_eq!(named_in(name, value).name(), expected, "{name}: {value}");
    }
    let both = headers(&[("server", "nginx"), ("x-varnish", "2")]);
    assert_eq!(named_in_answer(&both).name(), "varnish", "what stands behind nginx");
    assert_eq!(UNKNOWN.or(APP), APP);
    assert_eq!(NGINX.or(APP), NGINX);
}

#[test]
fn a_request_names_whose_headers_are_all_there() {
    let named = |marks: &[&str]| -> Vec<&str> {
        named_in_request(|mark| marks.contains(&mark)).into_iter().map(Layer::name).collect()
    };
    assert_eq!(named(&["x-forwarded-server"]), ["apache"]);
    assert_eq!(named(&["x-forwarded-server", "x-forwarded-port"]), ["apache"]);
    assert_eq!(named(&["x-forwarded-server", "x-forwarded-port", "x-real-ip"]), ["traefik"]);
    assert_eq!(named(&["x-forwarded-for"]), [""; 0]);
    assert_eq!(named(&["cf-ray", "x-host"]), ["cloudflare", "lighttpd"]);
    let marks: Vec<&str> = request_marks().collect();
    assert_eq!(marks.iter().collect::<BTreeSet<_>>().len(), marks.len(), "{marks:?}");
    assert_eq!(marks.len(), 16, "{marks:?}");
    for mark in ["x-varnish", "x-host", "cf-ray", "x-envoy-internal"] {
        assert!(marks.contains(&mark), "{mark}");
    }
}

#[test]
fn a_fork_has_the_lines_of_its_origin_under_its_own_name() {
    let angie = layer("angie");
    assert_eq!((angie.engine(), NGINX.engine(), APP.engine()), (NGINX, NGINX, APP));
    let ids = |layer| -> Vec<&str> {
        fixes(FindingCode::WsUpgradeNotPassed, layer, ProxyPosition::Outer).iter().map(|fact| fact.id).collect()
    };
    assert_eq!(ids(angie), ids(NGINX));
    assert_eq!(ids(angie).len(), 4);
    assert_eq!(angie.place(ProxyPosition::Outer, "/max"), "the location for /max, outer angie");
}

#[test]
fn a_place_says_which_tier() {
    let place = |layer: Layer, position| layer.place(position, "/max");
    assert_eq!(place(NGINX, ProxyPosition::Outer), "the location for /max, outer nginx");
    assert_eq!(place(NGINX, ProxyPosition::Inner), "the location for /max, inner nginx");
    assert_eq!(place(NGINX, ProxyPosition::Both), "the location for /max, on both nginx tiers");
    assert_eq!(place(NGINX, ProxyPosition::Unknown), "the location for /max, on each nginx tier that lacks it");
    assert_eq!(place(NGINX, ProxyPosition::Single), "the location for /max");
    assert_eq!(place(layer("squid"), ProxyPosition::Outer), "squid.conf");
}

#[test]
fn who_has_no_header_of_its_own_is_known() {
    let nameless: Vec<&str> = layers().filter(|layer| is_nameless(*layer)).map(Layer::name).collect();
    assert_eq!(nameless, ["haproxy"]);
}

#[test]
fn the_shipped_nginx_files_hold_the_facts() {
    let shipped = [
        (ProxyPosition::Outer, include_str!("../../deploy/nginx/outer.conf")),
        (ProxyPosition::Inner, include_str!("../../deploy/nginx/inner.conf")),
    ];
    let streaming = [
        FindingCode::WsUpgradeNotPassed,
        FindingCode::Buffered,
        FindingCode::IdleTimeout,
        FindingCode::ClientAddressLost,
    ];
    for (position, text) in shipped {
        for fact in streaming.iter().flat_map(|code| fixes(*code, NGINX, position)) {
            // The map stands on several lines there.
            if fact.id != "map" {
                assert!(text.contains(fact.line), "deploy/nginx/{}.conf lacks {}", position.name(), fact.line);
            }
        }
    }
}

/// The whole table as text: whoever changes a line of a product sees it as a difference. The templates are kept by setup.
#[test]
fn what_is_known_of_each_product() {
    let mut text = String::new();
    for product in PRODUCTS {
        let mut line = |name: &str, value: String| text += &format!("    {name}: {value}\n");
        line("fork_of", format!("{:?}", product.fork_of.map(|of| of.name)));
        line("answer_marks", format!("{:?}", product.answer_marks));
        line("request_marks", format!("{:?}", product.request_marks));
        line("request_hints", format!("{:?}", product.request_hints));
        line("place", format!("{:?}", product.place));
        line("has_tiers", product.has_tiers.to_string());
        line("main_file", format!("{:?}", product.main_file));
        line("operator", format!("{:?}", product.operator));
        line("spoils", format!("{:?}", product.spoils));
        line("drops_upgrades", product.drops_upgrades.to_string());
        line("application_server", product.application_server.to_string());
        line("delays_small_writes", product.delays_small_writes.to_string());
        for fact in product.facts {
            line("fact", format!("{fact:?}"));
        }
        for signature in product.signatures {
            line("signature", format!("{signature:?}"));
        }
        let templates: Vec<_> =
            product.templates.iter().map(|one| (one.target, one.position, one.comments_behind)).collect();
        line("templates", format!("{templates:?}"));
        let at = text.rfind("    fork_of").unwrap();
        text.insert_str(at, &format!("{}\n", product.name));
    }
    assert_snapshot("proxies/snapshots/products.txt", &text);
}

#[test]
fn a_layer_shows_itself_by_its_name_where_a_test_compares_it() {
    assert_eq!(format!("{NGINX:?}"), NGINX.name());
}
