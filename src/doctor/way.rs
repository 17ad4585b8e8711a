//! Who stands on the way, by everything that arrives: headers of the answer, and headers of the request as it came to
//! max-auth, where an inner proxy shows whose name the outer one has overwritten.

use super::http::text;
use super::probe::Echo;
use super::reach::{Reached, product, product_in};
use super::round::Round;
use crate::config::facts::Layer;

/// Ways to spoil a stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Spoils {
    /// Holds each answer until it is complete.
    Whole,
    /// Holds what it compresses.
    Compressed,
    /// Holds the last bytes until more follow.
    LateByOne,
}

/// Which product was seen to spoil streams how, nginx apart.
const CAN: &[(Layer, Spoils)] = &[
    (Layer::Varnish, Spoils::Whole),
    (Layer::Traefik, Spoils::Whole),
    (Layer::Lighttpd, Spoils::Whole),
    (Layer::Apache, Spoils::Whole),
    (Layer::Varnish, Spoils::Compressed),
    (Layer::Trafficserver, Spoils::Compressed),
    (Layer::Caddy, Spoils::Compressed),
    (Layer::H2o, Spoils::LateByOne),
    (Layer::Haproxy, Spoils::LateByOne),
];

/// Products that drop an upgrade unless a line says otherwise, and so may stand behind an nginx that does not.
const DROP_UPGRADES: &[Layer] =
    &[Layer::Varnish, Layer::Apache, Layer::Lighttpd, Layer::Squid, Layer::H2o, Layer::Gunicorn];

#[derive(Clone, Debug, Default)]
pub struct Way {
    /// Those that name themselves: in the answer first, then in the request.
    pub named: Vec<Layer>,
    /// An nginx is on the way: `X-Accel-Buffering` was sent and did not arrive.
    pub nginx: bool,
    /// A name in `Server` that belongs to no product known here.
    pub stranger: Option<String>,
}

impl Way {
    pub fn of(reached: &Reached, round: &Round, nginx: bool) -> Self {
        let mut named = Vec::new();
        let heads = round.columns.iter().chain(&round.post_stream).map(|seen| &seen.headers);
        let answered = heads.chain([&reached.plain.headers]).map(product);
        for layer in answered.chain(inner(&reached.echo)) {
            if layer != Layer::Unknown && !named.contains(&layer) {
                named.push(layer);
            }
        }
        let server =
            text(&reached.plain.headers, "server").filter(|_| product(&reached.plain.headers) == Layer::Unknown);
        Self { named, nginx, stranger: server.map(|name| name.chars().take(60).collect()) }
    }

    /// The one that a finding is about when nothing else tells.
    pub fn seen(&self) -> Layer {
        let unnamed = if self.nginx { Layer::Nginx } else { Layer::Unknown };
        self.named.first().copied().unwrap_or(unnamed)
    }

    /// Who of those on the way, nginx apart, is known to spoil streams so.
    pub fn spoiler(&self, how: Spoils) -> Option<Layer> {
        self.named.iter().copied().find(|layer| CAN.contains(&(*layer, how)))
    }

    /// `layer`, unless somebody names himself who is another.
    pub fn unless_named(&self, layer: Layer) -> Layer {
        match self.named.iter().find(|named| **named != Layer::Nginx) {
            // An application stands behind whatever is named in front.
            Some(_) if layer == Layer::App && !self.named.contains(&Layer::Gunicorn) => layer,
            Some(named) => *named,
            None if self.stranger.is_some() => Layer::Unknown,
            None => layer,
        }
    }

    /// Those that may have dropped an upgrade.
    pub fn may_drop_upgrades(&self) -> Vec<Layer> {
        let others = self.named.iter().copied().filter(|layer| DROP_UPGRADES.contains(layer));
        self.nginx.then_some(Layer::Nginx).into_iter().chain(others).collect()
    }

    /// "What proxies here calls itself TwistedWeb/22.4."
    pub fn introduction(&self) -> String {
        let name = self.stranger.as_ref().map(|name| format!(" What proxies here calls itself {name}."));
        name.unwrap_or_default()
    }
}

/// Who names himself in a request, the innermost last.
fn inner(echo: &Echo) -> Vec<Layer> {
    let mut found: Vec<Layer> = Vec::new();
    if let Some(via) = &echo.via {
        found.extend(via.split(',').map(|hop| product_in("via", hop)));
    }
    // What each of them adds by itself, as measured.
    let traefik = ["x-forwarded-server", "x-forwarded-port", "x-real-ip"].iter().all(|mark| echo.has_mark(mark));
    let marks = [
        (echo.has_mark("x-varnish"), Layer::Varnish),
        (traefik, Layer::Traefik),
        (!traefik && echo.has_mark("x-forwarded-server"), Layer::Apache),
        (echo.has_mark("x-envoy-expected-rq-timeout-ms"), Layer::Envoy),
        (echo.has_mark("x-host"), Layer::Lighttpd),
        (echo.has_mark("cf-ray"), Layer::Cloudflare),
    ];
    found.extend(marks.into_iter().filter(|(there, _)| *there).map(|(_, layer)| layer));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_names_who_passed_it_on() {
        let echo = |via: Option<&str>, marks: &[&str]| Echo {
            via: via.map(str::to_owned),
            marks: marks.iter().map(|mark| (*mark).to_owned()).collect(),
            ..Echo::default()
        };
        let traefik = ["x-forwarded-for", "x-forwarded-server", "x-forwarded-port", "x-real-ip"];
        assert_eq!(inner(&echo(None, &traefik)), [Layer::Traefik]);
        assert_eq!(inner(&echo(None, &["x-forwarded-for", "x-forwarded-server"])), [Layer::Apache]);
        assert_eq!(inner(&echo(Some("1.1 host (Varnish/7.1)"), &["x-varnish"])), [Layer::Varnish, Layer::Varnish]);
        assert_eq!(inner(&echo(None, &["x-forwarded-for"])), []);
    }

    #[test]
    fn behind_nginx_the_blame_goes_to_who_is_known_for_it() {
        let way = Way { named: vec![Layer::Nginx, Layer::Varnish], nginx: true, stranger: None };
        assert_eq!(way.spoiler(Spoils::Whole), Some(Layer::Varnish));
        assert_eq!(way.spoiler(Spoils::LateByOne), None);
        assert_eq!(way.may_drop_upgrades(), [Layer::Nginx, Layer::Varnish]);
        assert_eq!(way.unless_named(Layer::App), Layer::App);
        let twisted = Way { stranger: Some("TwistedWeb/22.4".into()), ..Way::default() };
        assert_eq!(twisted.unless_named(Layer::Haproxy), Layer::Unknown);
    }
}
