//! Unicast routers after a partition that lasted until the kernels had forgotten each other.
#![expect(clippy::disallowed_methods, reason = "the instants of real faults")]

use std::net::IpAddr;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use lab_tests::duel::arena::{Arena, VIP, VIP6};
use lab_tests::duel::partition::Partition;
use lab_tests::duel::router::{Maker, Router, Setup};

use crate::Context;
use crate::at_once::at_once;
use crate::ownership::{Ownership, Record};
use crate::runner::Scenario;

pub(crate) const SCENARIOS: &[Scenario] = &[
    ("d7_a_router_whose_cable_returns_listens", |context| {
        let outcomes = at_once([false, true], |ipv6| {
            cable_returns(context, ipv6).with_context(|| format!("ipv6 {ipv6}"))
        });
        outcomes.into_iter().collect()
    }),
    ("d7_two_unicast_actives_meet_within_one_advert", |context| {
        let ipv4 = Partition::WITH_CARRIER.map(|partition| (partition, false));
        let all = ipv4.into_iter().chain([(Partition::Unplugged, true)]);
        let outcomes = at_once(all, |(partition, ipv6)| {
            parted(context, partition, ipv6).with_context(|| format!("{partition}, ipv6 {ipv6}"))
        });
        outcomes.into_iter().collect()
    }),
];

const INTERVAL: Duration = Duration::from_millis(100);
/// The way there and back, and the work of two kernels.
const ROUND_TRIP: Duration = Duration::from_millis(20);
/// Until the kernels have given each other up; a second each for three questions, and what comes before.
const FORGOTTEN: Duration = Duration::from_secs(6);
/// Longer than a router that came back listens.
const SETTLED: Duration = Duration::from_secs(3);
const PATIENCE: Duration = Duration::from_secs(15);

struct Trial {
    arena: Arena,
    _routers: Vec<Router>,
    ipv6: bool,
}

impl Trial {
    fn start(context: &Context, ipv6: bool) -> Result<Self> {
        let arena = Arena::build(3)?;
        arena.hasten_neighbours(3)?;
        let mut routers = Vec::new();
        for (index, priority) in [240, 160, 80].into_iter().enumerate() {
            let setup = Setup {
                priority,
                ipv6,
                ..Setup::default()
            };
            let maker = Maker::Lbnode(context.lbnode.clone());
            routers.push(Router::start(&arena, index, &maker, &setup)?);
            // Without preemption whoever is first stays Active.
            arena.wait_until_owner(ipv6, &[0], PATIENCE)?;
        }
        Ok(Self {
            arena,
            _routers: routers,
            ipv6,
        })
    }

    /// Parts the first router from the others for long enough, and heals.
    fn part_and_heal(&self, partition: Partition, owners: &[usize]) -> Result<(Record, Instant)> {
        let address: IpAddr = if self.ipv6 { VIP6.parse()? } else { VIP };
        self.arena.part(0, partition)?;
        thread::sleep(FORGOTTEN);
        self.arena.wait_until_owner(self.ipv6, owners, PATIENCE)?;
        let first = if self.ipv6 { "fd98::1" } else { "10.98.0.1" };
        self.arena.ensure_forgotten(1, first)?;
        let ownership = Ownership::watch(&self.arena, 3, address)?;
        thread::sleep(Duration::from_millis(200));
        let healed = Instant::now();
        self.arena.heal(0, partition)?;
        thread::sleep(SETTLED);
        Ok((ownership.finish()?, healed))
    }
}

/// The Active's cable is cut and put back: it stays Backup, and nobody else has to yield.
fn cable_returns(context: &Context, ipv6: bool) -> Result<()> {
    let trial = Trial::start(context, ipv6)?;
    for _ in 0..if context.full { 20 } else { 2 } {
        let (record, healed) = trial.part_and_heal(Partition::NoCarrier, &[1])?;
        let (shared, nobody) = (record.shared(healed), record.nobody(healed));
        println!("  ipv6 {ipv6}: two owners for {shared:?}, none for {nobody:?}");
        ensure!(shared.is_zero(), "two owners for {shared:?}");
        ensure!(nobody.is_zero(), "no owner for {nobody:?}");
        ensure!(!record.taken_by(0, healed), "it took the address back");
        // The next one is Active only after a preemption by hand: the Active leaves and returns.
        trial.arena.part(1, Partition::NoCarrier)?;
        trial.arena.wait_until_owner(ipv6, &[0], PATIENCE)?;
        trial.arena.heal(1, Partition::NoCarrier)?;
        thread::sleep(SETTLED);
    }
    Ok(())
}

/// Both sides have an Active; the lower one yields with the first advert after the heal.
fn parted(context: &Context, partition: Partition, ipv6: bool) -> Result<()> {
    let trial = Trial::start(context, ipv6)?;
    for _ in 0..if context.full { 20 } else { 2 } {
        let (record, healed) = trial.part_and_heal(partition, &[0, 1])?;
        let (shared, nobody) = (record.shared(healed), record.nobody(healed));
        println!("  {partition}, ipv6 {ipv6}: two owners for {shared:?}, none for {nobody:?}");
        ensure!(shared <= INTERVAL + ROUND_TRIP, "two owners for {shared:?}");
        ensure!(nobody.is_zero(), "no owner for {nobody:?}");
        ensure!(!shared.is_zero(), "there never were two");
        trial.arena.wait_until_owner(ipv6, &[0], PATIENCE)?;
    }
    Ok(())
}
