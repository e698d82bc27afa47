//! Kinds of interfaces, and what becomes of them.

use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use lab_tests::duel::arena::Arena;
use lab_tests::duel::router::{Maker, Router, Setup};

use crate::runner::Scenario;
use crate::{Context, Skip};

pub(crate) const SCENARIOS: &[Scenario] = &[
    ("x14_works_on_a_bridge", |context| on(context, BRIDGE)),
    ("x14_works_on_a_macvlan", |context| on(context, MACVLAN)),
    ("x14_works_on_a_bond", |context| on(context, BOND)),
    ("x14_works_on_a_vlan", |context| {
        let arena = Arena::build(2)?;
        on_top(&arena, "r0", "10.98.0.1/24", VLAN)?;
        on_top(&arena, "r1", "10.98.0.2/24", VLAN)?;
        works(&arena, context)
    }),
    ("x14_both_families_of_a_file_move_together", both_families),
    ("x14_follows_an_interface_made_anew_or_renamed", anew),
    ("x15_an_own_address_that_goes_is_a_fault", address_goes),
    ("p34_the_same_vrid_on_another_interface_is_not_heard", apart),
    ("n08_a_bond_that_fails_over_announces", bond_fails_over),
];

const PATIENCE: Duration = Duration::from_secs(15);

fn start(arena: &Arena, context: &Context, index: usize, priority: u8) -> Result<Router> {
    let setup = Setup {
        priority,
        routers: 2,
        multicast: true,
        ..Setup::default()
    };
    Router::start(arena, index, &Maker::Lbnode(context.lbnode.clone()), &setup)
}

fn lines(arena: &Arena, place: &str, lines: &[&str]) -> Result<()> {
    lines.iter().try_for_each(|line| arena.ip(place, line))
}

/// How an interface is made on top of a router's cable.
type Kind = &'static [&'static str];

const BRIDGE: Kind = &[
    "link add top type bridge",
    "link set eth0 master top",
    "link set top up",
];
const BOND: Kind = &[
    "link add top type bond mode active-backup miimon 50",
    "link set eth0 down",
    "link set eth0 master top",
    "link set top up",
];
const MACVLAN: Kind = &[
    "link add link eth0 name top type macvlan mode bridge",
    "link set top up",
];
const VLAN: Kind = &[
    "link add link eth0 name top type vlan id 5",
    "link set top up",
];

/// Puts a router's own address on an interface of this kind.
fn on_top(arena: &Arena, place: &str, address: &str, kind: Kind) -> Result<()> {
    arena.ip(place, &format!("addr del {address} dev eth0"))?;
    match lines(arena, place, kind) {
        Err(error) if format!("{error:#}").contains("Unknown device type") => {
            return Err(Skip("this kernel has no such interfaces").into());
        }
        outcome => outcome?,
    }
    arena.ip(place, &format!("addr add {address} dev top"))
}

/// The first router's own address is on such an interface.
fn on(context: &Context, kind: Kind) -> Result<()> {
    let arena = Arena::build(2)?;
    on_top(&arena, "r0", "10.98.0.1/24", kind)?;
    works(&arena, context)
}

/// It takes over, is obeyed, and obeys.
fn works(arena: &Arena, context: &Context) -> Result<()> {
    let mut first = start(arena, context, 0, 200)?;
    arena.wait_for_owner(0, PATIENCE)?;
    let _second = start(arena, context, 1, 100)?;
    thread::sleep(Duration::from_secs(1));
    ensure!(arena.owners()? == [0], "{:?}", arena.owners()?);
    first.stop()?;
    arena.wait_for_owner(1, PATIENCE)?;
    drop(first);
    let _first = start(arena, context, 0, 200)?;
    thread::sleep(Duration::from_secs(1));
    ensure!(arena.owners()? == [1], "{:?}", arena.owners()?);
    Ok(())
}

/// The file knows no IPv6 address of the nodes: `::` lives where the IPv4 router of the group does.
fn both_families(context: &Context) -> Result<()> {
    let arena = Arena::build(2)?;
    let start = |index: usize, priority: u8| {
        let setup = Setup {
            priority,
            routers: 2,
            both_families: true,
            ..Setup::default()
        };
        Router::start(
            &arena,
            index,
            &Maker::Lbnode(context.lbnode.clone()),
            &setup,
        )
    };
    let owned_by = |index: usize, router: &Router| {
        let owned = |ipv6| arena.wait_until_owner(ipv6, &[index], PATIENCE);
        owned(false)
            .and_then(|()| owned(true))
            .with_context(|| router.log())
    };
    let mut first = start(0, 200)?;
    owned_by(0, &first)?;
    let second = start(1, 100)?;
    thread::sleep(Duration::from_secs(1));
    owned_by(0, &first)?;
    first.stop()?;
    owned_by(1, &second)?;
    drop(first);
    let first = start(0, 200)?;
    thread::sleep(Duration::from_secs(1));
    owned_by(1, &second)?;
    arena.cut(1)?;
    owned_by(0, &first)
}

/// Its own address finds the interface, whatever its name and index.
fn anew(context: &Context) -> Result<()> {
    let arena = Arena::build(2)?;
    let first = start(&arena, context, 0, 200)?;
    arena.wait_for_owner(0, PATIENCE)?;
    let second = start(&arena, context, 1, 100)?;
    thread::sleep(Duration::from_millis(400));

    arena.ip("r0", "link set eth0 down")?;
    // Down for longer than the other one's patience: whoever is back sooner may stay Active.
    arena.wait_for_owner(1, PATIENCE).context("link down")?;
    lines(
        &arena,
        "r0",
        &["link set eth0 name lan0", "link set lan0 up"],
    )?;
    thread::sleep(Duration::from_secs(1));
    ensure!(arena.owners()? == [1], "{:?}", arena.owners()?);
    arena.ip("r1", "link set eth0 down")?;
    arena
        .wait_for_owner(0, PATIENCE)
        .with_context(|| format!("after the new name: {}", first.log()))?;
    arena.ip("r1", "link set eth0 up")?;
    thread::sleep(Duration::from_secs(1));
    ensure!(arena.owners()? == [0], "{:?}", arena.owners()?);

    arena.ip("r0", "link del lan0")?;
    arena.wait_for_owner(1, PATIENCE).context("removed")?;
    let peer = format!("{}-r0", arena.name());
    arena.ip(
        "sw",
        &format!("link add r0 type veth peer name eth7 netns {peer}"),
    )?;
    arena.ip("sw", "link set r0 master br0 up")?;
    lines(
        &arena,
        "r0",
        &["addr add 10.98.0.1/24 dev eth7", "link set eth7 up"],
    )?;
    thread::sleep(Duration::from_secs(1));
    ensure!(arena.owners()? == [1], "{:?}", arena.owners()?);
    drop(second);
    arena
        .wait_until_owner_lenient(false, 0, PATIENCE)
        .with_context(|| format!("made anew: {}", first.log()))
}

/// Without its own address it cannot speak; with it again it can.
fn address_goes(context: &Context) -> Result<()> {
    let arena = Arena::build(2)?;
    let first = start(&arena, context, 0, 200)?;
    arena.wait_for_owner(0, PATIENCE)?;
    let second = start(&arena, context, 1, 100)?;
    thread::sleep(Duration::from_millis(400));
    arena.ip("r0", "addr del 10.98.0.1/24 dev eth0")?;
    arena
        .wait_for_owner(1, PATIENCE)
        .with_context(|| first.log())?;
    ensure!(first.log().contains("-> fault"), "{}", first.log());
    arena.ip("r0", "addr add 10.98.0.1/24 dev eth0")?;
    thread::sleep(Duration::from_secs(1));
    ensure!(arena.owners()? == [1], "{:?}", arena.owners()?);
    drop(second);
    arena.wait_until_owner_lenient(false, 0, PATIENCE)
}

/// The second one is on another network, which the first one's machine is on as well.
fn apart(context: &Context) -> Result<()> {
    let arena = Arena::build(2)?;
    let peer = format!("{}-r0", arena.name());
    lines(
        &arena,
        "sw",
        &[
            "link add br1 type bridge mcast_snooping 0",
            "link set br1 up",
            "link set r1 nomaster",
            "link set r1 master br1",
            &format!("link add r0b type veth peer name eth1 netns {peer}"),
            "link set r0b master br1 up",
        ],
    )?;
    arena.ip("r0", "link set eth1 up")?;
    let first = start(&arena, context, 0, 200)?;
    let second = start(&arena, context, 1, 100)?;
    arena.wait_until_owner(false, &[0, 1], PATIENCE)?;
    thread::sleep(Duration::from_secs(1));
    for router in [&first, &second] {
        let log = router.log();
        ensure!(!log.contains("active ->"), "it heard something: {log}");
    }
    ensure!(arena.owners()? == [0, 1], "{:?}", arena.owners()?);
    Ok(())
}

/// The kernel announces all addresses of a bond whose active cable fails, the virtual one among them.
fn bond_fails_over(context: &Context) -> Result<()> {
    let arena = Arena::build(1)?;
    let peer = format!("{}-r0", arena.name());
    arena.ip(
        "sw",
        &format!("link add r0b type veth peer name eth1 netns {peer}"),
    )?;
    arena.ip("sw", "link set r0b master br0 up")?;
    on_top(&arena, "r0", "10.98.0.1/24", BOND)?;
    arena.ip("r0", "link set eth1 master top")?;
    let router = start(&arena, context, 0, 200)?;
    arena.wait_for_owner(0, PATIENCE)?;
    // The burst of the take-over is over.
    thread::sleep(Duration::from_millis(5500));
    let filter = "arp[14:4] == 0x0a620064 and arp[24:4] == 0x0a620064";
    let text = crate::wire::captured(&arena, 1, filter, || arena.cut(0))?;
    ensure!(text.contains("10.98.0.100"), "no announcement: {text}");
    ensure!(arena.owners()? == [0], "{}", router.log());
    ensure!(!router.log().contains("-> fault"), "{}", router.log());
    Ok(())
}
