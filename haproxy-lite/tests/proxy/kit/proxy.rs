//! A proxy process.

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::process::{Child, ExitStatus, Stdio};

use serde_json::Value;

use super::{CONFIG_VARIABLE, Config, connect, eventually};

/// A running proxy; killed when dropped.
pub(crate) struct Proxy {
    child: Child,
    config: Config,
    folder: tempfile::TempDir,
}

impl Proxy {
    /// Starts one and waits until every server has been checked and every front end is listened on.
    pub(crate) fn start(config: Config) -> Self {
        let proxy = Self::launch(config, |_| {});
        proxy.wait_until("servers are known", |status| {
            let servers = status["servers"].as_array().unwrap();
            servers.iter().all(|server| server["state"] != "unknown")
        });
        proxy
    }

    /// Starts one and waits until it answers.
    pub(crate) fn launch(config: Config, arrange: impl FnOnce(&mut std::process::Command)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("proxy.yaml");
        std::fs::write(&path, config.to_yaml()).unwrap();
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let mut command = std::process::Command::new(std::env::current_exe().unwrap());
        command
            .args([
                "--exact",
                "proxy_process",
                "--nocapture",
                "--test-threads=1",
            ])
            .env(CONFIG_VARIABLE, &path)
            .env("LBNODE_LOG", "debug");
        arrange(&mut command);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        let mut proxy = Self {
            child: command.spawn().unwrap(),
            config,
            folder,
        };
        eventually("the proxy answers", || {
            if let Some(status) = proxy.child.try_wait().unwrap() {
                panic!("the proxy ended: {status}\n{}", proxy.log());
            }
            std::net::TcpStream::connect(proxy.config.admin).is_ok()
        });
        proxy.wait_until("front ends are listened on", |status| {
            let frontends = status["frontends"].as_array().unwrap();
            frontends
                .iter()
                .all(|frontend| frontend["listening"] == true)
        });
        proxy
    }

    pub(crate) fn front(&self) -> SocketAddr {
        self.config.front()
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Bytes of memory.
    pub(crate) fn resident(&self) -> u64 {
        let statm = std::fs::read_to_string(format!("/proc/{}/statm", self.pid())).unwrap();
        statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Status and body of an admin page.
    pub(crate) fn page(&self, path: &str) -> (u16, String) {
        let mut stream = connect(self.config.admin);
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head[9..12].parse().unwrap(), body.to_owned())
    }

    pub(crate) fn status(&self) -> Value {
        let (_, body) = self.page("/status");
        serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error}: {body}"))
    }

    /// The status of one server.
    pub(crate) fn server(&self, name: &str) -> Value {
        let status = self.status();
        let servers = status["servers"].as_array().unwrap();
        servers
            .iter()
            .find(|server| server["name"] == name)
            .unwrap()
            .clone()
    }

    pub(crate) fn wait_until(&self, what: &str, ready: impl Fn(&Value) -> bool) {
        let start = super::clock();
        loop {
            let status = self.status();
            if ready(&status) {
                return;
            }
            assert!(
                start.elapsed() < super::PATIENCE,
                "{what}: {status:#}\n{}",
                self.log()
            );
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
    }

    pub(crate) fn wait_for_state(&self, name: &str, state: &str) {
        self.wait_until(&format!("{name} is {state}"), |status| {
            let servers = status["servers"].as_array().unwrap();
            servers
                .iter()
                .any(|server| server["name"] == name && server["state"] == state)
        });
    }

    /// The value of a metric, by its name and labels as they stand in the text.
    pub(crate) fn metric(&self, name: &str) -> u64 {
        let (_, text) = self.page("/metrics");
        let line = text
            .lines()
            .find(|line| line.strip_prefix(name).is_some_and(|l| l.starts_with(' ')));
        let line = line.unwrap_or_else(|| panic!("no metric {name} in\n{text}"));
        line[name.len() + 1..].parse().unwrap()
    }

    /// Replaces the file without waiting.
    pub(crate) fn write(&mut self, text: &str) {
        let temporary = self.folder.path().join("next");
        std::fs::write(&temporary, text).unwrap();
        std::fs::rename(temporary, self.folder.path().join("proxy.yaml")).unwrap();
    }

    /// Replaces the file and waits until it is in force.
    pub(crate) fn reload(&mut self, config: Config) {
        let before = self.status()["config"]["reloads"].as_u64();
        self.write(&config.to_yaml());
        self.wait_until("the file is in force", |status| {
            status["config"]["reloads"].as_u64() > before
        });
        self.config = config;
    }

    pub(crate) fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        let status = std::process::Command::new("kill")
            .args(["-s", signal, &pid])
            .status();
        assert!(status.unwrap().success());
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        let mut status = None;
        eventually("the proxy ends", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
