//! Clients that nobody registered: their id is the address of a document about them (`oidc.client_id_metadata_*`).

use super::people::{AllowList, Groups};
use super::reader::ConfigMerger;
use super::value;
use ipnet::IpNet;
use toml::Value;
use url::Url;

/// What such clients may, where there may be any.
#[derive(Clone)]
pub struct ClientDocuments {
    /// Who may sign in to them.
    pub allow: AllowList,
    /// Whom their access tokens may be for (RFC 8707).
    pub resources: Vec<String>,
    /// Networks that are not public and are asked all the same.
    pub networks: Vec<IpNet>,
}

/// `None`: something was wrong; `Some(None)`: there are no such clients.
pub(super) fn read(settings: &mut ConfigMerger, groups: &Groups) -> Option<Option<ClientDocuments>> {
    let on = settings.read("oidc.client_id_metadata_documents", value::flag);
    let allow = settings.read("oidc.client_id_metadata_allow", |value| AllowList::parse(value, groups));
    let resources = settings.read("oidc.client_id_metadata_resources", |value| value::list(value, resource));
    let networks = settings.read("oidc.client_id_metadata_networks", |value| value::list(value, value::network));
    let (on, allow, resources, networks) = (on?, allow?, resources?, networks?);
    Some(on.then_some(ClientDocuments { allow, resources, networks }))
}

/// RFC 8707 §2: absolute, without a fragment.
pub(super) fn resource(value: &Value) -> Result<String, String> {
    let text = value::text(value)?;
    let fine = Url::parse(&text).is_ok() && !text.contains('#') && text.len() <= 500;
    if fine { Ok(text) } else { Err(format!("{text:?} is not an absolute address without a fragment (RFC 8707 §2)")) }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;
    use crate::config::tests::{error, load};

    #[test]
    fn there_are_none_unless_the_switch_is_on() {
        assert!(Config::of("").oidc.documents.is_none());
        assert!(Config::of("[oidc]\nclient_id_metadata_allow = [\"max:7\"]").oidc.documents.is_none());
        let on = load(
            "[groups]\nstaff = [\"max:7\"]\n[oidc]\nclient_id_metadata_documents = true\n\
             client_id_metadata_allow = [\"group:staff\"]\nclient_id_metadata_resources = [\"https://api.example.ru\"]\n\
             client_id_metadata_networks = [\"10.0.0.0/8\"]",
            &[],
        );
        let documents = on.unwrap().oidc.documents.unwrap();
        assert!(!documents.allow.is_everybody());
        assert_eq!(documents.resources, ["https://api.example.ru"]);
        assert_eq!(documents.networks, ["10.0.0.0/8".parse().unwrap()]);
        for (line, key) in [
            ("client_id_metadata_documents = 1", "oidc.client_id_metadata_documents"),
            ("client_id_metadata_allow = [\"group:nobody\"]", "oidc.client_id_metadata_allow"),
            ("client_id_metadata_resources = [\"api\"]", "oidc.client_id_metadata_resources"),
            ("client_id_metadata_networks = [\"here\"]", "oidc.client_id_metadata_networks"),
        ] {
            let told = error(&format!("[oidc]\n{line}"), &[]);
            assert!(told.contains(key), "{line}: {told}");
        }
    }
}
