//! Documents of clients, asked of the hosts that have them; a bounded number at once.

use crate::oidc::{Document, Fetch, Fetched};
use crate::outbound::get;
use crate::upstream::Roots;
use ipnet::IpNet;
use std::time::Duration;
use tokio::sync::Semaphore;
use url::Url;

/// Longest document (draft-ietf-oauth-client-id-metadata-document, 6.6).
const BYTES: usize = 5 * 1024;

/// From the name to the last byte.
const TIME: Duration = Duration::from_secs(3);

/// Asked for at once: visitors wait for them.
const AT_ONCE: usize = 32;

pub struct Asker {
    roots: Roots,
    networks: Vec<IpNet>,
    places: Semaphore,
}

impl Asker {
    pub fn new(roots: Roots, networks: Vec<IpNet>) -> Self {
        Self { roots, networks, places: Semaphore::new(AT_ONCE) }
    }
}

impl Fetch for Asker {
    fn fetch<'a>(&'a self, url: &'a Url) -> Fetched<'a> {
        Box::pin(async move {
            let Ok(_place) = self.places.try_acquire() else {
                return Err(format!("{AT_ONCE} documents are asked for already"));
            };
            let got = get(url, BYTES, TIME, &self.networks, &self.roots).await.map_err(|error| error.to_string())?;
            Ok(Document { body: got.body, max_age: got.max_age })
        })
    }
}
