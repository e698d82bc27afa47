//! Network namespaces: a client, a proxy host and back ends on one bridge.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};

use super::contestants::Contestant;
use super::process::Spawned;

/// The namespaces; removed when dropped.
pub(super) struct Ground {
    prefix: String,
    folder: PathBuf,
}

const PROXY: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 10);
const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);
/// The back ends.
pub(super) const SERVERS: [Ipv4Addr; 3] = [
    Ipv4Addr::new(10, 77, 0, 21),
    Ipv4Addr::new(10, 77, 0, 22),
    Ipv4Addr::new(10, 77, 0, 23),
];
/// Their port.
pub(super) const SERVER_PORT: u16 = 6443;

impl Ground {
    pub(super) fn new() -> Result<Self> {
        let prefix = format!("pbench{}", std::process::id() % 10_000);
        let folder = std::env::temp_dir().join(&prefix);
        std::fs::create_dir_all(&folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
        let ground = Self { prefix, folder };
        let switch = ground.name("switch");
        ip(&["netns", "add", &switch]).context("network namespaces need root")?;
        ip(&["-n", &switch, "link", "add", "bridge", "type", "bridge"])?;
        ip(&["-n", &switch, "link", "set", "bridge", "up"])?;
        run(ground
            .inside("switch", "sysctl")
            .arg("-eqw")
            .args(SWITCH_SETTINGS))?;
        ground.add("client", CLIENT)?;
        ground.add("proxy", PROXY)?;
        for (number, address) in SERVERS.iter().enumerate() {
            ground.add(&format!("server{number}"), *address)?;
        }
        Ok(ground)
    }

    /// One host on the bridge.
    fn add(&self, role: &str, address: Ipv4Addr) -> Result<()> {
        let (switch, host) = (self.name("switch"), self.name(role));
        ip(&["netns", "add", &host])?;
        ip(&["-n", &host, "link", "set", "lo", "up"])?;
        ip(&[
            "-n", &switch, "link", "add", role, "type", "veth", "peer", "name", "eth0", "netns",
            &host,
        ])?;
        ip(&["-n", &switch, "link", "set", role, "master", "bridge", "up"])?;
        ip(&[
            "-n",
            &host,
            "address",
            "add",
            &format!("{address}/24"),
            "dev",
            "eth0",
        ])?;
        ip(&["-n", &host, "link", "set", "eth0", "up"])?;
        for setting in SETTINGS {
            run(self.inside(role, "sysctl").args(["-qw", setting]))?;
        }
        Ok(())
    }

    pub(super) fn client(&self) -> String {
        self.name("client")
    }

    /// Where configuration files go.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// A command on one of the hosts.
    pub(super) fn inside(&self, role: &str, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name(role), program]);
        command
    }

    /// Where a client of this contestant connects to.
    pub(super) fn targets(&self, contestant: Contestant) -> Vec<SocketAddr> {
        match contestant {
            Contestant::Direct => SERVERS
                .iter()
                .map(|server| SocketAddr::from((*server, SERVER_PORT)))
                .collect(),
            proxy => vec![SocketAddr::from((PROXY, proxy.port()))],
        }
    }

    /// Address of the proxy host.
    pub(super) fn proxy_address() -> Ipv4Addr {
        PROXY
    }

    /// Starts the back end, one process for all servers.
    pub(super) fn serve(&self, tool: &Path) -> Result<Spawned> {
        let mut command = Command::new("taskset");
        command.args(["-c", "0"]).arg(tool).arg("serve");
        for (number, address) in SERVERS.iter().enumerate() {
            let netns = self.name(&format!("server{number}"));
            command.arg(format!("{netns}@{address}:{SERVER_PORT}"));
        }
        Spawned::start(command.stdout(Stdio::piped()), "the back end")?.await_line("ready")
    }

    fn name(&self, role: &str) -> String {
        format!("{}-{role}", self.prefix)
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        let servers = (0..SERVERS.len()).map(|number| format!("server{number}"));
        for role in ["client", "proxy", "switch"]
            .map(str::to_owned)
            .into_iter()
            .chain(servers)
        {
            // What was not made need not be removed.
            let _ = ip(&["netns", "delete", &self.name(&role)]);
        }
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn ip(arguments: &[&str]) -> Result<()> {
    run(Command::new("ip").args(arguments))
}

fn run(command: &mut Command) -> Result<()> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .context("cannot run `ip`")?;
    ensure!(
        !output.stderr.starts_with(b"open_tree"),
        "network namespaces are not available"
    );
    if !output.status.success() {
        bail!(
            "{command:?}: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(())
}

/// Of every host: enough ports and queues for tens of thousands of short connections.
const SETTINGS: &[&str] = &[
    "net.ipv4.ip_local_port_range=1024 65000",
    "net.ipv4.tcp_tw_reuse=1",
    "net.ipv4.tcp_max_syn_backlog=16384",
    "net.core.somaxconn=16384",
    "net.ipv4.tcp_slow_start_after_idle=0",
    "net.ipv4.ip_local_reserved_ports=7000-7099",
    // Where nothing is lost all are alike but for their cost: BBR, which some hosts prefer, sets a timer for almost every
    // segment. This is the one that every kernel has and allows in every namespace.
    "net.ipv4.tcp_congestion_control=reno",
];
/// Of the bridge, where the kernel has them: a switch asks no packet filter.
const SWITCH_SETTINGS: &[&str] = &[
    "net.bridge.bridge-nf-call-iptables=0",
    "net.bridge.bridge-nf-call-ip6tables=0",
    "net.bridge.bridge-nf-call-arptables=0",
];
