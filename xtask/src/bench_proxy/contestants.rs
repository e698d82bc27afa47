//! The proxies that are compared, each with one thread and no logs or checks that cost it anything.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use lab_tests::host::is_installed;

use super::ground::{Ground, SERVER_PORT, SERVERS};
use super::haproxy::Haproxy;
use super::process::{Processes, Spawned};
use crate::say;

/// Who is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Contestant {
    /// No proxy.
    Direct,
    /// Ours.
    HaproxyLite,
    /// As it comes.
    Haproxy,
    /// With `option splice-auto`.
    HaproxySplice,
    /// With splice, 64 KiB buffers and 1 MiB pipes.
    HaproxyTuned,
    /// `stream` module.
    Nginx,
}

impl Contestant {
    const PROXIES: [Self; 5] = [
        Self::HaproxyLite,
        Self::Haproxy,
        Self::HaproxySplice,
        Self::HaproxyTuned,
        Self::Nginx,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::HaproxyLite => "haproxy-lite",
            Self::Haproxy => "haproxy",
            Self::HaproxySplice => "haproxy-splice",
            Self::HaproxyTuned => "haproxy-tuned",
            Self::Nginx => "nginx",
        }
    }

    /// On the proxy host.
    pub(super) fn port(self) -> u16 {
        match self {
            Self::Direct => SERVER_PORT,
            Self::HaproxyLite => 7001,
            Self::Haproxy => 7002,
            Self::HaproxySplice => 7003,
            Self::HaproxyTuned => 7004,
            Self::Nginx => 7005,
        }
    }

    fn configuration(self, folder: &Path) -> String {
        match self {
            Self::Direct => String::new(),
            Self::HaproxyLite => haproxy_lite(self.port()),
            Self::Haproxy => haproxy(self.port(), "", ""),
            Self::HaproxySplice => {
                haproxy(self.port(), "  maxpipes 100\n", "  option splice-auto\n")
            }
            Self::HaproxyTuned => haproxy(
                self.port(),
                "  maxpipes 100\n  tune.bufsize 65536\n  tune.pipesize 1048576\n",
                "  option splice-auto\n",
            ),
            Self::Nginx => nginx(self.port(), folder),
        }
    }
}

/// All proxies, running.
pub(super) struct Running {
    spawned: Vec<Spawned>,
    processes: BTreeMap<Contestant, Processes>,
    none: Processes,
}

impl Running {
    /// Starts them on one processor, which is the client's or another one.
    pub(super) fn start(
        ground: &Ground,
        lbnode: &Path,
        haproxy: &Haproxy,
        one_processor: bool,
    ) -> Result<Self> {
        let processor = if one_processor { "0" } else { "1" };
        let mut running = Self {
            spawned: Vec::new(),
            processes: BTreeMap::new(),
            none: Processes::default(),
        };
        for contestant in Contestant::PROXIES {
            let nginx = || is_installed("nginx") && Path::new(NGINX_STREAM).is_file();
            if contestant == Contestant::Nginx && !nginx() {
                say::progress(
                    "nginx is left out: it is not installed (apt-get install nginx libnginx-mod-stream)",
                );
                continue;
            }
            let file = ground.folder().join(contestant.name());
            super::write(&file, &contestant.configuration(ground.folder()))?;
            let mut command = ground.inside("proxy", "taskset");
            command.args(["-c", processor]);
            match contestant {
                Contestant::HaproxyLite => {
                    command
                        .arg(lbnode)
                        .args(["proxy", "--log-level", "warn", "--config"]);
                }
                Contestant::Nginx => {
                    command.args(["nginx", "-c"]);
                }
                _ => {
                    command.args(&haproxy.command).args(["-db", "-f"]);
                }
            }
            let log = std::fs::File::create(file.with_extension("log"))?;
            command
                .arg(&file)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(log);
            let mut spawned = Spawned::start(&mut command, contestant.name())?;
            await_listener(ground, contestant, &mut spawned)?;
            running
                .processes
                .insert(contestant, Processes::of(spawned.id()));
            running.spawned.push(spawned);
        }
        // The first checks of ours are over.
        std::thread::sleep(Duration::from_millis(500));
        Ok(running)
    }

    /// Whether it takes part; nobody needs to be started for no proxy.
    pub(super) fn has(&self, contestant: Contestant) -> bool {
        contestant == Contestant::Direct || self.processes.contains_key(&contestant)
    }

    pub(super) fn processes(&self, contestant: Contestant) -> &Processes {
        self.processes.get(&contestant).unwrap_or(&self.none)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // nginx' workers outlive a master that is killed; asked to quit, it takes them along.
        for process in self.spawned.iter().map(Spawned::id) {
            let _ = Command::new("kill")
                .args(["-s", "TERM", &process.to_string()])
                .status();
        }
        std::thread::sleep(Duration::from_millis(500));
    }
}

fn await_listener(ground: &Ground, contestant: Contestant, spawned: &mut Spawned) -> Result<()> {
    let log = ground
        .folder()
        .join(contestant.name())
        .with_extension("log");
    for _ in 0..100 {
        let listening = ground
            .inside("proxy", "ss")
            .args(["-Hltn", "sport", "=", &contestant.port().to_string()])
            .output()
            .context("cannot run `ss`")?;
        if !listening.stdout.is_empty() {
            return Ok(());
        }
        if spawned.has_ended()? {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let log = std::fs::read_to_string(log).unwrap_or_default();
    bail!("{} does not listen:\n{log}", contestant.name())
}

fn haproxy_lite(port: u16) -> String {
    let proxy = Ground::proxy_address();
    let mut text = format!(
        "apiVersion: lbnode.bundledlb.io/v1\nkind: ProxyConfig\n\
         frontends: [{{name: bench, address: {proxy}, port: {port}}}]\n\
         maxConnections: 9000\nthreads: 1\nadmin: 127.0.0.1:7090\n\
         backend:\n  balance: roundRobin\n  check: {{kind: tcp, intervalMillis: 3600000, timeoutMillis: 2000, fall: 3, rise: 2}}\n  servers:\n"
    );
    for (number, address) in SERVERS.iter().enumerate() {
        // Writing to a string cannot fail, here and below.
        let _ = writeln!(
            text,
            "  - {{name: s{number}, address: {address}, port: {SERVER_PORT}}}"
        );
    }
    text
}

fn haproxy(port: u16, global: &str, defaults: &str) -> String {
    let proxy = Ground::proxy_address();
    let mut text = format!(
        "global\n  maxconn 9000\n  nbthread 1\n{global}\
         defaults\n  mode tcp\n  timeout connect 5s\n  timeout client 1h\n  timeout server 1h\n  maxconn 9000\n{defaults}\
         frontend f\n  bind {proxy}:{port}\n  default_backend b\n\
         backend b\n  balance roundrobin\n"
    );
    for (number, address) in SERVERS.iter().enumerate() {
        let _ = writeln!(text, "  server s{number} {address}:{SERVER_PORT}");
    }
    text
}

const NGINX_STREAM: &str = "/usr/lib/nginx/modules/ngx_stream_module.so";

fn nginx(port: u16, folder: &Path) -> String {
    let (proxy, folder) = (Ground::proxy_address(), folder.display());
    let servers: String = SERVERS
        .iter()
        .map(|address| format!(" server {address}:{SERVER_PORT};"))
        .collect();
    format!(
        "load_module {NGINX_STREAM};\n\
         daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/nginx.err crit;\n\
         worker_rlimit_nofile 20000;\n\
         events {{ worker_connections 19000; multi_accept on; use epoll; }}\n\
         stream {{ upstream b {{{servers} }}\n\
         server {{ listen {proxy}:{port} reuseport backlog=16384; proxy_pass b; proxy_timeout 1h; tcp_nodelay on; }} }}\n"
    )
}
