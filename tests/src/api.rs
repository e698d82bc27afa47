//! The Kubernetes API without the second that a `kubectl` takes to start: latencies are measured with it.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::{Child, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use crate::cluster::Cluster;
use crate::patience;
use crate::roster::Place;

/// A `kubectl proxy` at the operator's place, and requests through it; ended when dropped.
#[derive(Debug)]
pub struct Api<'a> {
    cluster: &'a Cluster<'a>,
    proxy: Child,
}

impl<'a> Api<'a> {
    /// Starts it, through the VIP.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn of(cluster: &'a Cluster<'a>) -> Result<Self> {
        let mut kubectl = cluster.lab.kubectl()?;
        kubectl.env("KUBECONFIG", cluster.kubeconfig());
        kubectl.args(["proxy", &format!("--port={}", PROXY.port())]);
        kubectl.stdin(Stdio::null()).stdout(Stdio::null());
        let api = Self {
            cluster,
            proxy: cluster.lab.spawn_as_operator(&mut kubectl)?,
        };
        let pause = Duration::from_millis(100);
        patience::until("`kubectl proxy` answers", START, pause, || {
            Ok(api.get("/version").ok())
        })?;
        Ok(api)
    }

    /// The object at a path.
    ///
    /// # Errors
    /// With what the API server said.
    pub fn get(&self, path: &str) -> Result<Value> {
        self.ask("GET", path, "application/json", None)
    }

    /// Creates an object in the collection at a path.
    ///
    /// # Errors
    /// With what the API server said.
    pub fn create(&self, path: &str, object: &Value) -> Result<Value> {
        self.ask("POST", path, "application/json", Some(object))
    }

    /// Changes fields of the object at a path (a merge patch).
    ///
    /// # Errors
    /// With what the API server said.
    pub fn merge(&self, path: &str, fields: &Value) -> Result<Value> {
        self.ask("PATCH", path, "application/merge-patch+json", Some(fields))
    }

    /// Deletes the object at a path.
    ///
    /// # Errors
    /// With what the API server said.
    pub fn delete(&self, path: &str) -> Result<Value> {
        self.ask("DELETE", path, "application/json", None)
    }

    /// What becomes of the objects of the collection at a path from now on: one event in each line that is one of JSON.
    ///
    /// # Errors
    /// With what the API server said; the stream ends when it ends the watch.
    pub fn follow(&self, path: &str) -> Result<TcpStream> {
        let list = self.get(path)?;
        let version = &list["metadata"]["resourceVersion"];
        let version = version.as_str().context("a list has a version")?;
        let request = format!(
            "GET {path}?watch=1&resourceVersion={version} HTTP/1.0\r\nHost: localhost\r\n\r\n"
        );
        let stream = self.cluster.lab.within(Place::Operator, || {
            let mut stream = TcpStream::connect_timeout(&PROXY, PATIENCE)?;
            stream.write_all(request.as_bytes())?;
            Ok(stream)
        });
        stream.with_context(|| format!("cannot follow {path}"))
    }

    fn ask(&self, method: &str, path: &str, kind: &str, body: Option<&Value>) -> Result<Value> {
        let body = body.map(Value::to_string).unwrap_or_default();
        // HTTP/1.0: the answer ends where the connection does.
        let request = format!(
            "{method} {path} HTTP/1.0\r\nHost: localhost\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let answer = self.cluster.lab.within(Place::Operator, || {
            let mut stream = TcpStream::connect_timeout(&PROXY, PATIENCE)?;
            stream.set_read_timeout(Some(ANSWER))?;
            stream.write_all(request.as_bytes())?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            Ok(answer)
        });
        let answer = answer.with_context(|| format!("{method} {path}"))?;
        understand(&answer).with_context(|| format!("{method} {path}"))
    }
}

impl Drop for Api<'_> {
    fn drop(&mut self) {
        // One that has ended already is as good.
        let _ = self.proxy.kill();
        let _ = self.proxy.wait();
    }
}

/// The object in an answer of HTTP.
fn understand(answer: &str) -> Result<Value> {
    let (head, body) = answer.split_once("\r\n\r\n").context("no whole answer")?;
    let status = head.split(' ').nth(1).unwrap_or_default();
    let Ok(object) = serde_json::from_str::<Value>(body) else {
        bail!("status {status}, and no JSON: {body}");
    };
    ensure!(
        status.starts_with('2'),
        "status {status}: {}",
        object["message"].as_str().unwrap_or(body)
    );
    Ok(object)
}

/// In the operator's network namespace, which nobody else is in.
const PROXY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8011);
const PATIENCE: Duration = Duration::from_secs(10);
/// With hundreds of requests at a time one waits for the others.
const ANSWER: Duration = Duration::from_secs(60);
const START: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_an_object_or_says_why_not() {
        let object = understand("HTTP/1.0 201 Created\r\nA: b\r\n\r\n{\"kind\":\"Service\"}");
        assert_eq!(object.expect("an object")["kind"], "Service");
        let refused = "HTTP/1.0 409 Conflict\r\n\r\n{\"message\":\"it exists\"}";
        let error = understand(refused).expect_err("refused").to_string();
        assert_eq!(error, "status 409: it exists");
        understand("HTTP/1.0 502 Bad Gateway\r\n\r\nno server").expect_err("no JSON");
        understand("HTTP/1.0 200 OK\r\n").expect_err("half an answer");
    }
}
