//! Partitions of an arena, and what neighbours forget in one.

use std::fmt;

use anyhow::{Result, ensure};

use super::arena::Arena;
use crate::tool;

/// How a router's place is parted from the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Partition {
    /// Its cable is out at the switch: its own end loses the carrier.
    NoCarrier,
    /// Its cable ends in no bridge.
    Unplugged,
    /// The switch has its port disabled.
    PortDisabled,
    /// The switch drops its frames.
    Filtered,
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoCarrier => "no carrier",
            Self::Unplugged => "unplugged",
            Self::PortDisabled => "port disabled",
            Self::Filtered => "filtered",
        })
    }
}

impl Partition {
    /// Those in which the router's own carrier stays.
    pub const WITH_CARRIER: [Self; 3] = [Self::Unplugged, Self::PortDisabled, Self::Filtered];
}

impl Arena {
    /// Parts a router's place from the others.
    ///
    /// # Errors
    /// What `ip`, `bridge` or `nft` say.
    pub fn part(&self, index: usize, partition: Partition) -> Result<()> {
        match partition {
            Partition::NoCarrier => self.cut(index),
            Partition::Unplugged => self.isolate(index),
            Partition::PortDisabled => self.port_state(index, 0),
            Partition::Filtered => {
                let rules = format!(
                    "table bridge parted {{ chain passing {{ type filter hook forward priority 0; \
                     iifname \"r{index}\" drop; oifname \"r{index}\" drop; }}; }}"
                );
                self.in_switch("nft", &[&rules])
            }
        }
    }

    /// Undoes [`Self::part`].
    ///
    /// # Errors
    /// What `ip`, `bridge` or `nft` say.
    pub fn heal(&self, index: usize, partition: Partition) -> Result<()> {
        const FORWARDING: u8 = 3;
        match partition {
            Partition::NoCarrier => self.ip("sw", &format!("link set r{index} up")),
            Partition::Unplugged => self.join(index),
            Partition::PortDisabled => self.port_state(index, FORWARDING),
            Partition::Filtered => self.in_switch("nft", &["delete table bridge parted"]),
        }
    }

    fn port_state(&self, index: usize, state: u8) -> Result<()> {
        let (port, state) = (format!("r{index}"), state.to_string());
        self.in_switch("bridge", &["link", "set", "dev", &port, "state", &state])
    }

    fn in_switch(&self, program: &str, words: &[&str]) -> Result<()> {
        let mut command = self.command("sw", program);
        tool::run(command.args(words)).map(drop)
    }

    /// Has the kernels of all routers notice after some seconds that a neighbour is gone, which takes up to a
    /// minute otherwise.
    ///
    /// # Errors
    /// What `sysctl` says.
    pub fn hasten_neighbours(&self, routers: usize) -> Result<()> {
        for index in 0..routers {
            for family in ["ipv4", "ipv6"] {
                let key = |name| format!("net.{family}.neigh.eth0.{name}");
                let mut sysctl = self.command(&format!("r{index}"), "sysctl");
                sysctl.arg("-qw");
                sysctl.arg(format!("{}=400", key("base_reachable_time_ms")));
                sysctl.arg(format!("{}=1", key("delay_first_probe_time")));
                tool::run(&mut sysctl)?;
            }
        }
        Ok(())
    }

    /// Makes sure that a router's kernel does not know any more where another is.
    ///
    /// # Errors
    /// When it does.
    pub fn ensure_forgotten(&self, router: usize, address: &str) -> Result<()> {
        let mut ip = self.command(&format!("r{router}"), "ip");
        let text = tool::run(ip.args(["neigh", "show", "to", address]))?;
        ensure!(
            !text.contains("lladdr"),
            "router {router} still knows {address}: {text}"
        );
        Ok(())
    }
}
