//! Who stands on the path, by everything that arrives: headers of the answer, and headers of the request as it came to
//! max-auth, where an inner proxy shows whose name the outer one has overwritten.

use super::http::text;
use super::probe_round::ProbeRound;
use super::reachability::Reached;
use crate::probe::RequestEcho;
use crate::proxies::{APP, Layer, NGINX, Spoils, UNKNOWN, named_in, named_in_answer, named_in_request};

/// Characters of a name that no product here has, as they are told.
const MAX_STRANGER: usize = 60;

#[derive(Clone, Debug, Default)]
pub struct ProxyPath {
    /// Those that name themselves: in the answer first, then in the request.
    pub named: Vec<Layer>,
    /// An nginx is on the path: `X-Accel-Buffering` was sent and did not arrive.
    pub nginx: bool,
    /// A name in `Server` that belongs to no product known here.
    pub stranger: Option<String>,
}

impl ProxyPath {
    pub fn of(reached: &Reached, round: &ProbeRound, nginx: bool) -> Self {
        let mut named = Vec::new();
        let heads = round.columns.iter().chain(&round.post_stream).map(|seen| &seen.headers);
        let answered = heads.chain([&reached.answer.headers]).map(named_in_answer);
        for layer in answered.chain(inner(&reached.echo)) {
            if layer != UNKNOWN && !named.contains(&layer) {
                named.push(layer);
            }
        }
        let headers = &reached.answer.headers;
        let server = text(headers, "server").filter(|_| named_in_answer(headers) == UNKNOWN);
        Self { named, nginx, stranger: server.map(|name| name.chars().take(MAX_STRANGER).collect()) }
    }

    /// The one that a finding is about when nothing else tells.
    pub fn seen(&self) -> Layer {
        let unnamed = if self.nginx { NGINX } else { UNKNOWN };
        self.named.first().copied().unwrap_or(unnamed)
    }

    /// `owner`, or the fork of it that names itself.
    pub fn as_named(&self, owner: Layer) -> Layer {
        self.named.iter().copied().find(|named| named.engine() == owner).unwrap_or(owner)
    }

    /// Who of those on the path, nginx apart, is known to spoil streams so.
    pub fn spoiler(&self, how: Spoils) -> Option<Layer> {
        self.named.iter().copied().find(|layer| layer.product().spoils.contains(&how))
    }

    /// `layer`, unless somebody names himself who is another.
    pub fn unless_named(&self, layer: Layer) -> Layer {
        match self.named.iter().find(|named| named.engine() != NGINX) {
            // An application stands behind whatever is named in front.
            Some(_) if layer == APP && self.application_server().is_none() => layer,
            Some(named) => *named,
            None if self.stranger.is_some() => UNKNOWN,
            None => layer,
        }
    }

    /// What runs an application here, and holds a worker for each stream.
    pub fn application_server(&self) -> Option<Layer> {
        self.named.iter().copied().find(|layer| layer.product().application_server)
    }

    /// Those that may have dropped an upgrade.
    pub fn may_drop_upgrades(&self) -> Vec<Layer> {
        let nginx = self.nginx.then(|| self.as_named(NGINX));
        let drops = |layer: &Layer| layer.product().drops_upgrades && layer.engine() != NGINX;
        nginx.into_iter().chain(self.named.iter().copied().filter(drops)).collect()
    }

    /// "What proxies here calls itself TwistedWeb/22.4."
    pub fn introduction(&self) -> String {
        let name = self.stranger.as_ref().map(|name| format!(" What proxies here calls itself {name}."));
        name.unwrap_or_default()
    }
}

/// Who names himself in a request, the innermost last.
pub fn inner(echo: &RequestEcho) -> Vec<Layer> {
    let via = echo.via.iter().flat_map(|via| via.split(',')).map(|hop| named_in("via", hop));
    via.chain(named_in_request(|mark| echo.has_mark(mark))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxies::layer;

    #[test]
    fn a_request_names_who_passed_it_on() {
        let echo = |via: Option<&str>, marks: &[&str]| RequestEcho {
            via: via.map(str::to_owned),
            marks: marks.iter().map(|mark| (*mark).to_owned()).collect(),
            ..RequestEcho::default()
        };
        let traefik = ["x-forwarded-for", "x-forwarded-server", "x-forwarded-port", "x-real-ip"];
        assert_eq!(inner(&echo(None, &traefik)), [layer("traefik")]);
        assert_eq!(inner(&echo(None, &["x-forwarded-for", "x-forwarded-server"])), [layer("apache")]);
        let varnish = layer("varnish");
        assert_eq!(inner(&echo(Some("1.1 host (Varnish/7.1)"), &["x-varnish"])), [varnish, varnish]);
        assert_eq!(inner(&echo(None, &["x-forwarded-for"])), []);
    }

    #[test]
    fn behind_nginx_the_blame_goes_to_who_is_known_for_it() {
        let path = ProxyPath { named: vec![NGINX, layer("varnish")], nginx: true, stranger: None };
        assert_eq!(path.spoiler(Spoils::Whole), Some(layer("varnish")));
        assert_eq!(path.spoiler(Spoils::LateByOne), None);
        assert_eq!(path.may_drop_upgrades(), [NGINX, layer("varnish")]);
        assert_eq!(path.unless_named(APP), APP);
        let twisted = ProxyPath { stranger: Some("TwistedWeb/22.4".into()), ..ProxyPath::default() };
        assert_eq!(twisted.unless_named(layer("haproxy")), UNKNOWN);
        let gunicorn = ProxyPath { named: vec![layer("gunicorn")], ..ProxyPath::default() };
        assert_eq!(gunicorn.unless_named(APP), layer("gunicorn"));
    }
}
