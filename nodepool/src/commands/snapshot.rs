//! `lbctl snapshot`: what the nodes and the API say at this moment, in one archive without secrets.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::status::{self, Sight};
use super::target::Target;
use crate::cli;
use crate::core::desired::Desired;
use crate::core::snapshot::{Entry, objects};
use crate::error::{Exit, Failure};
use crate::run::{Fleet, Interrupt, UNREACHABLE, World, from_nodes, pack};
use crate::ui::Ui;
use crate::workspace::Workspace;

/// Longest wait for the API.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is wanted.
#[derive(Clone, Copy)]
pub struct Snapshot<'a> {
    /// What the file asks for.
    pub desired: &'a Desired,
    /// Where the kubeconfig is, and where the archive goes unless it is named.
    pub workspace: &'a Workspace,
    /// Text of the cluster file.
    pub file: &'a str,
    /// The archive; absent: a name with the time in the workspace.
    pub archive: Option<&'a Path>,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// The archive.
    pub archive: PathBuf,
    /// Nodes that did not answer, by address.
    pub missing: Vec<String>,
}

pub(super) async fn run(args: &cli::Snapshot, ui: Ui) -> Result<(), Failure> {
    let target = Target::open(&args.target, "snapshot", ui)?;
    let interrupt = Interrupt::default();
    let world = target.world(ui, &interrupt);
    let file = std::fs::read_to_string(&args.target.file).unwrap_or_default();
    let input = Snapshot {
        desired: &target.desired,
        workspace: &target.workspace,
        file: &file,
        archive: args.output.as_deref(),
    };
    let taken = snapshot(&world, input).await?;
    ui.result(&format!("{}\n", taken.archive.display()))?;
    if taken.missing.is_empty() {
        return Ok(());
    }
    let text = format!("not in it: {}", taken.missing.join(", "));
    Err(Failure::new(Exit::Partial, text).hint("these nodes did not answer; the archive says why"))
}

/// Takes a snapshot. Nodes or an API that do not answer are noted in it.
///
/// # Errors
/// When the archive cannot be written.
pub async fn snapshot(world: &World<'_>, input: Snapshot<'_>) -> Result<Taken, Failure> {
    let now = jiff::Zoned::now();
    let fleet = Fleet::connect(world, input.desired).await?;
    let sight = Sight {
        desired: input.desired,
        workspace: input.workspace,
        lbnode: None,
    };
    let (nodes, api, seen) = futures::join!(
        from_nodes(world, &fleet),
        from_api(world, input.workspace),
        status::see(world, &fleet, sight),
    );
    let picture = seen.picture;
    let missing = nodes.iter().filter_map(|entry| {
        let path = entry.path.strip_suffix(UNREACHABLE)?;
        Some(
            path.trim_start_matches("nodes/")
                .trim_end_matches('/')
                .to_owned(),
        )
    });
    let missing = missing.collect();
    let time = now.strftime("%Y%m%d-%H%M%S");
    let folder = format!("{}-snapshot-{time}", input.desired.name);
    let about = format!(
        "cluster {}, {}, lbctl {}\nnodes/ADDRESS/: what each node says; api/: objects; status: what `lbctl status` shows\n",
        input.desired.name,
        now.strftime("%Y-%m-%d %H:%M:%S %Z"),
        env!("CARGO_PKG_VERSION"),
    );
    let entry = |path: &str, text: String| Entry {
        path: path.to_owned(),
        text,
    };
    let mut entries = vec![
        entry("README", about),
        entry("cluster.yaml", input.file.to_owned()),
        entry("status", status::text(&picture)),
        entry(
            "status.json",
            serde_json::to_string_pretty(&picture).unwrap_or_default(),
        ),
    ];
    entries.extend(api);
    entries.extend(nodes);
    let archive = input.archive.map_or_else(
        || input.workspace.directory().join(format!("{folder}.tar.gz")),
        Path::to_owned,
    );
    let seconds = u64::try_from(now.timestamp().as_second()).unwrap_or_default();
    pack(&archive, &folder, seconds, &entries).map_err(|error| {
        let text = format!("cannot write `{}`: {error}", archive.display());
        Failure::failed(text).hint("name another file with `--output-file`")
    })?;
    Ok(Taken { archive, missing })
}

/// Objects of the cluster, or why there are none.
async fn from_api(world: &World<'_>, workspace: &Workspace) -> Vec<Entry> {
    let why = |text: String| {
        vec![Entry {
            path: format!("api/{UNREACHABLE}"),
            text: format!("{text}\n"),
        }]
    };
    let path = workspace.kubeconfig();
    let kubeconfig = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) => return why(format!("no kubeconfig `{}`: {error}", path.display())),
    };
    match world.api.connect(&kubeconfig, None, PATIENCE).await {
        Ok(api) => {
            let collected = api.collect().await;
            collected.iter().map(objects).collect()
        }
        Err(failure) => why(failure.to_string()),
    }
}
