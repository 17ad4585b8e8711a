//! The suite over real servers, and what only a server in another process can do: go away, forget, step back.

mod costs;
mod faults;
pub mod server;

use super::*;
use crate::store::suite::Setup;
use server::Server;
use tokio::sync::OnceCell;

/// Time enough on a busy machine.
const UNIT: Duration = Duration::from_millis(150);

/// The line of this module's first page, as words.
pub fn acl() -> String {
    let page = include_str!("../mod.rs");
    let line = page.split('`').find(|part| part.starts_with("resetkeys")).unwrap();
    line.replace("\n//!", "")
}

/// With a part of the store of its own.
async fn connected(address: &str) -> RedisStore {
    let prefix = format!("max-auth:{}:", crate::base::id::encode(&Rng::system().bytes::<6>()));
    opened(address, RedisOptions { prefix, ..RedisOptions::default() }).await
}

async fn opened(address: &str, options: RedisOptions) -> RedisStore {
    RedisStore::connect(address, options, Tasks::new(), Rng::system()).await.unwrap()
}

/// By a user who may do no more than is needed.
mod one {
    use super::*;

    static SERVER: OnceCell<Server> = OnceCell::const_new();

    async fn setup() -> Setup {
        let start = async || Server::start(&format!("--user max on >hush {}", acl())).await;
        let server = SERVER.get_or_init(start).await;
        let address = server.address().replace("://", "://max:hush@");
        Setup { store: Arc::new(connected(&address).await), real: true, unit: UNIT }
    }

    crate::store_suite!(tokio::test, setup);

    #[tokio::test]
    async fn whoever_is_refused_is_told_so_without_the_password() {
        setup().await;
        let server = SERVER.get().unwrap();
        let wrong = server.address().replace("://", "://max:other@");
        let error = RedisStore::connect(&wrong, RedisOptions::default(), Tasks::new(), Rng::system()).await.err();
        let error = error.unwrap().to_string();
        assert!(error.contains("refuses us") && !error.contains("other"), "{error}");
    }
}

mod three {
    use super::*;

    static SERVERS: OnceCell<Vec<Server>> = OnceCell::const_new();

    async fn cluster() -> Vec<Server> {
        Server::cluster(&format!("--user max on >hush {} +cluster|slots", acl())).await
    }

    async fn setup() -> Setup {
        let servers = SERVERS.get_or_init(cluster).await;
        let hosts: Vec<String> = servers.iter().map(|server| format!("127.0.0.1:{}", server.port)).collect();
        let store = connected(&format!("redis+cluster://max:hush@{}", hosts.join(","))).await;
        Setup { store: Arc::new(store), real: true, unit: UNIT }
    }

    crate::store_suite!(tokio::test, setup);

    #[tokio::test]
    async fn whoever_is_refused_is_told_so_without_the_password() {
        setup().await;
        let wrong = format!("redis+cluster://max:other@127.0.0.1:{}", SERVERS.get().unwrap()[1].port);
        let error = RedisStore::connect(&wrong, RedisOptions::default(), Tasks::new(), Rng::system()).await.err();
        let error = error.unwrap().to_string();
        assert!(error.contains("refuses us") && !error.contains("other"), "{error}");
    }
}
