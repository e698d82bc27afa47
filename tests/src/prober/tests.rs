#![expect(
    clippy::disallowed_methods,
    reason = "a test's server and fault have real times"
)]

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;

use super::*;

/// `pattern`: one character per attempt, each 10 ms: `.` got through, `x` failed.
fn report(pattern: &str) -> (Report, Instant) {
    let origin = Instant::now();
    let attempts = pattern
        .chars()
        .zip(0..)
        .map(|(character, number)| {
            let start = Duration::from_millis(10 * number);
            Attempt {
                start,
                end: start + Duration::from_millis(1),
                failure: (character == 'x').then(|| "refused".to_owned()),
            }
        })
        .collect();
    (Report::new(origin, attempts, Duration::ZERO), origin)
}

#[test]
fn the_last_failure_counts_from_the_fault() {
    let (report, origin) = report("...xx.x...");
    let fault = origin + Duration::from_millis(25);
    assert_eq!(report.last_failure(fault), Duration::from_millis(35));
    assert_eq!(report.failed(), 3);
    assert_eq!(report.reasons()["refused"], 3);
    assert_eq!(
        report.last_failure(origin + Duration::from_millis(90)),
        Duration::ZERO
    );
}

#[test]
fn an_impression_is_of_what_was_not_over_before_the_fault() {
    let (report, origin) = report("xx.xx.x...");
    // Just before the end of the fifth attempt.
    let seen = Impression::new(&report, origin + Duration::from_micros(40_500));
    assert_eq!((seen.failed, seen.attempts), (2, 6));
    assert_eq!(seen.reasons, "2 x refused");
    assert_eq!(seen.last_failure, Duration::from_micros(19_500));
}

#[test]
fn the_longest_gap_is_between_starts_of_successes_and_counts_at_the_ends() {
    for (pattern, gap) in [
        ("..........", 10),
        ("...xx.x...", 30),
        (".xxxxx", 50),
        ("xxx..", 30),
        ("xxxx", 30),
        ("", 0),
    ] {
        let (report, _) = report(pattern);
        assert_eq!(
            report.longest_gap(),
            Duration::from_millis(gap),
            "{pattern}"
        );
    }
}

#[test]
fn calm_needs_attempts_and_no_failure_among_the_recent_ones() {
    let calm = Duration::from_millis(25);
    assert!(report("x.....").0.is_calm_for(calm));
    assert!(!report("....x.").0.is_calm_for(calm));
    assert!(!report("").0.is_calm_for(calm));
}

/// A server on loopback that handles each connection with `serve`, in a thread each.
fn server(serve: impl Fn(usize, std::net::TcpStream) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("bound");
    let address = listener.local_addr().expect("an address");
    let serve = Arc::new(serve);
    thread::spawn(move || {
        for (number, stream) in listener.incoming().flatten().enumerate() {
            let serve = Arc::clone(&serve);
            thread::spawn(move || serve(number, stream));
        }
    });
    address
}

fn run(plan: Plan, time: Duration) -> Report {
    let prober = Prober::start(None, plan).expect("started");
    thread::sleep(time);
    prober.finish().expect("finished")
}

#[test]
fn a_server_that_stalls_fails_its_attempts_and_delays_no_other() {
    // Connections 10 to 19 hang; the others get an answer.
    let address = server(|number, mut stream| {
        let mut request = [0; 1024];
        let _ = stream.read(&mut request);
        if (10..20).contains(&number) {
            thread::sleep(Duration::from_secs(5));
        }
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
    });
    let plan = Plan {
        exchange: Exchange::get("/readyz"),
        ..Plan::connect(address).paced(10, 150)
    };
    let report = run(plan, Duration::from_millis(600));
    assert!(report.attempts().len() > 40, "{}", report.attempts().len());
    assert_eq!(report.failed(), 10, "{:?}", report.reasons());
    assert_eq!(report.reasons()["no answer in time"], 10);
    // Ten in a row did not get through, and those after them did at once.
    let gap = report.longest_gap();
    assert!(
        gap >= Duration::from_millis(100) && gap < Duration::from_millis(160),
        "{gap:?}"
    );
}

#[test]
fn a_wrong_status_and_a_refused_connection_are_failures_with_their_reason() {
    let address = server(|_, mut stream| {
        let _ = stream.read(&mut [0; 1024]);
        let _ = stream.write_all(b"HTTP/1.1 500 Internal Server Error\r\n\r\n");
    });
    let plan = Plan {
        exchange: Exchange::get("/readyz"),
        ..Plan::connect(address)
    };
    let report = run(plan, Duration::from_millis(50));
    assert_eq!(
        report.reasons().into_keys().collect::<Vec<_>>(),
        ["answer: status 500"]
    );

    let closed = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("bound");
    let address = closed.local_addr().expect("an address");
    drop(closed);
    let report = run(Plan::connect(address), Duration::from_millis(50));
    assert_eq!(
        report.reasons().into_keys().collect::<Vec<_>>(),
        ["connect: refused"]
    );
}

/// A TLS server with a certificate for 127.0.0.1, and the PEM file of its authority.
fn tls_server(directory: &Path) -> (SocketAddr, PathBuf) {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("made");
    let file = directory.join("ca.crt");
    std::fs::write(&file, made.cert.pem()).expect("written");
    let key = rustls_pki_types::PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key.into())
        .expect("a certificate");
    let config = Arc::new(config);
    let address = server(move |_, stream| {
        let session = rustls::ServerConnection::new(Arc::clone(&config)).expect("a session");
        let mut stream = rustls::StreamOwned::new(session, stream);
        let mut request = [0; 1024];
        if stream.read(&mut request).is_ok_and(|count| count > 0) {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
        }
    });
    (address, file)
}

#[test]
fn handshakes_and_gets_over_tls_get_through_with_the_right_authority() {
    let directory = tempfile::tempdir().expect("a directory");
    let (address, authority) = tls_server(directory.path());
    for trust in [Trust::Authorities(authority), Trust::Anybody] {
        let report = run(
            Plan::handshake(address, trust.clone()),
            Duration::from_millis(100),
        );
        assert_eq!(report.failed(), 0, "{:?}", report.reasons());
        let report = run(
            Plan::tls_get(address, trust, "/readyz"),
            Duration::from_millis(100),
        );
        assert_eq!(report.failed(), 0, "{:?}", report.reasons());
        assert!(report.attempts().len() >= 5);
    }
    let other = tempfile::tempdir().expect("a directory");
    let (_, wrong) = tls_server(other.path());
    let report = run(
        Plan::handshake(address, Trust::Authorities(wrong)),
        Duration::from_millis(50),
    );
    assert_eq!(report.failed(), report.attempts().len());
    assert!(
        report
            .reasons()
            .into_keys()
            .all(|why| why.starts_with("handshake: "))
    );
}

#[test]
fn waiting_for_calm_ends_soon_after_the_failures() {
    let begin = Instant::now();
    let address = server(move |_, mut stream| {
        let _ = stream.read(&mut [0; 1024]);
        if begin.elapsed() > Duration::from_millis(200) {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
        }
    });
    let plan = Plan {
        exchange: Exchange::get("/"),
        ..Plan::connect(address)
    };
    let prober = Prober::start(None, plan).expect("started");
    assert!(prober.wait_for_calm(Duration::from_millis(100), Duration::from_secs(5)));
    assert!(
        begin.elapsed() >= Duration::from_millis(280),
        "{:?}",
        begin.elapsed()
    );
    let last = prober.finish().expect("finished").last_failure(begin);
    assert!(last < Duration::from_millis(260), "{last:?}");
}
