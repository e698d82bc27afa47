//! Sockets that something listens on.

use std::net::IpAddr;

/// A listening socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// Local address; absent: every address.
    pub address: Option<IpAddr>,
    /// Local port.
    pub port: u16,
    /// Program and process id, when they can be seen.
    pub process: Option<(String, u32)>,
}

impl Listener {
    /// Reads `ADDRESS:PORT PROGRAM PID` as `ss` prints it (`*:443`, `[::]:443`, `127.0.0.1%lo:53`).
    pub(super) fn parse(value: &str) -> Option<Self> {
        let (local, process) = value.split_once(' ').unwrap_or((value, "-"));
        let (address, port) = local.rsplit_once(':')?;
        let address = address
            .split('%')
            .next()?
            .trim_matches(|c| c == '[' || c == ']');
        let address = address
            .parse::<IpAddr>()
            .ok()
            .filter(|address| !address.is_unspecified());
        let process = process
            .rsplit_once(' ')
            .and_then(|(program, pid)| Some((program.to_owned(), pid.parse().ok()?)))
            .filter(|(_, pid)| *pid != 0);
        Some(Self {
            address,
            port: port.parse().ok()?,
            process,
        })
    }

    /// Whether a socket bound to `wanted` (absent: every address) and `port` would clash with this one.
    pub fn clashes(&self, wanted: Option<IpAddr>, port: u16) -> bool {
        self.port == port
            && match (self.address, wanted) {
                (Some(mine), Some(wanted)) => mine == wanted,
                _ => true,
            }
    }
}
