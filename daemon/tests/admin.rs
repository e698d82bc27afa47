//! The admin server over real loopback sockets.

#![expect(
    clippy::unwrap_used,
    reason = "test: ends where something unexpected happens"
)]

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use daemon::admin::{Admin, Page, Server};
use daemon::logging::{self, LogArgs, LogFormat};
use daemon::metrics::new_registry;
use daemon::probe::{self, ProbeFailure};
use daemon::ready::Readiness;
use daemon::recorder::Recorder;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

#[tokio::test]
async fn readyz_lists_what_is_missing_and_livez_does_not_depend_on_it() {
    let readiness = Readiness::new();
    let servers = readiness.latch("servers");
    servers.not_ready("no API server is healthy");
    let site = Running::start(admin(&readiness).into()).await;

    assert_eq!(
        site.refusal("/readyz").await,
        (503, "servers: no API server is healthy".into())
    );
    assert_eq!(site.text("/livez").await, "ok\n");
    servers.ready();
    assert_eq!(site.text("/readyz").await, "ok\n");
}

#[tokio::test]
async fn livez_follows_the_liveness_of_a_role_that_has_one() {
    let liveness = Readiness::new();
    let engine = liveness.latch("engine");
    let site = Running::start(admin(&Readiness::new()).liveness(liveness)).await;
    assert_eq!(
        site.refusal("/livez").await,
        (503, "engine: starting".into())
    );
    engine.ready();
    assert_eq!(site.text("/livez").await, "ok\n");
}

#[tokio::test]
async fn metrics_status_record_and_own_pages_are_served() {
    let recorder = Recorder::new(1024);
    recorder.record(Duration::from_micros(7), &"advert");
    let server = admin(&Readiness::new())
        .recorder(recorder)
        .route("/", || Page::html("<h1>proxy</h1>"));
    let site = Running::start(server).await;

    assert!(
        site.text("/metrics")
            .await
            .contains("lbnode_build_info{role=\"test\"")
    );
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&site.text("/status").await).unwrap(),
        serde_json::json!({"state": "Active"})
    );
    assert_eq!(
        site.text("/record").await,
        "{\"dropped\":0}\n{\"at\":7,\"input\":\"advert\"}\n"
    );
    assert_eq!(site.text("/").await, "<h1>proxy</h1>");
    let (status, text) = site.refusal("/nothing").await;
    assert_eq!(status, 404);
    assert!(
        text.contains("/livez /loglevel /metrics /readyz /record /status"),
        "{text}"
    );
}

#[tokio::test]
async fn the_log_filter_is_shown_and_changed_and_a_wrong_one_refused() {
    let filter = "info".parse().unwrap();
    logging::init(&LogArgs {
        log_format: LogFormat::Text,
        log_level: filter,
    });
    let site = Running::start(admin(&Readiness::new()).into()).await;
    assert_eq!(site.text("/loglevel").await, "info\n");

    let changed = site.raw("PUT /loglevel HTTP/1.1\r\nhost: x\r\ncontent-length: 15\r\nconnection: close\r\n\r\nwarn,vrrp=debug").await;
    assert!(changed.starts_with("HTTP/1.1 200 "), "{changed}");
    assert_eq!(logging::filter().as_deref(), Some("vrrp=debug,warn"));

    let refused = site.raw("PUT /loglevel HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\nconnection: close\r\n\r\nloud").await;
    assert!(refused.starts_with("HTTP/1.1 400 "), "{refused}");
    assert!(refused.contains("`loud` is not a level"), "{refused}");

    let long = format!(
        "PUT /loglevel HTTP/1.1\r\nhost: x\r\ncontent-length: 2000\r\nconnection: close\r\n\r\n{}",
        "x".repeat(2000)
    );
    assert!(site.raw(&long).await.starts_with("HTTP/1.1 413 "));
}

#[tokio::test]
async fn only_get_and_head_are_served_and_head_has_no_body() {
    let site = Running::start(admin(&Readiness::new()).into()).await;
    let post = site
        .raw("POST /status HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        .await;
    assert!(post.starts_with("HTTP/1.1 405 "), "{post}");
    let head = site
        .raw("HEAD /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        .await;
    assert!(
        head.starts_with("HTTP/1.1 200 ") && head.ends_with("\r\n\r\n"),
        "{head}"
    );
}

#[tokio::test]
async fn hostile_bytes_end_their_own_connection_only() {
    let site = Running::start(admin(&Readiness::new()).into()).await;
    for bytes in [
        "\0\0\0\0\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "GET http://[ HTTP/1.1\r\n\r\n",
    ] {
        let answer = site.raw(bytes).await;
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 400 "),
            "{bytes:?}: {answer}"
        );
    }
    let huge = format!("GET /livez HTTP/1.1\r\nx: {}\r\n\r\n", "y".repeat(100_000));
    let answer = site.raw(&huge).await;
    assert!(!answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert_eq!(site.text("/livez").await, "ok\n");
}

#[tokio::test]
async fn many_silent_connections_are_bounded_and_given_up() {
    let site = Running::start(admin(&Readiness::new()).into()).await;
    let mut silent = Vec::new();
    for _ in 0..80 {
        silent.push(TcpStream::connect(site.addr).await.unwrap());
    }
    let refused = tokio::time::timeout(Duration::from_secs(2), silent[79].read_u8()).await;
    assert!(
        refused.unwrap().is_err(),
        "a connection over the bound is closed at once"
    );
    // Those within the bound are closed when they have not asked for anything in five seconds.
    let given_up = tokio::time::timeout(Duration::from_secs(8), silent[0].read_u8()).await;
    assert!(given_up.expect("a silent connection is given up").is_err());
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(site.text("/livez").await, "ok\n");
}

#[tokio::test]
async fn a_taken_port_is_tried_again_until_it_is_free() {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let addr = taken.local_addr().unwrap();
    let token = CancellationToken::new();
    let readiness = Readiness::new();
    readiness.latch("x").ready();
    let serving = tokio::spawn(
        Admin {
            addr,
            ..admin(&readiness)
        }
        .serve(token.clone()),
    );
    tokio::time::sleep(Duration::from_millis(120)).await;
    assert!(!serving.is_finished());
    drop(taken);
    let mut answer = probe::get(addr, None, "/readyz", Duration::from_secs(1)).await;
    for _ in 0..50 {
        if answer.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        answer = probe::get(addr, None, "/readyz", Duration::from_secs(1)).await;
    }
    assert_eq!(answer.unwrap().body, b"ok\n");
    token.cancel();
    serving.await.unwrap().unwrap();
}

#[tokio::test]
async fn cancelling_ends_the_server_while_it_waits_for_its_address() {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let token = CancellationToken::new();
    let admin = Admin {
        addr: taken.local_addr().unwrap(),
        ..admin(&Readiness::new())
    };
    let serving = tokio::spawn(admin.serve(token.clone()));
    token.cancel();
    tokio::time::timeout(Duration::from_secs(2), serving)
        .await
        .unwrap()
        .unwrap()
        .unwrap();
}

fn admin(readiness: &Readiness) -> Admin {
    Admin {
        addr: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        readiness: readiness.clone(),
        registry: new_registry("test"),
        status: Arc::new(|| serde_json::json!({"state": "Active"})),
    }
}

struct Running {
    addr: SocketAddr,
    token: CancellationToken,
}

impl Running {
    async fn start(server: Server) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let token = CancellationToken::new();
        tokio::spawn(server.serve_on(listener, token.clone()));
        Self { addr, token }
    }

    async fn text(&self, path: &str) -> String {
        let answer = probe::get(self.addr, None, path, Duration::from_secs(5))
            .await
            .unwrap();
        String::from_utf8(answer.body).unwrap()
    }

    async fn refusal(&self, path: &str) -> (u16, String) {
        match probe::get(self.addr, None, path, Duration::from_secs(5)).await {
            Err(ProbeFailure::Status(status, text)) => (status, text),
            other => panic!("{other:?}"),
        }
    }

    async fn raw(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(self.addr).await.unwrap();
        let _ = stream.write_all(request.as_bytes()).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8_lossy(&answer).into_owned()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.token.cancel();
    }
}
