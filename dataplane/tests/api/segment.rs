//! A segment of network namespaces: one switch or two with a cable between them, each with a client in it, and places
//! that are plugged in.

use std::{
    process::Command,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    time::SystemTime,
};

use l2::wire::MacAddr;

use crate::server::Place;

/// The client at the first switch; the API server listens there.
const CLIENT: &str = "10.98.0.1";

/// How many segments were made: tests run side by side.
static MADE: AtomicU32 = AtomicU32::new(0);

/// The namespaces; they go with it.
pub(crate) struct Segment {
    prefix: String,
    made: Vec<String>,
}

fn ip(args: &str) {
    let output = Command::new("ip").args(args.split(' ')).output().unwrap();
    assert!(
        output.status.success(),
        "ip {args}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

impl Segment {
    /// One switch with the client `c`; the nodes `1` and `2` are plugged into it.
    pub(crate) fn new() -> Self {
        let mut segment = Self::with_switches(&["c"]);
        segment.attach("1", "c", 11);
        segment.attach("2", "c", 12);
        segment
    }

    /// Two switches that can be parted: the client `c` and node `1` at one, the client `d` and node `2` at the other.
    pub(crate) fn halved() -> Self {
        let mut segment = Self::with_switches(&["c", "d"]);
        let (c, d) = (segment.name("c"), segment.name("d"));
        ip(&format!(
            "link add trunk netns {c} type veth peer name trunk netns {d}"
        ));
        for switch in [c, d] {
            ip(&format!("-n {switch} link set trunk master br0 up"));
        }
        segment.attach("1", "c", 11);
        segment.attach("2", "d", 12);
        segment
    }

    fn with_switches(switches: &[&str]) -> Self {
        let mut segment = Self {
            prefix: format!("bl{}{}", std::process::id(), MADE.fetch_add(1, Relaxed)),
            made: Vec::new(),
        };
        for (host, switch) in (1..).zip(switches) {
            let name = segment.add(switch);
            ip(&format!("-n {name} link add br0 type bridge"));
            ip(&format!("-n {name} link set br0 address {}", mac(host)));
            address(&name, "br0", host);
        }
        segment
    }

    /// Plugs a place into a switch, with the addresses that end in `host`.
    pub(crate) fn attach(&mut self, what: &str, switch: &str, host: u8) {
        let name = self.add(what);
        let switch = self.name(switch);
        ip(&format!(
            "link add v{what} netns {switch} type veth peer name eth0 netns {name}"
        ));
        ip(&format!("-n {switch} link set v{what} master br0 up"));
        ip(&format!("-n {name} link set eth0 address {}", mac(host)));
        address(&name, "eth0", host);
    }

    /// A network namespace.
    fn add(&mut self, what: &str) -> String {
        let name = self.name(what);
        ip(&format!("netns add {name}"));
        self.made.push(name.clone());
        ip(&format!("-n {name} link set lo up"));
        name
    }

    /// Pulls the cable between the switches.
    pub(crate) fn part(&self) {
        ip(&format!("-n {} link set trunk down", self.name("c")));
    }

    /// Puts it back.
    pub(crate) fn heal(&self) {
        ip(&format!("-n {} link set trunk up", self.name("c")));
    }

    /// Gives a place an address more, or takes it back.
    pub(crate) fn lend(&self, what: &str, address: &str, given: bool) {
        let verb = if given { "add" } else { "del" };
        let name = self.name(what);
        ip(&format!("-n {name} addr {verb} {address} dev eth0"));
    }

    fn name(&self, what: &str) -> String {
        format!("{}{what}", self.prefix)
    }

    pub(crate) fn place(&self, what: &str) -> Place {
        Place {
            namespace: Some(self.name(what)),
            address: CLIENT,
        }
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        for name in &self.made {
            // What was not made cannot be removed.
            let _ = Command::new("ip").args(["netns", "del", name]).output();
        }
    }
}

/// Switches an interface on, with the addresses that end in `host`.
fn address(name: &str, interface: &str, host: u8) {
    ip(&format!(
        "-n {name} addr add 10.98.0.{host}/24 dev {interface}"
    ));
    ip(&format!(
        "-n {name} addr add fd98::{host}/64 dev {interface} nodad"
    ));
    ip(&format!("-n {name} link set {interface} up"));
}

/// The hardware address of the place whose addresses end in `host`.
pub(crate) fn mac(host: u8) -> MacAddr {
    MacAddr::new([2, 0, 0, 0x62, 0, host])
}

/// Now, as every process sees it.
pub(crate) fn seconds() -> f64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap()
        .as_secs_f64()
}
