//! A stand-in for the nodes' proxies, as far as their routers ask for them.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use anyhow::Result;
use lab_tests::duel::arena::Arena;
use lab_tests::duel::router::Track;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use tempfile::TempDir;

const LIVE: u16 = 11_000;
const READY: u16 = 6443;

pub(super) struct Proxies {
    directory: TempDir,
    tls: Arc<ServerConfig>,
}

impl Proxies {
    pub(super) fn new() -> Result<Self> {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()])?;
        let directory = tempfile::tempdir()?;
        fs::write(directory.path().join("ca.crt"), made.cert.pem())?;
        let key = rustls_pki_types::PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key.into())?;
        Ok(Self {
            directory,
            tls: Arc::new(tls),
        })
    }

    /// Where the routers ask.
    pub(super) fn track(&self) -> Track {
        Track {
            live: LIVE,
            ready: READY,
            ca_file: self.directory.path().join("ca.crt"),
        }
    }

    /// One in a router's place: an API server is ready through it, and it says of itself what is in the cell.
    pub(super) fn start(&self, arena: &Arena, index: usize) -> Result<Arc<AtomicU16>> {
        let place = format!("r{index}");
        let status = Arc::new(AtomicU16::new(200));
        let shared = Arc::clone(&status);
        arena.inside(&place, move || -> Result<()> {
            for stream in TcpListener::bind(("127.0.0.1", LIVE))?.incoming() {
                answer(stream?, shared.load(Ordering::Relaxed));
            }
            Ok(())
        })?;
        let tls = Arc::clone(&self.tls);
        arena.inside(&place, move || -> Result<()> {
            for stream in TcpListener::bind(("127.0.0.1", READY))?.incoming() {
                let session = ServerConnection::new(Arc::clone(&tls))?;
                answer(StreamOwned::new(session, stream?), 200);
            }
            Ok(())
        })?;
        Ok(status)
    }
}

/// A router that was killed meanwhile does not want an answer.
fn answer(mut stream: impl Read + Write, status: u16) {
    let _ = stream.read(&mut [0; 1000]);
    let _ = write!(
        stream,
        "HTTP/1.1 {status} Status\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    );
    let _ = stream.flush();
}
