//! `lbctl check cluster`: whether a running cluster is well.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use serde::Serialize;

use super::software;
use super::status::{Seen, Sight, see};
use super::target::Target;
use crate::cli;
use crate::core::checkup::{self, Check, Evidence, Judgement, Row};
use crate::core::preflight::Verdict;
use crate::core::status::Picture;
use crate::core::update::Inspected;
use crate::error::{Exit, Failure};
use crate::run::{Fleet, Interrupt, World, read_certificates, rehearse};
use crate::ui::{Progress, Table, Ui};

/// Longest wait for the API.
const PATIENCE: Duration = Duration::from_secs(5);

/// What checking has shown.
#[derive(Debug, Clone)]
pub struct Checked {
    /// The state of the cluster.
    pub picture: Picture,
    /// Each check of each node.
    pub rows: Vec<Row>,
    /// What follows.
    pub judgement: Judgement,
}

/// For programs.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Listing<'a> {
    cluster: &'a str,
    result: Verdict,
    rows: &'a [Row],
}

pub(super) async fn run(args: &cli::CheckCluster, ui: Ui) -> Result<(), Failure> {
    let target = Target::open(&args.target, "check cluster", ui)?;
    let lbnode = software::reference(args.reference.lbnode.as_deref())?;
    let interrupt = Interrupt::default();
    let world = target.world(ui, &interrupt);
    let sight = Sight {
        desired: &target.desired,
        workspace: &target.workspace,
        lbnode: lbnode.as_ref(),
    };
    let progress = Progress::begin(ui, "look at the cluster");
    let checked = check_cluster(&world, sight).await;
    progress.end();
    let checked = checked?;
    match args.output {
        cli::Output::Table => ui.result(&text(&checked))?,
        form => {
            let listing = Listing {
                cluster: &target.desired.name,
                result: worst(checked.rows.iter()),
                rows: &checked.rows,
            };
            ui.listing(form, &listing)?;
        }
    }
    match checked.judgement {
        Judgement::Well => Ok(()),
        Judgement::Differs => Err(Failure::silent(Exit::Drift)),
        Judgement::Partial => Err(Failure::silent(Exit::Partial)),
        Judgement::Broken => Err(Failure::silent(Exit::Failed)),
    }
}

/// Looks at everything and judges it; changes nothing.
///
/// # Errors
/// When a log cannot be written: whatever does not answer is part of what is found.
pub async fn check_cluster(world: &World<'_>, sight: Sight<'_>) -> Result<Checked, Failure> {
    let fleet = Fleet::connect(world, sight.desired).await?;
    let (seen, certificates) = futures::join!(see(world, &fleet, sight), read_certificates(&fleet));
    let Seen {
        mut picture,
        inspected,
    } = seen;
    let mut unknown = None;
    if picture.api_error.is_none() {
        match applied(world, sight, &inspected, picture.other_release).await {
            Ok(lines) => picture.drift.extend(lines),
            Err(failure) => unknown = Some(failure.message),
        }
    }
    let clocks = inspected.facts.iter();
    let clocks: BTreeMap<IpAddr, i64> = clocks
        .map(|(address, facts)| (*address, facts.now))
        .collect();
    let evidence = Evidence {
        desired: sight.desired,
        picture: &picture,
        clocks: &clocks,
        certificates: &certificates,
        unknown: unknown.as_deref(),
        now: jiff::Timestamp::now().as_second(),
    };
    let rows = checkup::check(&evidence);
    Ok(Checked {
        judgement: checkup::judge(&rows, sight.desired.machines.len()),
        rows,
        picture,
    })
}

/// What an update would change of what is applied through the API, a line each. Programs of another release are worded
/// otherwise.
async fn applied(
    world: &World<'_>,
    sight: Sight<'_>,
    inspected: &Inspected,
    other_release: bool,
) -> Result<Vec<String>, Failure> {
    let path = sight.workspace.kubeconfig();
    let kubeconfig = std::fs::read_to_string(&path)
        .map_err(|error| Failure::failed(format!("no kubeconfig `{}`: {error}", path.display())))?;
    let api = world.api.connect(&kubeconfig, None, PATIENCE).await?;
    let lbnode = (!other_release).then(|| inspected.lbnode());
    rehearse(api.as_ref(), sight.desired, lbnode).await
}

fn worst<'a>(rows: impl Iterator<Item = &'a Row>) -> Verdict {
    let results = rows.map(|row| row.result);
    results.max().unwrap_or(Verdict::Pass)
}

/// Nodes side by side.
const COLUMNS: usize = 6;
/// With more machines, only those are shown of which something is not as it should be.
const SHOWN: usize = 12;

/// What is below a head of the table.
type Column<'a> = (String, Vec<&'a Row>);

/// A table of checks and nodes, then everything that is not as it should be with what to do about it.
fn text(checked: &Checked) -> String {
    let Checked { picture, rows, .. } = checked;
    let cluster = rows.iter().filter(|row| row.address.is_none());
    let cluster: Column<'_> = ("CLUSTER".to_owned(), cluster.collect());
    let nodes = picture.nodes.iter().map(|node| {
        let own = rows.iter().filter(|row| row.address == Some(node.address));
        (node.name(), own.collect::<Vec<_>>())
    });
    let mut nodes: Vec<Column<'_>> = nodes.collect();
    let all = nodes.len();
    if all > SHOWN {
        nodes.retain(|(_, rows)| worst(rows.iter().copied()) != Verdict::Pass);
    }
    let mut text = format!("{}\n", table(std::slice::from_ref(&cluster)));
    for block in nodes.chunks(COLUMNS) {
        text.push_str(&format!("{}\n", table(block)));
    }
    if all > nodes.len() {
        let rest = all - nodes.len();
        text.push_str(&format!("{rest} machines passed every check\n\n"));
    }
    for row in rows.iter().filter(|row| row.result != Verdict::Pass) {
        text.push_str(&paragraph(row));
    }
    let name = &picture.cluster;
    text.push_str(&match checked.judgement {
        Judgement::Well => format!("cluster {name} is well\n"),
        Judgement::Differs => format!("cluster {name} serves, and is not as its file says\n"),
        Judgement::Partial => format!("cluster {name} is well as far as its machines answer\n"),
        Judgement::Broken => format!("cluster {name} is not well\n"),
    });
    text
}

fn table(columns: &[Column<'_>]) -> Table {
    let head = columns.iter().map(|(name, _)| name.clone());
    let mut table = Table::with_head(std::iter::once("CHECK".to_owned()).chain(head));
    let word = |result: Verdict| result.as_str().to_owned();
    for check in Check::ALL {
        let own = |rows: &[&Row]| {
            let rows = rows.iter().filter(|row| row.check == *check);
            rows.map(|row| row.result).max()
        };
        let results: Vec<Option<Verdict>> = columns.iter().map(|(_, rows)| own(rows)).collect();
        if results.iter().any(Option::is_some) {
            let cells = results.into_iter();
            let cells = cells.map(|result| result.map_or_else(|| "-".to_owned(), word));
            table.row(std::iter::once(check.name().to_owned()).chain(cells));
        }
    }
    let results = columns
        .iter()
        .map(|(_, rows)| word(worst(rows.iter().copied())));
    table.row(std::iter::once("RESULT".to_owned()).chain(results));
    table
}

/// One row with what to do about it.
fn paragraph(row: &Row) -> String {
    let place = match (&row.node, row.address) {
        (Some(node), _) => format!("{node}: "),
        (None, Some(address)) => format!("{address}: "),
        (None, None) => String::new(),
    };
    let since = row.since.as_ref();
    let since = since.map_or_else(String::new, |since| format!(" (since {since})"));
    let hint = row.hint.as_ref();
    let hint = hint.map_or_else(String::new, |hint| format!("  hint: {hint}\n"));
    let (result, name) = (row.result.as_str(), row.check.name());
    format!("{result}: {place}{}{since} [{name}]\n{hint}", row.detail)
}

#[cfg(test)]
mod tests;
