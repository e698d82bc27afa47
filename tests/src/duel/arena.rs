//! A switch, routers' places and a client, in network namespaces of their own.

use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use crate::namespace::Namespace;
use crate::prober::Seat;
use crate::tool;

/// The virtual address.
pub const VIP: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 98, 0, 100));
/// The IPv6 one, for routers that have it.
pub const VIP6: &str = "fd98::100";
/// Port that every router accepts connections on.
pub const PORT: u16 = 4433;

/// Counts arenas of this process, for their names.
static COUNT: AtomicU32 = AtomicU32::new(0);

/// The network of one trial. It disappears with this value.
#[derive(Debug)]
pub struct Arena {
    name: String,
    routers: usize,
}

impl Arena {
    /// Builds it: places 0 to `routers - 1` and a client, all on one switch.
    ///
    /// # Errors
    /// When this host cannot have namespaces, or lacks `ip`.
    pub fn build(routers: usize) -> Result<Self> {
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let arena = Self {
            name: format!("duel{}x{count}", std::process::id()),
            routers,
        };
        arena.namespace("sw")?;
        arena.ip("sw", "link add br0 type bridge mcast_snooping 0")?;
        arena.ip("sw", "link set br0 up")?;
        for index in 0..routers {
            let place = format!("r{index}");
            arena.plug(&place, index + 1)?;
            arena.listen(index)?;
        }
        arena.plug("c", 50)?;
        Ok(arena)
    }

    fn namespace(&self, place: &str) -> Result<()> {
        tool::run(&mut tool::command(
            "ip",
            ["netns", "add", &self.place(place)],
        ))?;
        self.ip(place, "link set lo up")
    }

    fn plug(&self, place: &str, host: usize) -> Result<()> {
        self.namespace(place)?;
        let peer = self.place(place);
        self.ip(
            "sw",
            &format!("link add {place} type veth peer name eth0 netns {peer}"),
        )?;
        self.ip("sw", &format!("link set {place} master br0 up"))?;
        self.ip(
            place,
            &format!("link set eth0 address 02:00:00:98:00:{host:02x}"),
        )?;
        self.ip(place, &format!("addr add 10.98.0.{host}/24 dev eth0"))?;
        self.ip(place, &format!("addr add fd98::{host}/64 dev eth0 nodad"))?;
        self.ip(place, "link set eth0 addrgenmode eui64")?;
        let mut quiet = self.command(place, "sysctl");
        quiet.args(["-qw", "net.ipv6.conf.eth0.accept_dad=0"]);
        tool::run(&mut quiet)?;
        self.ip(place, "link set eth0 up")
    }

    /// Accepts connections in a router's place for as long as the process lives.
    fn listen(&self, index: usize) -> Result<()> {
        let namespace = Namespace::open(&self.file(&format!("r{index}")))?;
        let listener = thread::spawn(move || -> Result<TcpListener> {
            namespace.enter()?;
            Ok(TcpListener::bind(("::", PORT))?)
        });
        let listener = listener
            .join()
            .map_err(|_| anyhow::anyhow!("the listener panicked"))??;
        // It ends with the namespace's last address; nobody waits for it.
        thread::spawn(move || while listener.accept().is_ok() {});
        Ok(())
    }

    /// Its name, unlike that of any other one.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where the client's prober sits.
    pub fn client_seat(&self) -> Seat {
        Seat {
            namespace: self.file("c"),
            tasks: None,
        }
    }

    fn file(&self, place: &str) -> PathBuf {
        PathBuf::from("/run/netns").join(self.place(place))
    }

    fn place(&self, place: &str) -> String {
        format!("{}-{place}", self.name)
    }

    /// A router's own address.
    pub fn address(&self, index: usize) -> IpAddr {
        Ipv4Addr::new(10, 98, 0, u8::try_from(index + 1).unwrap_or(255)).into()
    }

    /// Runs `ip` in a place.
    ///
    /// # Errors
    /// What `ip` says.
    pub fn ip(&self, place: &str, words: &str) -> Result<()> {
        let namespace = self.place(place);
        let words = ["-n", namespace.as_str()]
            .into_iter()
            .chain(words.split(' '));
        tool::run(&mut tool::command("ip", words)).map(drop)
    }

    /// A program in a place: `r0`, `r1`, …, `c` or `sw`.
    pub fn command(&self, place: &str, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--net={}", self.file(place).display()))
            .arg("--")
            .arg(program);
        command.stdin(Stdio::null());
        command
    }

    /// Runs work on a thread in a place.
    ///
    /// # Errors
    /// When the place is gone.
    pub fn inside<T: Send + 'static>(
        &self,
        place: &str,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<thread::JoinHandle<Result<T>>> {
        let namespace = Namespace::open(&self.file(place))?;
        Ok(thread::spawn(move || {
            namespace.enter()?;
            work()
        }))
    }

    /// Takes a router's cable out, at the switch: the router's own end loses its carrier.
    ///
    /// # Errors
    /// What `ip` says.
    pub fn cut(&self, index: usize) -> Result<()> {
        self.ip("sw", &format!("link set r{index} down"))
    }

    /// Stops all frames of a router in the switch; its carrier stays.
    ///
    /// # Errors
    /// What `ip` says.
    pub fn isolate(&self, index: usize) -> Result<()> {
        self.ip("sw", &format!("link set r{index} nomaster"))
    }

    /// Undoes [`Self::isolate`].
    ///
    /// # Errors
    /// What `ip` says.
    pub fn join(&self, index: usize) -> Result<()> {
        self.ip("sw", &format!("link set r{index} master br0"))
    }

    /// Which routers have the IPv4 virtual address on an interface.
    ///
    /// # Errors
    /// What `ip` says.
    pub fn owners(&self) -> Result<Vec<usize>> {
        self.owners_of(false)
    }

    /// Which routers have the virtual address of a family on an interface.
    ///
    /// # Errors
    /// What `ip` says.
    pub fn owners_of(&self, ipv6: bool) -> Result<Vec<usize>> {
        let vip = if ipv6 {
            format!("{VIP6}/128")
        } else {
            format!("{VIP}/32")
        };
        let mut owners = Vec::new();
        for index in 0..self.routers {
            let namespace = self.place(&format!("r{index}"));
            let words = ["-n", &namespace, "-o", "addr", "show", "to", &vip];
            let answer = tool::run(&mut tool::command("ip", words))?;
            // What lingers after a planned move is on the loopback interface, and nobody answers for it.
            if answer.lines().any(|line| !line.contains(": lo ")) {
                owners.push(index);
            }
        }
        Ok(owners)
    }

    /// Waits until exactly this router owns the IPv4 address.
    ///
    /// # Errors
    /// When it does not in time.
    pub fn wait_for_owner(&self, index: usize, patience: Duration) -> Result<()> {
        self.wait_until_owner(false, &[index], patience)
    }

    /// Waits until exactly one router owns the IPv4 address, and not this one.
    ///
    /// # Errors
    /// When it does not in time.
    pub fn wait_for_successor(&self, of: usize, patience: Duration) -> Result<()> {
        self.wait_until(
            false,
            patience,
            |owners| matches!(owners, [one] if *one != of),
        )
        .with_context(|| format!("expected a successor of {of}"))
    }

    /// Waits until exactly these routers own the address of a family.
    ///
    /// # Errors
    /// When they do not in time.
    pub fn wait_until_owner(
        &self,
        ipv6: bool,
        expected: &[usize],
        patience: Duration,
    ) -> Result<()> {
        self.wait_until(ipv6, patience, |owners| owners == expected)
            .with_context(|| format!("expected {expected:?}"))
    }

    /// Waits until this router is among the owners: a crashed one of another maker may keep the address.
    ///
    /// # Errors
    /// When it is not in time.
    pub fn wait_until_owner_lenient(
        &self,
        ipv6: bool,
        index: usize,
        patience: Duration,
    ) -> Result<()> {
        self.wait_until(ipv6, patience, |owners| owners.contains(&index))
            .with_context(|| format!("expected {index} among them"))
    }

    #[expect(clippy::disallowed_methods, reason = "waits in real time")]
    fn wait_until(
        &self,
        ipv6: bool,
        patience: Duration,
        wanted: impl Fn(&[usize]) -> bool,
    ) -> Result<()> {
        let end = Instant::now() + patience;
        loop {
            let owners = self.owners_of(ipv6)?;
            if wanted(&owners) {
                return Ok(());
            }
            ensure!(
                Instant::now() < end,
                "after {patience:?} the owners are {owners:?}"
            );
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Where the client's neighbour entry for the address points: a router's place.
    ///
    /// # Errors
    /// What `ip` says.
    pub fn client_points_to(&self) -> Result<Option<usize>> {
        let namespace = self.place("c");
        let words = ["-n", &namespace, "neigh", "show", "to", &VIP.to_string()];
        let text = tool::run(&mut tool::command("ip", words))?;
        let mac = text
            .split("lladdr ")
            .nth(1)
            .and_then(|rest| rest.split(' ').next());
        let last = mac.and_then(|mac| mac.rsplit(':').next());
        let host = last.and_then(|last| usize::from_str_radix(last, 16).ok());
        Ok(host
            .filter(|host| (1..=self.routers).contains(host))
            .map(|host| host - 1))
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        let places = (0..self.routers).map(|index| format!("r{index}"));
        for place in places.chain(["c".to_owned(), "sw".to_owned()]) {
            // Best effort: what was never built is not there.
            let _ = tool::succeeds(&mut tool::command(
                "ip",
                ["netns", "del", &self.place(&place)],
            ));
        }
    }
}

/// Whether this host can have an arena.
///
/// # Errors
/// What is missing.
pub fn possible() -> Result<()> {
    for program in ["ip", "nsenter", "tcpdump"] {
        let found =
            tool::succeeds(Command::new("sh").args(["-c", &format!("command -v {program}")]));
        ensure!(found?, "`{program}` is missing");
    }
    ensure!(
        nix::unistd::geteuid().is_root(),
        "network namespaces need root"
    );
    Ok(())
}
