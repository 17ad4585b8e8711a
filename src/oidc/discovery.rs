//! What clients find at `/.well-known/openid-configuration` (OpenID Connect Discovery 1.0, RFC 8414).

use super::Provider;
use super::claims::{CLAIMS, acr};
use super::jws::algorithm_name;
use crate::base::driver_name::DriverName;
use crate::config::SCOPES;
use serde_json::{Value, json};

impl Provider {
    /// `base`: where our endpoints are, without a slash at its end.
    pub fn discovery(&self, base: &str) -> Value {
        let at = |path: &str| format!("{base}/oauth2/{path}");
        let own = ["sub", "iss", "aud", "exp", "iat", "auth_time", "nonce", "sid", "acr", "amr", "at_hash"];
        let claims: Vec<&str> = own.into_iter().chain(CLAIMS.iter().map(|(claim, _)| *claim)).collect();
        let algorithms: Vec<&str> = self.algorithms.iter().map(|algorithm| algorithm_name(*algorithm)).collect();
        let methods = ["client_secret_basic", "client_secret_post", "private_key_jwt", "none"];
        let with_secret = ["client_secret_basic", "client_secret_post", "private_key_jwt"];
        let assertions = ["RS256", "PS256", "ES256", "EdDSA"];
        let mut found = json!({
            "issuer": self.issuer,
            "authorization_endpoint": at("authorize"),
            "token_endpoint": at("token"),
            "userinfo_endpoint": at("userinfo"),
            "jwks_uri": at("jwks"),
            "revocation_endpoint": at("revoke"),
            "introspection_endpoint": at("introspect"),
            "end_session_endpoint": at("logout"),
            "device_authorization_endpoint": at("device_authorization"),
            "pushed_authorization_request_endpoint": at("par"),
            "token_endpoint_auth_signing_alg_values_supported": assertions,
            "introspection_endpoint_auth_signing_alg_values_supported": assertions,
            "revocation_endpoint_auth_signing_alg_values_supported": assertions,
            "scopes_supported": SCOPES,
            "response_types_supported": ["code"],
            "response_modes_supported": ["query", "form_post", "web_message"],
            "grant_types_supported": ["authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code"],
            "subject_types_supported": ["pairwise", "public"],
            "id_token_signing_alg_values_supported": algorithms,
            "token_endpoint_auth_methods_supported": methods,
            "revocation_endpoint_auth_methods_supported": methods,
            "introspection_endpoint_auth_methods_supported": with_secret,
            "code_challenge_methods_supported": ["S256"],
            "claims_supported": claims,
            "claims_parameter_supported": true,
            "request_parameter_supported": false,
            "request_uri_parameter_supported": false,
            "acr_values_supported": DriverName::ALL.map(acr),
            "prompt_values_supported": ["none", "login", "consent", "select_account"],
            "ui_locales_supported": ["ru", "en"],
            "dpop_signing_alg_values_supported": assertions,
            "backchannel_logout_supported": true,
            "backchannel_logout_session_supported": true,
            "authorization_response_iss_parameter_supported": true,
        });
        if self.documents.is_some() {
            found["client_id_metadata_document_supported"] = json!(true);
        }
        found
    }
}
