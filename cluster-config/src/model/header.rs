//! The header document.

use super::located::Located;

/// Settings of the operator's tool.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Header {
    pub(crate) ssh_private_key_path: Option<Located<String>>,
    pub(crate) registry_mirrors: Vec<RegistryMirror>,
    pub(crate) private_registries: Vec<PrivateRegistry>,
}

impl Header {
    /// `sshPrivateKeyPath` as written: may be relative or begin with `~`.
    pub fn ssh_private_key_path(&self) -> Option<&str> {
        self.ssh_private_key_path.as_ref().map(|path| path.as_str())
    }

    /// Registries asked before the original ones.
    pub fn registry_mirrors(&self) -> &[RegistryMirror] {
        &self.registry_mirrors
    }

    /// Registries for workloads.
    pub fn private_registries(&self) -> &[PrivateRegistry] {
        &self.private_registries
    }
}

/// A registry that stands for others. Paths are on the operator's machine.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct RegistryMirror {
    /// `https://host:port`, optionally with `/v2/NAMESPACE`.
    pub endpoint: String,
    /// CA certificate.
    pub ca_cert_path: Option<String>,
    /// Docker `config.json` with credentials.
    pub pull_credential_config_path: Option<String>,
    /// Registries that it stands for.
    pub hosts: Vec<String>,
}

/// A registry with credentials or a private CA. Paths are on the operator's machine.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct PrivateRegistry {
    /// `host:port`.
    pub host: String,
    /// CA certificate.
    pub ca_cert_path: Option<String>,
    /// Docker `config.json` with credentials.
    pub pull_credential_config_path: Option<String>,
}
