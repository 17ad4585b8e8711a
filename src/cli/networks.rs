//! What `max-auth doctor --networks` asks the running server.

use super::{CliError, ops};
use crate::config::Flags;
use crate::doctor::NetworksReport;
use crate::probe::NETWORKS_PATH;
use http::{Method, StatusCode};
use std::net::SocketAddr;
use tokio::net::lookup_host;
use url::Url;

/// At `at`, else where the configuration says that the operator's listener is.
pub async fn ask(at: Option<&Url>, flags: &Flags) -> Result<NetworksReport, String> {
    let (address, named) = match at {
        Some(url) => (resolved(url).await?, url.as_str().trim_end_matches('/').to_owned()),
        None => {
            let address = ops::address(flags).map_err(|(CliError::No(why) | CliError::CannotRun(why))| why)?;
            (address, format!("http://{address}"))
        }
    };
    let asked = format!("{named}{NETWORKS_PATH}");
    match ops::ask(address, Method::GET, NETWORKS_PATH).await {
        Ok((StatusCode::OK, body)) => NetworksReport::of(&asked, &body),
        Ok((status, _)) => Err(format!("{asked} answered {status}: is that server.ops_listen of this version?")),
        Err(why) => Err(format!("{asked}: {why} (server.ops_listen of a running server, or --ops)")),
    }
}

async fn resolved(url: &Url) -> Result<SocketAddr, String> {
    let (Some(host), Some(port), "http") = (url.host_str(), url.port_or_known_default(), url.scheme()) else {
        return Err(format!("--ops {url}: the operator's listener is such as http://127.0.0.1:3002"));
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let mut found = lookup_host((host, port)).await.map_err(|error| format!("--ops {url}: {error}"))?;
    found.next().ok_or_else(|| format!("--ops {url}: the name has no address"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_address_is_found_and_what_is_none_is_told() {
        let at = async |text: &str| resolved(&text.parse().unwrap()).await;
        assert_eq!(at("http://127.0.0.1:5").await, Ok("127.0.0.1:5".parse().unwrap()));
        assert_eq!(at("http://[::1]:5/x").await, Ok("[::1]:5".parse().unwrap()));
        assert_eq!(at("http://127.0.0.1").await, Ok("127.0.0.1:80".parse().unwrap()));
        for wrong in ["https://127.0.0.1:5", "unix:/run/x"] {
            assert!(at(wrong).await.unwrap_err().contains("such as http://127.0.0.1:3002"), "{wrong}");
        }
    }
}
