//! Configuration files.

use std::fmt::Write as _;
use std::net::SocketAddr;

/// A configuration to vary: checks each 50 ms, so that tests are quick.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    pub(crate) frontends: Vec<(String, SocketAddr, String)>,
    pub(crate) servers: Vec<(String, SocketAddr, String)>,
    pub(crate) admin: SocketAddr,
    pub(crate) check: String,
    pub(crate) timeouts: String,
    /// Lines of the backend.
    pub(crate) backend: String,
    /// Lines of the file.
    pub(crate) top: String,
    pub(crate) max_connections: u32,
}

impl Config {
    pub(crate) fn new<'a>(servers: impl IntoIterator<Item = (&'a str, SocketAddr)>) -> Self {
        Self {
            frontends: vec![("api".to_owned(), super::free_address(), String::new())],
            servers: servers
                .into_iter()
                .map(|(name, address)| (name.to_owned(), address, String::new()))
                .collect(),
            admin: super::free_address(),
            check: "kind: tcp, intervalMillis: 50, timeoutMillis: 300, fall: 3, rise: 2".to_owned(),
            timeouts: "connectMillis: 5000, hedgeMillis: 3000, drainSeconds: 5".to_owned(),
            backend: String::new(),
            top: String::new(),
            max_connections: 1000,
        }
    }

    pub(crate) fn check(mut self, check: &str) -> Self {
        self.check = check.to_owned();
        self
    }

    pub(crate) fn timeouts(mut self, timeouts: &str) -> Self {
        self.timeouts = timeouts.to_owned();
        self
    }

    pub(crate) fn backend(mut self, lines: &str) -> Self {
        self.backend = lines.to_owned();
        self
    }

    pub(crate) fn top(mut self, lines: &str) -> Self {
        self.top = lines.to_owned();
        self
    }

    pub(crate) fn max_connections(mut self, sessions: u32) -> Self {
        self.max_connections = sessions;
        self
    }

    /// Adds keys (`key: value, …`) to the first front end.
    pub(crate) fn frontend_keys(mut self, keys: &str) -> Self {
        self.frontends[0].2 = format!(", {keys}");
        self
    }

    /// Adds keys to the server with this name.
    pub(crate) fn server_keys(mut self, name: &str, keys: &str) -> Self {
        for server in self.servers.iter_mut().filter(|server| server.0 == name) {
            server.2 = format!(", {keys}");
        }
        self
    }

    pub(crate) fn front(&self) -> SocketAddr {
        self.frontends[0].1
    }

    pub(crate) fn to_yaml(&self) -> String {
        let mut yaml = "apiVersion: lbnode.bundledlb.io/v1\nkind: ProxyConfig\n".to_owned();
        let list = |yaml: &mut String, entries: &[(String, SocketAddr, String)], indent: &str| {
            for (name, address, keys) in entries {
                let (ip, port) = (address.ip(), address.port());
                writeln!(
                    yaml,
                    "{indent}- {{name: {name}, address: \"{ip}\", port: {port}{keys}}}"
                )
                .unwrap();
            }
        };
        yaml.push_str("frontends:\n");
        list(&mut yaml, &self.frontends, "  ");
        yaml.push_str("backend:\n  servers:\n");
        list(&mut yaml, &self.servers, "    ");
        for line in self.backend.lines() {
            writeln!(yaml, "  {line}").unwrap();
        }
        let Self {
            check,
            timeouts,
            max_connections,
            admin,
            top,
            ..
        } = self;
        write!(
            yaml,
            "  check: {{{check}}}\ntimeouts: {{{timeouts}}}\nmaxConnections: {max_connections}\n\
             admin: \"{admin}\"\n{top}\n"
        )
        .unwrap();
        yaml
    }
}
