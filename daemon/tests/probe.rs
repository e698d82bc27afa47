//! Probes against servers that do one thing wrong each.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "test: measures real time and ends where something unexpected happens"
)]

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use daemon::probe::{self, MAX_BODY_BYTES, Phase, ProbeFailure};
use daemon::tls::{ClientTls, ServerName, provider};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

const PATIENCE: Duration = Duration::from_millis(300);
const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

#[tokio::test]
async fn a_good_answer_comes_with_status_body_and_duration() {
    let answer = plain(OK).await.unwrap();
    assert_eq!(
        (answer.status, answer.body.as_slice()),
        (200, b"ok".as_slice())
    );
    assert!(answer.took > Duration::ZERO && answer.took < PATIENCE);

    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n";
    assert_eq!(plain(chunked).await.unwrap().body, b"ok");
    assert_eq!(
        plain("HTTP/1.0 200 OK\r\n\r\nuntil the end")
            .await
            .unwrap()
            .body,
        b"until the end"
    );
}

#[tokio::test]
async fn refused_is_told_at_once() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let addr = listener.local_addr().unwrap();
    drop(listener);
    let failure = probe::get(addr, None, "/readyz", PATIENCE)
        .await
        .unwrap_err();
    assert!(matches!(failure, ProbeFailure::Refused), "{failure:?}");
    assert_eq!(
        (failure.kind(), failure.to_string().as_str()),
        ("refused", "connection refused")
    );
}

#[tokio::test]
async fn a_connect_without_answer_times_out_in_the_connect_phase() {
    // A listener whose backlog is full drops further handshakes.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket
        .bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
        .unwrap();
    let listener = socket.listen(1).unwrap();
    let addr = listener.local_addr().unwrap();
    let mut waiting = Vec::new();
    for _ in 0..8 {
        if let Ok(Ok(stream)) = tokio::time::timeout(PATIENCE, TcpStream::connect(addr)).await {
            waiting.push(stream);
        } else {
            break;
        }
    }
    assert_timeout(probe::get(addr, None, "/readyz", PATIENCE), Phase::Connect).await;
}

#[tokio::test]
async fn a_silent_server_times_out_in_the_tls_answer_and_body_phases() {
    let ca = Ca::new();
    let silent = serve(|stream| async move {
        std::future::pending::<()>().await;
        drop(stream);
    })
    .await;
    let tls = ca.trust();
    assert_timeout(
        probe::get(silent, Some((&tls, name("127.0.0.1"))), "/", PATIENCE),
        Phase::Tls,
    )
    .await;
    assert_timeout(probe::get(silent, None, "/", PATIENCE), Phase::Answer).await;

    let half = "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf";
    let half = serve(move |mut stream| async move {
        let _ = stream.write_all(half.as_bytes()).await;
        std::future::pending::<()>().await;
    })
    .await;
    assert_timeout(probe::get(half, None, "/", PATIENCE), Phase::Body).await;
}

#[tokio::test]
async fn tls_is_verified_against_the_ca_and_the_name() {
    let ca = Ca::new();
    let addr = ca
        .serve(
            &["127.0.0.1", "10.10.0.100", "kubernetes"],
            Validity::Current,
        )
        .await;
    let tls = ca.trust();
    for good in ["127.0.0.1", "10.10.0.100", "kubernetes"] {
        let answer = probe::get(addr, Some((&tls, name(good))), "/readyz", PATIENCE * 10).await;
        assert_eq!(answer.unwrap().body, b"ok", "{good}");
    }
    let failure = failure(probe::get(
        addr,
        Some((&tls, name("10.10.0.101"))),
        "/",
        PATIENCE * 10,
    ))
    .await;
    assert_eq!(
        failure,
        (
            "tls",
            "TLS failed: the certificate does not carry `10.10.0.101`".into()
        )
    );
}

#[tokio::test]
async fn a_foreign_ca_an_old_certificate_and_plain_text_are_told_apart() {
    let (ca, foreign) = (Ca::new(), Ca::new());
    let addr = ca.serve(&["127.0.0.1"], Validity::Current).await;
    let tls = foreign.trust();
    let got = failure(probe::get(
        addr,
        Some((&tls, name("127.0.0.1"))),
        "/",
        PATIENCE * 10,
    ))
    .await;
    assert_eq!(
        got,
        (
            "tls",
            "TLS failed: the certificate is not signed by the trusted CA".into()
        )
    );

    let old = ca.serve(&["127.0.0.1"], Validity::Past).await;
    let tls = ca.trust();
    let got = failure(probe::get(
        old,
        Some((&tls, name("127.0.0.1"))),
        "/",
        PATIENCE * 10,
    ))
    .await;
    assert_eq!(
        got,
        ("tls", "TLS failed: the certificate has expired".into())
    );

    let closing = serve(|stream| async { drop(stream) }).await;
    let got = failure(probe::get(
        closing,
        Some((&tls, name("127.0.0.1"))),
        "/",
        PATIENCE * 10,
    ))
    .await;
    assert_eq!(got.0, "tls");

    let plain_text = serve(|mut stream| async move { answer(&mut stream, OK).await }).await;
    let got = failure(probe::get(
        plain_text,
        Some((&tls, name("127.0.0.1"))),
        "/",
        PATIENCE * 10,
    ))
    .await;
    assert_eq!(got.0, "tls");
}

#[tokio::test]
async fn a_refusal_carries_status_and_the_start_of_the_body() {
    let body = format!("[-]etcd failed:\n  reason withheld {}", "x".repeat(500));
    let text = format!(
        "HTTP/1.1 500 Nope\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let failure = plain(&text).await.unwrap_err();
    let ProbeFailure::Status(500, excerpt) = &failure else {
        panic!("{failure:?}")
    };
    assert!(
        excerpt.starts_with("[-]etcd failed: reason withheld x") && excerpt.len() <= 200,
        "{excerpt}"
    );
    assert!(
        failure.to_string().starts_with("answered 500: [-]etcd"),
        "{failure}"
    );

    let redirect =
        plain("HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1/\r\ncontent-length: 0\r\n\r\n")
            .await;
    assert_eq!(redirect.unwrap_err().to_string(), "answered 302");
}

#[tokio::test]
async fn bodies_are_bounded_whether_or_not_they_say_their_length() {
    let big = "x".repeat(MAX_BODY_BYTES + 1);
    for text in [
        format!(
            "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{big}",
            big.len()
        ),
        format!("HTTP/1.0 200 OK\r\n\r\n{big}"),
    ] {
        let failure = plain(&text).await.unwrap_err();
        assert_eq!(
            failure.to_string(),
            "no usable answer: body is larger than 65536 bytes"
        );
    }
    let fits = &big[1..];
    let text = format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{fits}",
        fits.len()
    );
    assert_eq!(plain(&text).await.unwrap().body.len(), MAX_BODY_BYTES);
}

#[tokio::test]
async fn broken_answers_are_failures_in_words() {
    for text in [
        "",
        "SSH-2.0-OpenSSH_9.2\r\n",
        "HTTP/1.1 abc\r\n\r\n",
        "\0\0\0\0",
    ] {
        let failure = plain(text).await.unwrap_err();
        assert_eq!(failure.kind(), "http", "{text:?}: {failure:?}");
    }
    let cut = plain("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf")
        .await
        .unwrap_err();
    assert!(
        cut.to_string()
            .starts_with("no usable answer: body is incomplete"),
        "{cut}"
    );
}

async fn plain(text: &str) -> Result<probe::Answer, ProbeFailure> {
    let text = text.to_owned();
    let addr = serve(move |mut stream| {
        let text = text.clone();
        async move { answer(&mut stream, &text).await }
    })
    .await;
    probe::get(addr, None, "/readyz", PATIENCE * 10).await
}

async fn assert_timeout(
    probe: impl Future<Output = Result<probe::Answer, ProbeFailure>>,
    wanted: Phase,
) {
    let start = Instant::now();
    let failure = probe.await.unwrap_err();
    assert!(
        matches!(failure, ProbeFailure::Timeout { phase } if phase == wanted),
        "{failure:?}"
    );
    assert_eq!(failure.kind(), "timeout");
    assert!(start.elapsed() < PATIENCE * 3);
}

async fn failure(
    probe: impl Future<Output = Result<probe::Answer, ProbeFailure>>,
) -> (&'static str, String) {
    let failure = probe.await.unwrap_err();
    (failure.kind(), failure.to_string())
}

fn name(text: &str) -> ServerName<'static> {
    ServerName::try_from(text.to_owned()).unwrap()
}

/// Reads one request head and answers with `text`.
async fn answer(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), text: &str) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
        if head.first() == Some(&0x16) {
            break;
        }
    }
    let _ = stream.write_all(text.as_bytes()).await;
    let _ = stream.shutdown().await;
}

async fn serve<F, T>(behave: F) -> SocketAddr
where
    F: Fn(TcpStream) -> T + Send + 'static,
    T: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(behave(stream));
        }
    });
    addr
}

enum Validity {
    Current,
    Past,
}

struct Ca(CertifiedIssuer<'static, KeyPair>);

impl Ca {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn trust(&self) -> ClientTls {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), self.0.pem()).unwrap();
        ClientTls::from_ca_file(file.path()).unwrap()
    }

    async fn serve(&self, names: &[&str], validity: Validity) -> SocketAddr {
        let key = KeyPair::generate().unwrap();
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(names).unwrap();
        if matches!(validity, Validity::Past) {
            params.not_before = rcgen::date_time_ymd(2001, 1, 1);
            params.not_after = rcgen::date_time_ymd(2002, 1, 1);
        }
        let certificate: CertificateDer<'static> = params.signed_by(&key, &self.0).unwrap().into();
        let config = rustls::ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate],
                PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
            )
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        serve(move |stream| {
            let acceptor = acceptor.clone();
            async move {
                if let Ok(mut stream) = acceptor.accept(stream).await {
                    answer(&mut stream, OK).await;
                }
            }
        })
        .await
    }
}
