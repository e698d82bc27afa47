//! Network namespaces of a test's own, on one bridge, with cables that can be cut.

use std::process::{Child, Command, Stdio};

use nix::sched::{CloneFlags, setns};

use super::eventually;

/// A namespace; gone when dropped.
pub(crate) struct Namespace(Child);

impl Namespace {
    /// `None`: this user may not make one.
    pub(crate) fn new() -> Option<Self> {
        let allowed = Command::new("unshare").args(["-n", "true"]).output().ok()?;
        if !allowed.status.success() {
            return None;
        }
        let child = Command::new("unshare")
            .args(["-n", "sleep", "900"])
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let namespace = Self(child);
        let own = std::fs::read_link("/proc/self/ns/net").unwrap();
        eventually("the namespace is there", || {
            std::fs::read_link(namespace.file()).is_ok_and(|its| its != own)
        });
        namespace.ip("link set lo up");
        Some(namespace)
    }

    fn file(&self) -> String {
        format!("/proc/{}/ns/net", self.0.id())
    }

    /// A switch in it, with an address.
    pub(crate) fn add_bridge(&self, address: &str) {
        self.ip("link add br0 type bridge");
        self.ip(&format!("addr add {address}/24 dev br0"));
        self.ip("link set br0 up");
    }

    /// A cable from its switch to another namespace, whose end has the address.
    pub(crate) fn plug(&self, port: &str, other: &Self, address: &str) {
        let peer = other.0.id();
        self.ip(&format!(
            "link add {port} type veth peer name eth0 netns {peer}"
        ));
        self.ip(&format!("link set {port} master br0 up"));
        other.ip(&format!("addr add {address}/24 dev eth0"));
        other.ip("link set eth0 up");
    }

    /// Pulls its cable: nothing comes or goes any more, and nobody is told.
    pub(crate) fn cut(&self) {
        self.ip("link set eth0 down");
    }

    /// Puts its cable back.
    pub(crate) fn mend(&self) {
        self.ip("link set eth0 up");
    }

    /// Runs the function in it; sockets and processes that it makes belong there.
    pub(crate) fn within<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let file = std::fs::File::open(self.file()).unwrap();
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                setns(file, CloneFlags::CLONE_NEWNET).unwrap();
                work()
            });
            thread.join().unwrap()
        })
    }

    fn ip(&self, arguments: &str) {
        let output = Command::new("nsenter")
            .args(["-t", &self.0.id().to_string(), "-n", "ip"])
            .args(arguments.split(' '))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "ip {arguments}: {said}");
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
