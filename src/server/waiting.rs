//! Answers that are to come. A request that waits keeps the futures of every layer and all that it was asked with; an
//! answer that says "later" lets go of them, and what the layers do to an answer is done once it is there.

use axum::body::Body;
use axum::response::Response;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use std::sync::{Arc, Mutex, PoisonError};

/// In the extensions of a request: whoever asks knows what to do with an answer that is to come.
#[derive(Clone, Copy)]
pub struct MayWait;

pub type Later = BoxFuture<'static, Response>;

/// In the extensions of an answer: it stands for this one.
#[derive(Clone)]
struct Waiting(Arc<Mutex<Option<Later>>>);

/// An answer that stands for one that is to come.
pub fn waiting(later: Later) -> Response {
    let mut response = Response::new(Body::empty());
    response.extensions_mut().insert(Waiting(Arc::new(Mutex::new(Some(later)))));
    response
}

/// The answer, or what it stands for.
pub fn come(mut response: Response) -> Result<Response, Later> {
    let waiting = response.extensions_mut().remove::<Waiting>();
    let later = waiting.and_then(|waiting| waiting.0.lock().unwrap_or_else(PoisonError::into_inner).take());
    later.map_or(Ok(response), Err)
}

/// What a layer does to an answer, now or once it is there.
pub fn once_there(response: Response, layer: impl FnOnce(Response) -> Response + Send + 'static) -> Response {
    match come(response) {
        Ok(response) => layer(response),
        Err(later) => waiting(later.map(layer).boxed()),
    }
}
