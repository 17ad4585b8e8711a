//! The table of products. A new one is a file here and its two words below; which headers of a request max-auth looks at,
//! whom the doctor knows and what `setup` can write all follow from it.

use super::product::Product;

mod angie;
mod apache;
mod caddy;
mod cloudflare;
mod envoy;
mod gunicorn;
mod h2o;
mod haproxy;
mod lighttpd;
pub(super) mod nginx;
mod squid;
mod traefik;
mod trafficserver;
mod varnish;

/// The first whose mark a header bears is taken: what stands far outside first, what is often behind others last.
pub static PRODUCTS: &[&Product] = &[
    &cloudflare::PRODUCT,
    &varnish::PRODUCT,
    &squid::PRODUCT,
    &trafficserver::PRODUCT,
    &envoy::PRODUCT,
    &lighttpd::PRODUCT,
    &h2o::PRODUCT,
    &apache::PRODUCT,
    &caddy::PRODUCT,
    &angie::PRODUCT,
    &nginx::PRODUCT,
    &gunicorn::PRODUCT,
    &haproxy::PRODUCT,
    &traefik::PRODUCT,
];
