//! Logout tokens on their way to apps: some tries over a minute, each app by itself, a bounded number at once.

use crate::base::tasks::Tasks;
use crate::oidc::{Deliver, LogoutNotice};
use crate::outbound::post_form;
use crate::upstream::Roots;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::sleep;
use url::Url;

/// Between the tries; a logout token is good for two minutes.
const PAUSES: [Duration; 3] = [Duration::from_secs(2), Duration::from_secs(10), Duration::from_secs(45)];

/// Notices on their way at once: a dead app holds each for a minute and a half.
const AT_ONCE: usize = 1000;

pub struct Delivery {
    roots: Roots,
    tasks: Tasks,
    places: Arc<Semaphore>,
}

impl Delivery {
    pub fn new(roots: Roots, tasks: Tasks) -> Self {
        Self { roots, tasks, places: Arc::new(Semaphore::new(AT_ONCE)) }
    }
}

impl Deliver for Delivery {
    fn deliver(&self, notice: LogoutNotice) {
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            tracing::error!(client = notice.client, "{AT_ONCE} logout tokens wait for apps; this one is dropped");
            return;
        };
        let (roots, tasks) = (self.roots.clone(), self.tasks.clone());
        self.tasks.spawn("backchannel-logout", async move {
            tokio::select! {
                () = send(&notice, &roots) => {}
                () = tasks.stopping() => {}
            }
            drop(place);
        });
    }
}

async fn send(notice: &LogoutNotice, roots: &Roots) {
    let Ok(url) = Url::parse(&notice.uri) else { return };
    let form = url::form_urlencoded::Serializer::new(String::new()).append_pair("logout_token", &notice.token).finish();
    let mut pauses = PAUSES.into_iter();
    loop {
        let Err(why) = post_form(&url, form.clone(), roots).await else {
            metrics::counter!("max_auth_oidc_logouts_told_total").increment(1);
            return;
        };
        match pauses.next().filter(|_| why.may_pass()) {
            Some(pause) => sleep(pause).await,
            None => {
                metrics::counter!("max_auth_oidc_logouts_untold_total").increment(1);
                tracing::warn!(client = notice.client, "an app was not told that a session is over: {why}");
                return;
            }
        }
    }
}
