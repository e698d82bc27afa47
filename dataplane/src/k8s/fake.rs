//! An API server for tests that answers as it is told.

use std::{convert::Infallible, sync::Mutex};

use http::{Request, Response};
use kube::{Client, client::Body};
use serde_json::{Value, json};

/// A client of a server that answers with status and body.
pub(crate) fn client(
    answer: impl FnMut(&Request<Body>) -> (u16, Value) + Send + 'static,
) -> Client {
    let answer = std::sync::Arc::new(Mutex::new(answer));
    let service = tower::service_fn(move |request: Request<Body>| {
        let (status, body) = answer.lock().unwrap()(&request);
        let body = Body::from(body.to_string().into_bytes());
        let response = Response::builder().status(status).body(body).unwrap();
        async move { Ok::<_, Infallible>(response) }
    });
    Client::new(service, "default")
}

/// The body of a refusal.
pub(crate) fn refusal(code: u16, reason: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Status", "status": "Failure",
        "code": code, "reason": reason, "message": reason,
    })
}
