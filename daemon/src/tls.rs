//! The only place that constructs TLS configurations. The provider is ring, handed over explicitly, so
//! that a second provider in the dependency graph can never make rustls guess.

use std::fs;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};

pub use rustls_pki_types::ServerName;

/// Trust in one CA, for HTTPS checks of API servers.
#[derive(Debug, Clone)]
pub struct ClientTls {
    config: Arc<ClientConfig>,
}

impl ClientTls {
    /// Trusts the certificates in the PEM file `path` and nothing else.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or holds no usable certificate.
    pub fn from_ca_file(path: &Path) -> Result<Self, TlsError> {
        let origin = path.display().to_string();
        let pem = fs::read(path).map_err(|source| TlsError::Read {
            origin: origin.clone(),
            source,
        })?;
        Self::from_ca_pem(&pem, &origin)
    }

    /// Trusts the certificates in `pem` and nothing else; `origin` names them in errors.
    ///
    /// # Errors
    ///
    /// When `pem` holds no usable certificate.
    pub fn from_ca_pem(pem: &[u8], origin: &str) -> Result<Self, TlsError> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate.map_err(|error| TlsError::Pem {
                origin: origin.to_owned(),
                reason: error.to_string(),
            })?;
            roots
                .add(certificate)
                .map_err(|error| TlsError::Certificate {
                    origin: origin.to_owned(),
                    reason: error.to_string(),
                })?;
        }
        if roots.is_empty() {
            return Err(TlsError::Empty {
                origin: origin.to_owned(),
            });
        }
        let mut config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| TlsError::Provider {
                reason: error.to_string(),
            })?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        // A resumed session does not show its certificate: a wrong or expired one would go unnoticed.
        config.resumption = Resumption::disabled();
        Ok(Self {
            config: Arc::new(config),
        })
    }

    /// What tokio-rustls needs to open a connection.
    #[must_use]
    pub fn connector(&self) -> TlsConnector {
        TlsConnector::from(Arc::clone(&self.config))
    }
}

/// A server with a certificate that nobody trusts, for stand-ins whose answers prove nothing but a way.
#[derive(Debug, Clone)]
pub struct ServerTls {
    config: Arc<ServerConfig>,
}

impl ServerTls {
    /// Makes a key and a certificate for `name` (a DNS name or an address) that live as long as the process.
    ///
    /// # Errors
    ///
    /// When `name` is neither, or the system has no randomness.
    pub fn self_signed(name: &str) -> Result<Self, TlsError> {
        let provider_error = |reason: String| TlsError::Provider { reason };
        let made = rcgen::generate_simple_self_signed([name.to_owned()])
            .map_err(|error| provider_error(error.to_string()))?;
        let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
        let config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| provider_error(error.to_string()))?
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key.into())
            .map_err(|error| provider_error(error.to_string()))?;
        Ok(Self {
            config: Arc::new(config),
        })
    }

    /// What tokio-rustls needs to take a connection.
    #[must_use]
    pub fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.config))
    }
}

/// The TLS provider of the process, made once.
#[must_use]
pub fn provider() -> Arc<CryptoProvider> {
    Arc::clone(PROVIDER.get_or_init(|| Arc::new(rustls::crypto::ring::default_provider())))
}

/// Makes [`provider`] the default of the process as well, for libraries that construct their own
/// configurations (the Kubernetes client). Later calls change nothing.
pub fn install_default_provider() {
    let _ = provider().as_ref().clone().install_default();
}

/// Why there is no TLS configuration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// The CA file cannot be read.
    #[error("cannot read the CA file `{origin}`")]
    Read {
        /// Where the certificates were to come from.
        origin: String,
        /// Answer of the operating system.
        source: std::io::Error,
    },
    /// The text is not PEM.
    #[error("`{origin}` is not valid PEM: {reason}")]
    Pem {
        /// Where the certificates came from.
        origin: String,
        /// What the PEM reader said.
        reason: String,
    },
    /// A certificate cannot be used as a trust anchor.
    #[error("`{origin}` holds a certificate that cannot be used as CA: {reason}")]
    Certificate {
        /// Where the certificate came from.
        origin: String,
        /// What rustls said.
        reason: String,
    },
    /// There is no certificate.
    #[error("`{origin}` holds no certificate")]
    Empty {
        /// Where the certificates were to come from.
        origin: String,
    },
    /// The provider does not speak the protocol versions that are needed.
    #[error("the TLS provider cannot be used: {reason}")]
    Provider {
        /// What rustls said.
        reason: String,
    },
}

impl TlsError {
    /// Bounded label for metrics.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Read { .. } => "read",
            Self::Pem { .. } => "pem",
            Self::Certificate { .. } => "certificate",
            Self::Empty { .. } => "empty",
            Self::Provider { .. } => "provider",
        }
    }
}

static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unreadable_or_empty_or_broken_ca_is_named() {
        let missing = ClientTls::from_ca_file(Path::new("/nonexistent/ca.crt")).unwrap_err();
        assert_eq!(missing.kind(), "read");
        assert_eq!(
            missing.to_string(),
            "cannot read the CA file `/nonexistent/ca.crt`"
        );

        let empty = ClientTls::from_ca_pem(b"", "ca.crt").unwrap_err();
        assert_eq!(empty.to_string(), "`ca.crt` holds no certificate");

        let pem = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert_eq!(
            ClientTls::from_ca_pem(pem, "ca.crt").unwrap_err().kind(),
            "certificate"
        );

        let cut = b"-----BEGIN CERTIFICATE-----\nAAAA\n";
        assert_eq!(
            ClientTls::from_ca_pem(cut, "ca.crt").unwrap_err().kind(),
            "pem"
        );
    }

    #[tokio::test]
    async fn a_self_signed_server_speaks_tls_and_is_not_trusted() {
        let server = ServerTls::self_signed("127.0.0.1").expect("a certificate");
        let other = rcgen::generate_simple_self_signed(["other".to_owned()]).expect("a CA");
        let client = ClientTls::from_ca_pem(other.cert.pem().as_bytes(), "other").expect("a CA");
        let (near, far) = tokio::io::duplex(65_536);
        let (acceptor, connector) = (server.acceptor(), client.connector());
        let name = ServerName::try_from("127.0.0.1").expect("an address");
        let (accepted, connected) =
            tokio::join!(acceptor.accept(near), connector.connect(name, far));
        let refused = connected.expect_err("nobody trusts it").to_string();
        assert!(refused.contains("invalid peer certificate"), "{refused}");
        assert!(accepted.is_err());
    }
}
