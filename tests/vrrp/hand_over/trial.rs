//! Three routers and what serves the address in their places.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::AtomicU16;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use lab_tests::duel::arena::{Arena, VIP, VIP6};
use lab_tests::duel::router::{Maker, Router, Setup};
use lab_tests::prober::{Exchange, Plan, Prober};

use super::proxies::Proxies;
use crate::{Context, Skip};

/// Port on which every router's place answers what clients say, after [`PAUSE`].
const PORT: u16 = 4434;
const ROUNDS: u32 = 3;
const PAUSE: Duration = Duration::from_millis(10);
const EVERY_MILLIS: u64 = 2;
const PATIENCE: Duration = Duration::from_secs(15);
const ROUTERS: usize = 3;

pub(super) struct Trial {
    pub(super) arena: Arena,
    pub(super) routers: Vec<Option<Router>>,
    /// What each node's proxy says of itself, where the routers ask for it.
    pub(super) health: Vec<Arc<AtomicU16>>,
    pub(super) owner: usize,
    setup: Setup,
    maker: Maker,
}

impl Trial {
    pub(super) fn start(context: &Context, setup: Setup) -> Result<Self> {
        Self::start_with(context, setup, None)
    }

    pub(super) fn start_with(
        context: &Context,
        mut setup: Setup,
        proxies: Option<&Proxies>,
    ) -> Result<Self> {
        setup.track = proxies.map(Proxies::track);
        let mut trial = Self {
            arena: Arena::build(ROUTERS)?,
            routers: Vec::new(),
            health: Vec::new(),
            owner: 0,
            setup,
            maker: Maker::Lbnode(context.lbnode.clone()),
        };
        if !trial.can_hand_over()? {
            return Err(Skip("the kernel lacks nf_tables with `dup` or ARP").into());
        }
        for index in 0..ROUTERS {
            answer(&trial.arena, index)?;
            if let Some(proxies) = proxies {
                trial.health.push(proxies.start(&trial.arena, index)?);
            }
            let router = trial.router(index)?;
            trial.routers.push(Some(router));
            // Without preemption whoever is first stays Active.
            trial.wait_for(0)?;
        }
        Ok(trial)
    }

    fn router(&self, index: usize) -> Result<Router> {
        let setup = Setup {
            priority: [240, 160, 80][index],
            ..self.setup.clone()
        };
        Router::start(&self.arena, index, &self.maker, &setup)
    }

    fn can_hand_over(&self) -> Result<bool> {
        let mut nft = self.arena.command("r0", "nft");
        let rules = "add table ip try; add chain ip try c; add rule ip try c dup to 192.0.2.1 device lo; add table arp try";
        let possible = nft
            .arg(rules)
            .status()
            .context("cannot run `nft`")?
            .success();
        for family in ["ip", "arp"] {
            let mut nft = self.arena.command("r0", "nft");
            let _ = nft.args(["delete", "table", family, "try"]).output();
        }
        Ok(possible)
    }

    pub(super) fn wait_for(&self, owner: usize) -> Result<()> {
        self.arena
            .wait_until_owner(self.setup.ipv6, &[owner], PATIENCE)
    }

    fn target(&self) -> SocketAddr {
        let vip = if self.setup.ipv6 {
            VIP6.parse().unwrap_or(VIP)
        } else {
            VIP
        };
        SocketAddr::new(vip, PORT)
    }

    pub(super) fn clients(&self) -> Result<Prober> {
        let plan = Plan {
            exchange: Exchange::rounds(ROUNDS),
            ..Plan::connect(self.target())
        };
        Prober::start(
            Some(&self.arena.client_seat()),
            plan.paced(EVERY_MILLIS, 1000),
        )
    }

    /// The owner stops as planned, somebody takes over, and the old owner comes back as a Backup.
    pub(super) fn move_on(&mut self) -> Result<()> {
        let old = self.owner;
        self.stop_owner()?;
        thread::sleep(Duration::from_millis(300));
        self.routers[old] = None;
        let fresh = self.router(old)?;
        self.routers[old] = Some(fresh);
        thread::sleep(Duration::from_millis(700));
        Ok(())
    }

    pub(super) fn stop_owner(&mut self) -> Result<()> {
        let router = self.routers[self.owner].as_mut();
        router.context("it runs not")?.stop()?;
        self.owner = (0..ROUTERS)
            .find(|index| *index != self.owner)
            .context("there are more than one")?;
        self.wait_for(self.owner)
    }

    pub(super) fn nft(&self, index: usize) -> Result<String> {
        self.output(&format!("r{index}"), "nft list ruleset")
    }

    /// What a program in a place prints.
    pub(super) fn output(&self, place: &str, words: &str) -> Result<String> {
        let mut words = words.split(' ');
        let program = words.next().context("no program")?;
        let output = self.arena.command(place, program).args(words).output()?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// The client's neighbour entry for the address is that of the owner.
    pub(super) fn points_to_owner(&self, vip: IpAddr) -> Result<()> {
        let pointed = self.output("c", &format!("ip neigh show to {vip}"))?;
        let owner = format!("lladdr 02:00:00:98:00:{:02x}", self.owner + 1);
        ensure!(
            pointed.contains(&owner),
            "the client points elsewhere: {pointed}"
        );
        Ok(())
    }

    pub(super) fn logs(&self) -> String {
        let routers = self.routers.iter().flatten();
        routers.map(Router::log).collect::<Vec<_>>().join("\n---\n")
    }

    /// One client that says something each 20 ms until it fails or `limit` is over; how long it lived.
    pub(super) fn long_client(&self) -> Result<thread::JoinHandle<Result<Lived>>> {
        let target = self.target();
        self.arena.inside("c", move || {
            let mut stream = TcpStream::connect(target)?;
            stream.set_read_timeout(Some(Duration::from_secs(1)))?;
            let begin = Instant::now();
            let mut answer = [0; 64];
            loop {
                let round = stream
                    .write_all(b"?")
                    .and_then(|()| stream.read(&mut answer));
                match round {
                    Ok(1..) if begin.elapsed() > Duration::from_secs(12) => {
                        return Ok(Lived(None));
                    }
                    Ok(1..) => thread::sleep(Duration::from_millis(20)),
                    Ok(0) => return Ok(Lived(Some((Instant::now(), ErrorKind::UnexpectedEof)))),
                    Err(error) => return Ok(Lived(Some((Instant::now(), error.kind())))),
                }
            }
        })
    }

    /// One client in a place that says something once and then only listens, as a watch does; how long it lived.
    pub(super) fn watching_client(&self, place: &str) -> Result<thread::JoinHandle<Result<Lived>>> {
        let target = self.target();
        self.arena.inside(place, move || {
            let mut stream = TcpStream::connect(target)?;
            stream.set_read_timeout(Some(Duration::from_secs(20)))?;
            stream.write_all(b"?")?;
            let mut answer = [0; 64];
            loop {
                let why = match stream.read(&mut answer) {
                    Ok(1..) => continue,
                    Ok(0) => ErrorKind::UnexpectedEof,
                    Err(error) => error.kind(),
                };
                let waits = matches!(why, ErrorKind::WouldBlock | ErrorKind::TimedOut);
                return Ok(Lived((!waits).then(|| (Instant::now(), why))));
            }
        })
    }
}

/// When and how a connection ended, if it did.
#[derive(Debug)]
pub(super) struct Lived(pub(super) Option<(Instant, ErrorKind)>);

/// Answers whatever is said, in a router's place.
fn answer(arena: &Arena, index: usize) -> Result<()> {
    let work = || -> Result<()> {
        let listener = TcpListener::bind(("::", PORT))?;
        for stream in listener.incoming() {
            let mut stream = stream?;
            thread::spawn(move || -> std::io::Result<()> {
                stream.set_nodelay(true)?;
                let mut said = [0; 100];
                loop {
                    let len = stream.read(&mut said)?;
                    if len == 0 {
                        return Ok(());
                    }
                    thread::sleep(PAUSE);
                    stream.write_all(&said[..len])?;
                }
            });
        }
        Ok(())
    };
    arena.inside(&format!("r{index}"), work).map(drop)
}
