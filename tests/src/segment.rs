//! The network of a lab: a switch, the cables into it, and a router to the outside.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::paths::Prefix;
use crate::roster::{self, Place};
use crate::tool;

const NAMESPACES: &str = "/run/netns";

/// The network of the lab with this prefix.
#[derive(Debug, Clone)]
pub(crate) struct Segment {
    prefix: Prefix,
}

impl Segment {
    pub(crate) fn new(prefix: Prefix) -> Self {
        Self { prefix }
    }

    /// The name of a place's network namespace, as `ip netns` lists it.
    pub(crate) fn namespace(&self, place: Place) -> String {
        format!("{}-{place}", self.prefix)
    }

    /// The file that stands for a place's network namespace.
    pub(crate) fn namespace_file(&self, place: Place) -> PathBuf {
        PathBuf::from(NAMESPACES).join(self.namespace(place))
    }

    /// Whether the place's namespace is there (and not only a file left from before a reboot).
    pub(crate) fn exists(&self, place: Place) -> bool {
        let file = self.namespace_file(place);
        crate::cache::mounts_below(&file).is_ok_and(|mounts| mounts.contains(&file))
    }

    /// The program `program`, to run in the place's network namespace.
    ///
    /// `nsenter` and not `ip netns exec`: the latter hides `/sys/fs/cgroup`.
    pub(crate) fn command_in(&self, place: Place, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--net={}", self.namespace_file(place).display()))
            .arg("--")
            .arg(program);
        command
    }

    /// Makes the switch and everything that is not a machine.
    pub(crate) fn build(&self) -> Result<()> {
        self.remove_all()?;
        fs::create_dir_all(NAMESPACES)?;
        for place in Place::FIXTURES {
            self.add_namespace(place)?;
        }
        self.ip(Place::Switch, "link add br0 type bridge")?;
        // Bridged frames are no business of iptables here; without the module there is no switch.
        let mut quiet = self.command_in(Place::Switch, "sysctl");
        quiet.args(["-qw", "net.bridge.bridge-nf-call-iptables=0"]);
        let _ = tool::succeeds(&mut quiet);
        self.ip(Place::Switch, "link set br0 up")?;
        for place in [Place::Router, Place::Operator, Place::Client] {
            self.plug(place)?;
        }
        self.connect_outside()
    }

    fn connect_outside(&self) -> Result<()> {
        let outside = self.namespace(Place::Outside);
        self.ip(
            Place::Router,
            &format!("link add eth1 type veth peer name eth0 netns {outside}"),
        )?;
        for (place, interface, address) in [
            (Place::Router, "eth1", roster::OUTSIDE_GATEWAY),
            (Place::Outside, "eth0", roster::OUTSIDE),
        ] {
            self.ip(place, &format!("addr add {address}/24 dev {interface}"))?;
            self.ip(place, &format!("link set {interface} up"))?;
        }
        self.ip(
            Place::Outside,
            &format!("route add default via {}", roster::OUTSIDE_GATEWAY),
        )?;
        let mut forward = self.command_in(Place::Router, "sysctl");
        tool::run(forward.args(["-qw", "net.ipv4.ip_forward=1"])).map(drop)
    }

    /// Gives a machine a namespace with a cable to the switch.
    pub(crate) fn attach(&self, place: Place) -> Result<()> {
        self.detach(place)?;
        self.add_namespace(place)?;
        self.plug(place)
    }

    /// Pulls the cable for good and drops the namespace.
    ///
    /// Deleted, not only down: a namespace lives on for minutes while dying sockets have an unsent
    /// FIN in it, and the kernel forwards to the end.
    pub(crate) fn detach(&self, place: Place) -> Result<()> {
        self.unplug(place)?;
        self.drop_namespace(place)
    }

    /// Deletes the cable between a place and the switch, at both ends.
    pub(crate) fn unplug(&self, place: Place) -> Result<()> {
        if self.has_cable(place)? {
            self.ip(Place::Switch, &format!("link del {place}"))?;
        }
        Ok(())
    }

    pub(crate) fn drop_namespace(&self, place: Place) -> Result<()> {
        if self.namespace_file(place).exists() {
            tool::run(&mut tool::command(
                "ip",
                ["netns", "del", &self.namespace(place)],
            ))?;
        }
        Ok(())
    }

    /// Takes the cable out, or puts it back.
    pub(crate) fn set_cable(&self, place: Place, connected: bool) -> Result<()> {
        let state = if connected { "up" } else { "down" };
        self.ip(Place::Switch, &format!("link set {place} {state}"))
            .with_context(|| format!("{place} has no cable; is it up?"))
            .map(drop)
    }

    /// Whether the place's end of a cable is in the switch.
    pub(crate) fn has_cable(&self, place: Place) -> Result<bool> {
        if !self.exists(Place::Switch) {
            return Ok(false);
        }
        let switch = self.namespace(Place::Switch);
        tool::succeeds(&mut tool::command(
            "ip",
            ["-n", &switch, "link", "show", "dev", &place.to_string()],
        ))
    }

    /// Removes every namespace of the prefix, machines' ones too.
    pub(crate) fn remove_all(&self) -> Result<()> {
        let start = format!("{}-", self.prefix);
        let names = fs::read_dir(NAMESPACES).into_iter().flatten().flatten();
        for name in names.filter_map(|entry| entry.file_name().into_string().ok()) {
            if name.starts_with(&start) {
                tool::run(&mut tool::command("ip", ["netns", "del", &name]))?;
            }
        }
        Ok(())
    }

    /// Runs `ip` with these words in the place's namespace.
    pub(crate) fn ip(&self, place: Place, words: &str) -> Result<String> {
        let namespace = self.namespace(place);
        let arguments = ["-n", namespace.as_str()]
            .into_iter()
            .chain(words.split(' '));
        tool::run(&mut tool::command("ip", arguments))
    }

    fn add_namespace(&self, place: Place) -> Result<()> {
        tool::run(&mut tool::command(
            "ip",
            ["netns", "add", &self.namespace(place)],
        ))?;
        self.ip(place, "link set lo up").map(drop)
    }

    fn plug(&self, place: Place) -> Result<()> {
        let host_part = place
            .host_part()
            .with_context(|| format!("{place} has no place on the segment"))?;
        let peer = self.namespace(place);
        self.ip(
            Place::Switch,
            &format!("link add {place} type veth peer name eth0 netns {peer}"),
        )?;
        self.ip(Place::Switch, &format!("link set {place} master br0 up"))?;
        let mac = roster::mac(host_part);
        self.ip(place, &format!("link set eth0 address {mac}"))?;
        self.ip(place, &format!("addr add 10.10.0.{host_part}/24 dev eth0"))?;
        self.ip(place, "link set eth0 up")?;
        if place != Place::Router {
            self.ip(place, &format!("route add default via {}", roster::GATEWAY))?;
        }
        Ok(())
    }
}
