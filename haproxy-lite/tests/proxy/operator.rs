//! What operators do and see: the admin socket, a successor, the status page, the session log.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

use crate::kit::{Config, PATIENCE, Proxy, Server, ask, connect, eventually, who};

#[test]
fn h02_a_drained_server_gets_nothing_new_and_keeps_what_it_has() {
    let [a, b] = ["a", "b"].map(Server::echo);
    let (config, folder) = with_socket(&[("a", &a), ("b", &b)]);
    let proxy = Proxy::start(config);
    let socket = folder.path().join("admin.sock");
    let mut names = Vec::new();
    // One after the other: two threads that take one each at the same moment may choose the same server.
    let mut held: Vec<TcpStream> = (0..2)
        .map(|_| {
            let mut stream = connect(proxy.front());
            names.push(ask(&mut stream, "who"));
            stream
        })
        .collect();
    names.sort();
    assert_eq!(names, ["a", "b"]);
    assert_eq!(order(&socket, "drain a"), "ok");
    for _ in 0..6 {
        assert_eq!(who(proxy.front()), "b");
    }
    assert_eq!(proxy.server("a")["state"], "drain");
    assert_eq!(proxy.server("a")["sessions"], 1);
    for stream in &mut held {
        assert_eq!(ask(stream, "still here"), "still here");
    }
    assert_eq!(order(&socket, "kill a"), "ok");
    proxy.wait_until("its session is over", |s| {
        s["totals"]["ended"]["killed"] == 1
    });
    let cut = held.iter_mut().filter_map(|stream| {
        let answer = stream
            .write_all(b"x\n")
            .and_then(|()| stream.read(&mut [0; 9]));
        answer.err()
    });
    assert_eq!(cut.count(), 1);
    assert_eq!(order(&socket, "ready a"), "ok");
    assert_eq!(who(proxy.front()), "a");
}

#[test]
fn the_admin_socket_is_private_and_explains_itself() {
    let server = Server::echo("a");
    let (config, folder) = with_socket(&[("a", &server)]);
    let mut proxy = Proxy::start(config);
    let socket = folder.path().join("admin.sock");
    let mode = std::fs::metadata(&socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(
        order(&socket, "drain c"),
        "error: no server is called `c`; `show` lists them"
    );
    assert!(order(&socket, "help").starts_with("error: not understood; use show, "));
    assert!(order(&socket, &"x".repeat(5000)).starts_with("error: "));
    let shown: serde_json::Value = serde_json::from_str(&order(&socket, "show")).unwrap();
    assert_eq!(shown["servers"][0]["name"], "a");
    proxy.signal("TERM");
    proxy.wait();
    assert!(!socket.exists());
}

#[test]
fn h12_a_successor_takes_over_without_a_refused_connection() {
    let server = Server::echo("a");
    let (config, _folder) = with_socket(&[("a", &server)]);
    let mut proxy = Proxy::start(config.clone());
    let (stop, refused, served) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
        Arc::new(AtomicUsize::new(0)),
    );
    let front = proxy.front();
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let (stop, refused, served) =
                (Arc::clone(&stop), Arc::clone(&refused), Arc::clone(&served));
            std::thread::spawn(move || {
                while !stop.load(SeqCst) {
                    let good = try_once(front).is_ok_and(|answer| answer == "a\n");
                    if good { &served } else { &refused }.fetch_add(1, SeqCst);
                }
            })
        })
        .collect();
    for _ in 0..5 {
        let mut old_session = connect(front);
        assert_eq!(ask(&mut old_session, "who"), "a");
        let before = served.load(SeqCst);
        let successor = Proxy::start(config.clone());
        let mut predecessor = std::mem::replace(&mut proxy, successor);
        let relieved = || predecessor.log().contains("a successor took over");
        eventually("the successor takes over", relieved);
        assert_eq!(ask(&mut old_session, "still here"), "still here");
        drop(old_session);
        assert_eq!(predecessor.wait().code(), Some(0));
        eventually("clients go on", || served.load(SeqCst) > before + 20);
    }
    stop.store(true, SeqCst);
    for client in clients {
        client.join().unwrap();
    }
    assert_eq!(refused.load(SeqCst), 0, "of {}", served.load(SeqCst));
    assert_eq!(proxy.page("/readyz").0, 200);
}

#[test]
fn the_session_log_has_one_line_per_session_and_is_off_by_default() {
    let server = Server::echo("a");
    let quiet = Proxy::start(Config::new([("a", server.address())]));
    assert_eq!(who(quiet.front()), "a");
    let proxy = Proxy::start(Config::new([("a", server.address())]).top("sessionLog: true"));
    assert_eq!(who(proxy.front()), "a");
    eventually("the line is written", || {
        proxy.log().contains("session ended")
    });
    let log = proxy.log();
    let line = log
        .lines()
        .find(|line| line.contains("session ended"))
        .unwrap();
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    assert_eq!(line["frontend"], "api");
    assert_eq!(line["server"], "a");
    assert_eq!(
        (&line["reason"], &line["code"]),
        (&"completed".into(), &"--".into())
    );
    assert_eq!(
        (&line["bytes_in"], &line["bytes_out"]),
        (&4.into(), &2.into())
    );
    assert!(line["source"].as_str().unwrap().starts_with("127.0.0.1:"));
    quiet.wait_until("its session is over", |status| {
        status["totals"]["sessions"] == 0
    });
    assert!(!quiet.log().contains("session ended"));
}

#[test]
fn h28_metrics_equal_what_happened() {
    let server = Server::echo("a");
    let proxy = Proxy::start(Config::new([("a", server.address())]));
    let (mut sent, mut received) = (0, 0);
    for length in [1, 10, 1000, 70_000, 300_000] {
        let line = "x".repeat(length);
        assert_eq!(ask(&mut connect(proxy.front()), &line), line);
        sent += length as u64 + 1;
        received += length as u64 + 1;
    }
    let mut held = connect(proxy.front());
    assert_eq!(ask(&mut held, "who"), "a");
    proxy.wait_until("five are over", |status| {
        status["totals"]["ended"]["completed"] == 5
    });
    for (name, value) in [
        ("haproxy_frontend_connections_total{proxy=\"api\"}", 6),
        ("haproxy_frontend_current_sessions{proxy=\"api\"}", 1),
        (
            "haproxy_server_sessions_total{proxy=\"servers\",server=\"a\"}",
            6,
        ),
        (
            "haproxy_server_current_sessions{proxy=\"servers\",server=\"a\"}",
            1,
        ),
        ("lbnode_proxy_sessions_ended_total{reason=\"completed\"}", 5),
        ("haproxy_process_current_connections", 1),
        ("haproxy_process_max_connections", 1000),
        (
            "haproxy_server_status{proxy=\"servers\",server=\"a\",state=\"UP\"}",
            1,
        ),
        (
            "haproxy_server_status{proxy=\"servers\",server=\"a\",state=\"DOWN\"}",
            0,
        ),
        ("haproxy_backend_active_servers{proxy=\"servers\"}", 1),
    ] {
        assert_eq!(proxy.metric(name), value, "{name}");
    }
    // A session that lives is counted each second.
    let bytes = |side: &str| {
        proxy.metric(&format!(
            "haproxy_frontend_bytes_{side}_total{{proxy=\"api\"}}"
        ))
    };
    eventually("its bytes are counted", || {
        bytes("in") == sent + 4 && bytes("out") == received + 2
    });
}

#[test]
fn the_status_page_is_one_document() {
    let server = Server::echo("a");
    let proxy = Proxy::start(Config::new([("a", server.address())]));
    let (code, page) = proxy.page("/");
    assert_eq!(code, 200);
    assert!(
        page.contains("<tr class=up><td data-k=\"Servers/a/name\">a"),
        "{page}"
    );
    assert!(!page.contains("src="), "nothing is loaded from elsewhere");
}

fn with_socket(servers: &[(&'static str, &Server)]) -> (Config, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("admin.sock");
    let config = Config::new(
        servers
            .iter()
            .map(|(name, server)| (*name, server.address())),
    )
    .top(&format!("adminSocket: {}", path.display()));
    (config, folder)
}

fn order(socket: &Path, line: &str) -> String {
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(format!("{line}\n").as_bytes()).unwrap();
    let mut answer = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(stream), &mut answer).unwrap();
    answer.trim_end().to_owned()
}

fn try_once(front: std::net::SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&front, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"who\n")?;
    let mut answer = [0; 2];
    stream.read_exact(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
