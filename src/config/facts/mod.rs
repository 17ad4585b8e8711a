//! What a proxy must grant for streams to arrive, as one table: `doctor` prints its lines as the fix of a finding,
//! `setup` builds whole files of the same lines. So the two cannot disagree.

mod general;
mod proxies;

macro_rules! names {
    ($(#[$about:meta])* $kind:ident { $($variant:ident = $name:literal,)* }) => {
        $(#[$about])*
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum $kind { $($variant,)* }

        impl $kind {
            #[cfg(test)]
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

names! {
    /// What can be wrong. The names are public: add, never rename. Each is a heading of docs/troubleshooting.md.
    Code {
        WsUpgradeNotPassed = "ws-upgrade-not-passed",
        WsConnectionHeaderMissing = "ws-connection-header-missing",
        WsUpgradeRefused = "ws-upgrade-refused",
        WsUpgradeHangs = "ws-upgrade-hangs",
        WsFramesHeld = "ws-frames-held",
        WsKeyMissing = "ws-key-missing",
        Buffered = "buffered",
        WholeResponseBuffered = "whole-response-buffered",
        Compressed = "compressed",
        CompressedLateByOne = "compressed-late-by-one",
        AppCompression = "app-compression",
        Delayed = "delayed",
        XAccelIgnored = "x-accel-ignored",
        OneWorker = "one-worker",
        Cached = "cached",
        IdleTimeout = "idle-timeout",
        TotalTimeout = "total-timeout",
        NotRouted = "not-routed",
        RedirectLoop = "redirect-loop",
        AuthRedirect = "auth-redirect",
        AuthRequired = "auth-required",
        PostRefused = "post-refused",
        BackendDown = "backend-down",
        RateLimited = "rate-limited",
        ConnectionLimited = "connection-limited",
        HostRewritten = "host-rewritten",
        OriginRefused = "origin-refused",
        ClientAddressLost = "client-address-lost",
        Tls = "tls",
        Dns = "dns",
        ClockSkew = "clock-skew",
        HopNotAsked = "hop-not-asked",
        UpstreamUnreachable = "upstream-unreachable",
    }
}

names! {
    /// The product that a finding is about.
    Layer {
        Nginx = "nginx",
        Haproxy = "haproxy",
        Apache = "apache",
        Caddy = "caddy",
        Traefik = "traefik",
        Envoy = "envoy",
        Varnish = "varnish",
        Squid = "squid",
        Lighttpd = "lighttpd",
        Trafficserver = "trafficserver",
        H2o = "h2o",
        Gunicorn = "gunicorn",
        Cloudflare = "cloudflare",
        App = "app",
        ClientSide = "client-side",
        Unknown = "unknown",
    }
}

/// Which of several proxies of one kind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tier {
    Outer,
    Inner,
    Both,
    Single,
    Unknown,
}

impl Tier {
    pub fn name(self) -> &'static str {
        match self {
            Self::Outer => "outer",
            Self::Inner => "inner",
            Self::Both => "both",
            Self::Single => "single",
            Self::Unknown => "unknown",
        }
    }
}

/// One line (or block) of a proxy's configuration.
pub struct Fact {
    pub layer: Layer,
    /// What setup's templates call it.
    pub id: &'static str,
    /// As it stands in the file. `{base}` is the base path, `{upstream}` the address of max-auth.
    pub line: &'static str,
    /// Why it is there, as its comment.
    pub why: &'static str,
    /// The findings that it cures.
    pub cures: &'static [Code],
    /// The tier that it is for, where the outer and the inner one need different lines.
    pub tier: Option<Tier>,
    /// Where it goes, if not to the place of the others of its layer.
    pub place: Option<&'static str>,
    /// A sentence for a person, where no line can be known.
    pub words: bool,
}

/// The whole table.
pub fn facts() -> impl Iterator<Item = &'static Fact> {
    proxies::PROXIES.iter().chain(general::GENERAL)
}

/// The lines that cure `code` in `layer`; where nothing is known of that layer, what is true of any.
pub fn fix(code: Code, layer: Layer, tier: Tier) -> Vec<&'static Fact> {
    let of = |layer: Layer| -> Vec<&'static Fact> {
        facts()
            .filter(|fact| fact.layer == layer && fact.cures.contains(&code))
            .filter(|fact| fact.tier.is_none_or(|only| (only == Tier::Inner) == (tier == Tier::Inner)))
            .collect()
    };
    let known = of(layer);
    if known.is_empty() { of(Layer::Unknown) } else { known }
}

/// Where a line of this layer goes.
pub fn place(layer: Layer, tier: Tier, base: &str) -> String {
    let which = match (layer, tier) {
        (Layer::Nginx, Tier::Outer) => ", outer nginx",
        (Layer::Nginx, Tier::Inner) => ", inner nginx",
        (Layer::Nginx, Tier::Both) => ", on both nginx tiers",
        (Layer::Nginx, Tier::Unknown) => ", on each nginx tier that lacks it",
        _ => "",
    };
    match layer {
        Layer::Nginx => format!("the location for {base}{which}"),
        Layer::Haproxy => "the defaults section, or the frontend and backend that serve it".to_owned(),
        Layer::Apache => "the VirtualHost of the site".to_owned(),
        Layer::Caddy => "the site's block in the Caddyfile".to_owned(),
        Layer::Traefik => format!("the router that serves {base}"),
        Layer::Envoy => format!("the HTTP connection manager and its route for {base}"),
        Layer::Varnish => "the VCL, above the subs of these names that are there: what returns first wins".to_owned(),
        Layer::Squid => "squid.conf".to_owned(),
        Layer::Lighttpd => format!("the block for {base} in lighttpd.conf"),
        Layer::Trafficserver => "the compress plugin's file, or records.config".to_owned(),
        Layer::H2o => format!("the path {base} in h2o.conf"),
        Layer::Gunicorn => "gunicorn.conf.py, beside the application or where --config says".to_owned(),
        Layer::Cloudflare => "the zone's dashboard".to_owned(),
        Layer::App => "max-auth's configuration, or the application that proxies to it".to_owned(),
        Layer::ClientSide => "the machine that ran the doctor".to_owned(),
        Layer::Unknown => format!("the proxy that serves {base}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_way_out() {
        for &code in Code::ALL {
            for &layer in Layer::ALL {
                assert!(!fix(code, layer, Tier::Unknown).is_empty(), "{} at {}", code.name(), layer.name());
            }
        }
    }

    #[test]
    fn the_shipped_nginx_files_hold_the_facts() {
        let shipped = [
            (Tier::Outer, include_str!("../../../deploy/nginx/outer.conf")),
            (Tier::Inner, include_str!("../../../deploy/nginx/inner.conf")),
        ];
        let streaming = [Code::WsUpgradeNotPassed, Code::Buffered, Code::IdleTimeout, Code::ClientAddressLost];
        for (tier, text) in shipped {
            for fact in streaming.iter().flat_map(|code| fix(*code, Layer::Nginx, tier)) {
                // The map stands on several lines there.
                if fact.id != "map" {
                    assert!(text.contains(fact.line), "deploy/nginx/{}.conf lacks {}", tier.name(), fact.line);
                }
            }
        }
    }
}
