//! The life of a cluster, and the rows of `cargo xtask bench lifecycle`: how long `lbctl` takes, and what clients see of changes.

mod changes;
pub mod files;
mod front;
mod interrupt;
mod prepared;
mod takeover;
mod watch;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Result, anyhow};

use crate::cluster::{Cluster, Programs};
use crate::figures::{Row, milliseconds};
use crate::lab::Lab;
use crate::roster::Machine;
use crate::scenario::Skip;
use crate::tool;

pub use changes::{
    maintenance, nothing_to_do, other_program, releases, replaced_in_turn, service,
    split_migration, update, worker,
};
pub use front::Front;
pub use interrupt::{begun, interrupt};
pub use prepared::load_balancers;
pub use takeover::{Keeper, TakenOver, remember_the_making, take_over};
pub use watch::{Seen, watch, watch_service};

/// Two load-balancer machines: with three control planes they are five.
pub const POOL: [Machine; 2] = [Machine::lb(1), Machine::lb(2)];

/// Five machines for a pool that serves the API too. What they are called does not matter.
pub const FIVE: [Machine; 5] = [
    Machine::lb(1),
    Machine::lb(2),
    Machine::lb(3),
    Machine::w(1),
    Machine::w(2),
];

/// What is measured in one go, by the published names of its cases.
struct Trial {
    cases: &'static [&'static str],
    run: fn(&Ground<'_>) -> Result<Vec<Outcome>>,
}

/// In the order in which they are measured: last what needs other machines.
const TRIALS: &[Trial] = &[
    Trial {
        cases: &["add_node", "remove_node"],
        run: a_worker_comes_and_goes,
    },
    Trial {
        cases: &["replace_control_plane"],
        run: each_control_plane_is_replaced,
    },
    Trial {
        cases: &["upgrade", "rollback"],
        run: another_lbnode_and_back,
    },
    Trial {
        cases: &["maintenance"],
        run: in_maintenance_and_back,
    },
    Trial {
        cases: &["split_migration", "noop_update_5_nodes"],
        run: addresses_move_to_a_pool,
    },
    Trial {
        cases: &["load_balancers_5_nodes"],
        run: on_prepared_machines,
    },
    Trial {
        cases: &["takeover_keepalived"],
        run: |ground| taken_over(ground, "takeover_keepalived", Keeper::Keepalived),
    },
    Trial {
        cases: &["takeover_kube_vip"],
        run: |ground| taken_over(ground, "takeover_kube_vip", Keeper::KubeVip),
    },
];

/// A case and one round of it.
type Outcome = (&'static str, Figure);

/// What one round has shown.
#[derive(Debug, Clone)]
enum Figure {
    /// How long it took.
    Took(Duration),
    /// What clients saw.
    Seen(Seen),
}

/// A case, by its published name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Case(&'static str);

impl Case {
    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        let cases = TRIALS.iter().flat_map(|trial| trial.cases);
        cases.copied().map(Self)
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl FromStr for Case {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::all().find(|case| case.0 == text).ok_or_else(|| {
            let known: Vec<&str> = Self::all().map(|case| case.0).collect();
            anyhow!("there is no case `{text}`; there are {}", known.join(", "))
        })
    }
}

/// Where it is measured.
#[derive(Debug)]
pub struct Ground<'a> {
    /// The lab; what is in it goes.
    pub lab: &'a Lab,
    /// The two programs.
    pub programs: Programs,
    /// The example with three control planes.
    pub example: &'a str,
}

impl<'a> Ground<'a> {
    /// The cluster of the example, settled; made if need be.
    fn three(&self) -> Result<Cluster<'a>> {
        let planes = Machine::CONTROL_PLANE;
        self.lab.up(&planes)?;
        let cluster = Cluster::new(self.lab, self.programs.clone(), &planes, self.example)?;
        cluster.create()?;
        cluster.settle()?;
        Ok(cluster)
    }
}

/// Measures the cases, so many rounds of each.
///
/// # Errors
/// When something cannot be brought up, changed or measured.
pub fn run(ground: &Ground<'_>, cases: &[Case], rounds: usize) -> Result<Vec<Row>> {
    // An earlier run may have left other machines.
    ground.lab.down()?;
    let wanted = |case: &&'static str| cases.iter().any(|one| one.0 == *case);
    let mut rows = Vec::new();
    for trial in TRIALS {
        let published: Vec<&'static str> = trial.cases.iter().copied().filter(wanted).collect();
        if published.is_empty() {
            continue;
        }
        let mut figures: BTreeMap<&str, Vec<Figure>> = BTreeMap::new();
        for round in 1..=rounds {
            let names = trial.cases.join(", ");
            tool::say(format_args!("{names}, round {round} of {rounds}"));
            let outcomes = match (trial.run)(ground) {
                Err(error) if error.is::<Skip>() => {
                    tool::say(format_args!("{names} left out: {error}"));
                    break;
                }
                outcomes => outcomes?,
            };
            for (case, figure) in outcomes {
                figures.entry(case).or_default().push(figure);
            }
        }
        for case in published {
            let figures = figures.get(case).map(Vec::as_slice);
            rows.extend(rows_of(case, figures.unwrap_or_default()));
        }
    }
    Ok(rows)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a count of connections is small"
)]
fn rows_of(case: &str, figures: &[Figure]) -> Vec<Row> {
    let row = |metric: &str, unit: &str, figure: fn(&Figure) -> Option<f64>| {
        let rounds: Vec<f64> = figures.iter().filter_map(figure).collect();
        Row::of(case, "lbnode", metric, unit, &rounds)
    };
    let seen = |figure: &Figure| match figure {
        Figure::Seen(seen) => Some(milliseconds(seen.last_failure)),
        Figure::Took(_) => None,
    };
    let failed = |figure: &Figure| match figure {
        Figure::Seen(seen) => Some(seen.failed as f64),
        Figure::Took(_) => None,
    };
    let took = |figure: &Figure| match figure {
        Figure::Took(time) => Some(time.as_secs_f64()),
        Figure::Seen(_) => None,
    };
    [
        row("seconds", "s", took),
        row("last_failure_ms", "ms", seen),
        row("failed_connections", "1", failed),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn a_worker_comes_and_goes(ground: &Ground<'_>) -> Result<Vec<Outcome>> {
    let (cluster, machine) = (ground.three()?, Machine::w(1));
    ground.lab.up(&[machine])?;
    let (web, address) = service(&cluster, &Machine::CONTROL_PLANE)?;
    let [came, went] = worker(&cluster, Some(address), ground.example, machine)?;
    web.remove()?;
    ground.lab.discard(machine)?;
    Ok(vec![
        ("add_node", Figure::Seen(came)),
        ("remove_node", Figure::Seen(went)),
    ])
}

fn each_control_plane_is_replaced(ground: &Ground<'_>) -> Result<Vec<Outcome>> {
    let (cluster, spare) = (ground.three()?, Machine::cp(4));
    ground.lab.up(&[spare])?;
    let mut outcomes = Vec::new();
    replaced_in_turn(&cluster, ground.example, spare, |_, seen| {
        outcomes.push(("replace_control_plane", Figure::Seen(seen)));
        Ok(())
    })?;
    ground.lab.discard(spare)?;
    Ok(outcomes)
}

fn another_lbnode_and_back(ground: &Ground<'_>) -> Result<Vec<Outcome>> {
    let [there, back] = releases(&ground.three()?, ground.example)?;
    Ok(vec![
        ("upgrade", Figure::Seen(there)),
        ("rollback", Figure::Seen(back)),
    ])
}

fn in_maintenance_and_back(ground: &Ground<'_>) -> Result<Vec<Outcome>> {
    let seen = maintenance(&ground.three()?, ground.example)?;
    Ok(vec![("maintenance", Figure::Seen(seen))])
}

/// There is no way back: the next cluster is a new one.
fn addresses_move_to_a_pool(ground: &Ground<'_>) -> Result<Vec<Outcome>> {
    let cluster = ground.three()?;
    ground.lab.up(&POOL)?;
    let (moved, seen) = split_migration(&cluster, ground.example, &POOL)?;
    let took = nothing_to_do(&moved)?;
    ground.lab.down()?;
    Ok(vec![
        ("split_migration", Figure::Seen(seen)),
        ("noop_update_5_nodes", Figure::Took(took)),
    ])
}

fn on_prepared_machines(ground: &Ground<'_>) -> Result<Vec<Outcome>> {
    let plane = Machine::cp(1);
    ground.lab.down()?;
    ground.lab.up(&[&[plane][..], &FIVE[..]].concat())?;
    let text = files::with_control_planes(ground.example, &[plane])?;
    let text = files::with_pool(&text, &FIVE)?;
    let cluster = Cluster::new(ground.lab, ground.programs.clone(), &[plane], &text)?;
    let took = load_balancers(&cluster.with_balancers(&FIVE))?;
    ground.lab.down()?;
    Ok(vec![("load_balancers_5_nodes", Figure::Took(took))])
}

fn taken_over(ground: &Ground<'_>, case: &'static str, keeper: Keeper) -> Result<Vec<Outcome>> {
    let taken = take_over(ground.lab, &ground.programs, ground.example, keeper)?;
    ground.lab.down()?;
    Ok(vec![(case, Figure::Seen(taken.seen))])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_are_found_by_their_published_names() {
        for name in [
            "noop_update_5_nodes",
            "load_balancers_5_nodes",
            "add_node",
            "remove_node",
            "replace_control_plane",
            "upgrade",
            "rollback",
            "maintenance",
            "split_migration",
            "takeover_keepalived",
            "takeover_kube_vip",
        ] {
            assert_eq!(name.parse::<Case>().expect("a case").to_string(), name);
        }
        let error = "noop".parse::<Case>().expect_err("no case").to_string();
        assert!(error.contains("noop_update_5_nodes"), "{error}");
    }

    #[test]
    fn times_and_impressions_have_rows_of_their_own() {
        let took = |seconds| Figure::Took(Duration::from_secs(seconds));
        let rows = rows_of("noop_update_5_nodes", &[took(1), took(3), took(2)]);
        assert_eq!(rows.len(), 1);
        let row = &rows[0];
        assert_eq!(
            (&*row.metric, &*row.unit, row.value, row.n),
            ("seconds", "s", 2.0, 3)
        );
        let seen = Figure::Seen(Seen {
            failed: 4,
            last_failure: Duration::from_millis(30),
            ..Seen::default()
        });
        let rows = rows_of("upgrade", &[seen]);
        let values: Vec<(&str, f64)> = rows.iter().map(|row| (&*row.metric, row.value)).collect();
        assert_eq!(
            values,
            [("last_failure_ms", 30.0), ("failed_connections", 4.0)]
        );
        assert!(rows_of("upgrade", &[]).is_empty());
    }
}
