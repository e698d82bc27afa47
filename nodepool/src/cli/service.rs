//! Commands about one Service.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use clap::{Args, Subcommand};

use super::{Output, Target};

/// `lbctl check service`
#[derive(Debug, Args)]
pub struct CheckService {
    /// The Service
    #[arg(value_name = "NAMESPACE/NAME")]
    pub service: ServiceName,
    /// Cluster and machines.
    #[command(flatten)]
    pub target: Target,
    /// Form of the output
    #[arg(long, short, value_enum, default_value = "table")]
    pub output: Output,
}

/// `namespace/name`; a name alone is one in `default`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceName {
    namespace: String,
    name: String,
}

impl FromStr for ServiceName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (namespace, name) = text.split_once('/').unwrap_or(("default", text));
        let plain = |word: &str| {
            !word.is_empty()
                && word
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        };
        if plain(namespace) && plain(name) {
            Ok(Self {
                namespace: namespace.to_owned(),
                name: name.to_owned(),
            })
        } else {
            Err("write `namespace/name`, or a name in the namespace `default`".to_owned())
        }
    }
}

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// `lbctl explain …`
#[derive(Debug, Subcommand)]
pub enum Explain {
    /// Who answers for the address of a Service, and why the other nodes do not
    Owner(ExplainOwner),
}

/// `lbctl explain owner`
#[derive(Debug, Args)]
pub struct ExplainOwner {
    /// The address
    #[arg(value_name = "IP")]
    pub address: IpAddr,
    /// Cluster and machines.
    #[command(flatten)]
    pub target: Target,
}
