//! Opens connections: to one server, to the master that sentinels name, to a cluster.

use super::settings::{Address, AddressError, Options, Way};
use redis::aio::MultiplexedConnection;
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::sentinel::{SentinelClientBuilder, SentinelServerType};
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, IntoConnectionInfo as _, ProtocolVersion, PushInfo,
    RedisConnectionInfo, RedisError, RedisResult, TlsCertificates, TlsMode, Value,
};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// To open a connection, greeting included: two round trips, three with TLS, and one sentinel that says nothing.
pub const OPENING: Duration = Duration::from_secs(2);

/// Commands that wait to be written: what a burst brings while a packet is on its way.
const WRITTEN_AT_ONCE: usize = 256;

/// Carries commands; clones share it.
#[derive(Clone)]
pub enum Connection {
    One(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Connection {
    pub async fn ask(&mut self, command: &Cmd) -> RedisResult<Value> {
        match self {
            Self::One(connection) => command.query_async(connection).await,
            Self::Cluster(connection) => command.query_async(connection).await,
        }
    }

    /// Mends itself, as far as it can.
    pub fn is_cluster(&self) -> bool {
        matches!(self, Self::Cluster(_))
    }
}

pub struct Connector {
    address: Address,
    trusted: Option<TlsCertificates>,
    /// Which host comes first: not always the same dead one.
    turn: AtomicUsize,
}

/// What a server says by itself, as far as somebody wants to hear it.
pub trait Ear: Fn(PushInfo) + Send + Sync + 'static {}
impl<F: Fn(PushInfo) + Send + Sync + 'static> Ear for F {}

impl Connector {
    /// Refuses certificates that are none.
    pub fn new(address: Address, options: &Options) -> Result<Self, AddressError> {
        let trusted = options.trusted.clone().map(|pem| TlsCertificates { client_tls: None, root_cert: Some(pem) });
        let connector = Self { address, trusted, turn: AtomicUsize::new(0) };
        if connector.address.tls {
            connector.client(0).map_err(|error| AddressError::new(error.to_string()))?;
        }
        Ok(connector)
    }

    pub async fn commands(&self, ear: impl Ear) -> RedisResult<Connection> {
        if self.address.way == Way::Cluster {
            return Ok(Connection::Cluster(self.cluster()?.get_async_connection().await?));
        }
        Ok(Connection::One(self.open(ear).await?))
    }

    /// To any server of a cluster: what is published reaches them all.
    pub async fn open(&self, ear: impl Ear) -> RedisResult<MultiplexedConnection> {
        Self::connect(&self.server().await?, ear).await
    }

    /// The next host, or the master that sentinels name at present.
    pub async fn server(&self) -> RedisResult<Client> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        match &self.address.way {
            Way::Direct | Way::Cluster => self.client(turn),
            Way::Sentinel { master } => self.master(master, turn).await,
        }
    }

    pub async fn connect(client: &Client, ear: impl Ear) -> RedisResult<MultiplexedConnection> {
        let told = move |push| {
            ear(push);
            Ok::<(), redis::aio::SendError>(())
        };
        // Deadlines are ours.
        let settings = AsyncConnectionConfig::new()
            .set_connection_timeout(None)
            .set_response_timeout(None)
            .set_pipeline_buffer_size(WRITTEN_AT_ONCE)
            .set_push_sender(told);
        client.get_multiplexed_async_connection_with_config(&settings).await
    }

    fn host(&self, turn: usize) -> ConnectionAddr {
        let (host, port) = self.address.hosts[turn % self.address.hosts.len()].clone();
        self.place(host, port)
    }

    fn place(&self, host: String, port: u16) -> ConnectionAddr {
        if self.address.tls {
            ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None }
        } else {
            ConnectionAddr::Tcp(host, port)
        }
    }

    fn client(&self, turn: usize) -> RedisResult<Client> {
        self.client_of(self.host(turn))
    }

    /// One server of a cluster.
    pub fn client_at(&self, host: &str, port: u16) -> RedisResult<Client> {
        self.client_of(self.place(host.to_owned(), port))
    }

    pub fn address(&self) -> &Address {
        &self.address
    }

    fn client_of(&self, place: ConnectionAddr) -> RedisResult<Client> {
        let mut greeting = RedisConnectionInfo::default()
            .set_protocol(ProtocolVersion::RESP3)
            .set_db(self.address.database)
            .set_skip_set_lib_name();
        if let Some(user) = &self.address.user {
            greeting = greeting.set_username(user);
        }
        if let Some(password) = &self.address.password {
            greeting = greeting.set_password(password.expose());
        }
        let server = place.into_connection_info()?.set_redis_settings(greeting);
        match &self.trusted {
            Some(trusted) if self.address.tls => Client::build_with_tls(server, trusted.clone()),
            _ => Client::open(server),
        }
    }

    async fn master(&self, name: &str, turn: usize) -> RedisResult<Client> {
        let sentinels = (0..self.address.hosts.len()).map(|next| self.host(turn + next));
        let mut builder = SentinelClientBuilder::new(sentinels, name, SentinelServerType::Master)?
            .set_client_to_redis_protocol(ProtocolVersion::RESP3)
            .set_client_to_redis_db(self.address.database);
        if let Some(user) = &self.address.user {
            builder = builder.set_client_to_redis_username(user);
        }
        if let Some(password) = &self.address.password {
            builder = builder.set_client_to_redis_password(password.expose());
        }
        if self.address.tls {
            builder = builder.set_client_to_redis_tls_mode(TlsMode::Secure);
            if let Some(trusted) = &self.trusted {
                builder = builder
                    .set_client_to_redis_certificates(trusted.clone())
                    .set_client_to_sentinel_certificates(trusted.clone());
            }
        }
        builder.build()?.async_get_client().await
    }

    fn cluster(&self) -> RedisResult<ClusterClient> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let hosts = (0..self.address.hosts.len()).map(|next| self.host(turn + next));
        let mut builder = ClusterClient::builder(hosts.filter_map(|host| host.into_connection_info().ok()))
            .use_protocol(ProtocolVersion::RESP3)
            .connection_timeout(OPENING / 2)
            .response_timeout(OPENING / 2)
            .overall_response_timeout(Some(OPENING / 2))
            .min_retry_wait(20)
            .max_retry_wait(200);
        if let Some(user) = &self.address.user {
            builder = builder.username(user);
        }
        if let Some(password) = &self.address.password {
            builder = builder.password(password.expose());
        }
        if self.address.tls {
            builder = builder.tls(TlsMode::Secure);
            if let Some(trusted) = &self.trusted {
                builder = builder.certs(trusted.clone());
            }
        }
        builder.build()
    }
}

/// Whether the server knows us and says no: waiting does not help.
pub fn refused(error: &RedisError) -> bool {
    error.kind() == redis::ErrorKind::AuthenticationFailed
        || matches!(error.code(), Some("WRONGPASS" | "NOAUTH" | "NOPERM"))
        // Of a cluster it is one error among others.
        || error.to_string().contains("WRONGPASS")
}
