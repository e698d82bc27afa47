//! Five nodes: Service addresses move to a pool, an update has nothing to do, and load balancers come to machines that are prepared.
//!
//! As with the placements, each has a cluster of its own.

use std::time::Duration;

use anyhow::{Result, ensure};
use lab_tests::Machine;
use lab_tests::cluster::Cluster;
use lab_tests::lifecycle::files::{with_control_planes, with_pool};
use lab_tests::lifecycle::{self, FIVE, POOL};

use crate::changes::{patiently, says_so_soon};
use crate::placements::{Ground, pool_is_labelled};
use crate::runner::{Context, Scenario};
use crate::shared::{example, programs};

/// Each begins and ends with bare machines.
pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "service_addresses_move_to_a_pool_and_no_connection_fails",
        run: |context| patiently(context, service_addresses_move),
    },
    Scenario {
        name: "load_balancers_on_five_prepared_nodes_take_fifteen_seconds_at_most",
        run: |context| patiently(context, on_prepared_machines),
    },
];

/// The limit for the load balancers of prepared machines.
const LIMIT: Duration = Duration::from_secs(15);

fn service_addresses_move(context: &Context) -> Result<()> {
    let planes = Machine::CONTROL_PLANE;
    let ground = Ground::new(context, &[&planes[..], &POOL[..]].concat())?;
    let cluster = Cluster::new(context.lab, programs()?, &planes, &example()?)?;
    cluster.create()?;
    let (moved, seen) = lifecycle::split_migration(&cluster, &example()?, &POOL)?;
    seen.nothing_failed("Service addresses move to a pool")?;
    pool_is_labelled(&moved)?;
    ensure!(
        planes.contains(&moved.owner()?),
        "the API's VIP is not on a control plane"
    );
    // Five nodes, and all is as it should be.
    says_so_soon(&moved)?;
    ground.reset(&moved)
}

fn on_prepared_machines(context: &Context) -> Result<()> {
    let planes = [Machine::cp(1)];
    let ground = Ground::new(context, &[&planes[..], &FIVE[..]].concat())?;
    let text = with_pool(&with_control_planes(&example()?, &planes)?, &FIVE)?;
    let cluster = Cluster::new(context.lab, programs()?, &planes, &text)?.with_balancers(&FIVE);
    let took = lifecycle::load_balancers(&cluster)?;
    println!(
        "     five load balancers ran after {:.1} s",
        took.as_secs_f32()
    );
    ensure!(took <= LIMIT, "it took {took:?}");
    ground.reset(&cluster)
}
