//! The endpoints by which a visitor acts on a login: the cloud password, giving up.

use super::extract::{LoginPath, json_body};
use super::logins::Logins;
use crate::base::limits::PASSWORD;
use crate::base::problem::{Problem, ProblemCode};
use crate::base::secret::Secret;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, Request, StatusCode};
use serde::Deserialize;
use std::sync::Arc;

/// `POST /{login}/password`
pub async fn password(State(logins): State<Arc<Logins>>, LoginPath(id): LoginPath, request: Request<Body>) -> Response {
    logins.password(&id, request).await.unwrap_or_else(|problem| problem.into_response())
}

/// `DELETE /{login}`: the visitor gave up.
pub async fn delete(State(logins): State<Arc<Logins>>, LoginPath(id): LoginPath, headers: HeaderMap) -> Response {
    let cancelled = match logins.origins.check_request(&headers) {
        Ok(()) => logins.find(&id, &headers).await,
        Err(problem) => Err(problem),
    };
    match cancelled {
        Ok(login) => {
            login.cancel();
            StatusCode::NO_CONTENT.into_response()
        }
        Err(problem) => problem.into_response(),
    }
}

impl Logins {
    async fn password(&self, id: &str, request: Request<Body>) -> Result<Response, Problem> {
        self.origins.check_request(request.headers())?;
        let login = self.find(id, request.headers()).await?;
        let (parts, body) = request.into_parts();
        let text = json_body(&parts.headers, body).await?;
        #[derive(Deserialize)]
        struct Body {
            password: String,
        }
        let body: Body =
            serde_json::from_slice(&text).map_err(|_| Problem::invalid("the body must be {\"password\":\"…\"}"))?;
        let password = Secret::new(body.password);
        if password.expose().is_empty() || password.expose().len() > PASSWORD {
            return Err(Problem::invalid("the password must have 1 to 256 bytes"));
        }
        login.password(password).map_err(|_| {
            Problem::new(
                ProblemCode::PasswordNotAsked,
                "MAX has not asked this login for a password, or one is being checked.",
            )
        })?;
        Ok(StatusCode::NO_CONTENT.into_response())
    }
}
