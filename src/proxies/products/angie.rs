//! Angie, a fork of nginx by some of its former developers: the same configuration and behaviour under its own name and
//! paths (angie.software/angie/docs/configuration/migration).

use crate::proxies::position::ProxyPosition::Outer;
use crate::proxies::product::{Product, Template};
use crate::proxies::products::nginx;

const FILES: (&str, &str) = ("file", "/etc/angie/http.d/max-auth.conf");
const RELOAD: (&str, &str) = ("reload", "angie -t && systemctl reload angie");
const SINCE: (&str, &str) = ("since", "Angie 1.0");

pub static PRODUCT: Product = Product {
    answer_marks: &[("server", "angie")],
    main_file: "angie.conf",
    templates: &[
        Template {
            target: "angie",
            values: &[("title", "One Angie between visitors and max-auth."), FILES, RELOAD, SINCE],
            ..nginx::OUTSIDE
        },
        Template {
            target: "angie-outer",
            position: Outer,
            values: &[("title", "The outer tier: what visitors reach."), FILES, RELOAD, SINCE],
            ..nginx::OUTSIDE
        },
        Template { target: "angie-inner", values: &[FILES, RELOAD], ..nginx::INSIDE },
    ],
    ..Product::fork("angie", &nginx::PRODUCT)
};
