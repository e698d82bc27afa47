//! `lbctl diff --against OLD`: what a new cluster file changes, without reaching any machine.

use std::net::Ipv4Addr;

use cluster_config::{Change, Diagnostic, File};
use serde::Serialize;

use super::cluster_file;
use crate::cli;
use crate::error::{Exit, Failure};
use crate::ui::{Table, Ui};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Row<'a> {
    path: &'a str,
    from: Option<&'a str>,
    to: Option<&'a str>,
    allowed: bool,
    nodes: &'a [Ipv4Addr],
    api: bool,
    /// Why it is refused, and where.
    #[serde(skip_serializing_if = "Option::is_none")]
    refusal: Option<&'a Diagnostic>,
}

/// The changes, each refused one with its finding.
fn rows<'a>(changes: &'a [Change], refusals: &'a [Diagnostic]) -> Vec<Row<'a>> {
    let mut refusals = refusals.iter();
    let row = |change: &'a Change| Row {
        path: &change.path,
        from: change.from.as_deref(),
        to: change.to.as_deref(),
        allowed: !change.is_refused(),
        nodes: &change.nodes,
        api: change.api,
        refusal: change.is_refused().then(|| refusals.next()).flatten(),
    };
    changes.iter().map(row).collect()
}

pub(super) fn run(args: &cli::Diff, ui: Ui) -> Result<(), Failure> {
    if [&args.against, &args.file]
        .iter()
        .all(|path| path.as_os_str() == "-")
    {
        return Err(Failure::new(
            Exit::Usage,
            "stdin can be the old file or the new one, not both",
        ));
    }
    let (old_name, new_name) = (
        cluster_file::name(&args.against),
        cluster_file::name(&args.file),
    );
    let (old, old_text) = cluster_file::cluster_and_text(&args.against, ui)?;
    let (new, new_text) = cluster_file::cluster_and_text(&args.file, ui)?;
    let changes = cluster_config::changes(&old, &new);
    let file = |name, text| File { name, text };
    let refusals = cluster_config::refusals(
        &changes,
        file(&old_name, &old_text),
        file(&new_name, &new_text),
    );
    let rows = rows(&changes, &refusals);
    match args.output {
        cli::Output::Table if rows.is_empty() => ui.result("no changes\n")?,
        cli::Output::Table => {
            ui.result(&table(&rows))?;
            if !refusals.is_empty() {
                let text = cluster_config::render_text(&refusals, ui.color);
                ui.say(&format!("\n{}", text.trim_end()));
            }
        }
        form => ui.listing(form, &rows)?,
    }
    if rows.iter().any(|row| !row.allowed) {
        return Err(Failure::silent(Exit::Config));
    }
    if rows.is_empty() {
        Ok(())
    } else {
        Err(Failure::silent(Exit::Drift))
    }
}

fn table(rows: &[Row<'_>]) -> String {
    let mut table = Table::new(["FIELD", "FROM", "TO", "TOUCHES", "VERDICT"]);
    for row in rows {
        let nodes = row.nodes.iter().map(ToString::to_string);
        let mut touched: Vec<String> = nodes.collect();
        if row.api {
            touched.push("API objects".to_owned());
        }
        let or_dash = |text: Option<&str>| clipped(text.unwrap_or("-"));
        table.row([
            row.path.to_owned(),
            or_dash(row.from),
            or_dash(row.to),
            if touched.is_empty() {
                "nothing".to_owned()
            } else {
                touched.join(", ")
            },
            if row.allowed {
                "allowed".to_owned()
            } else {
                "refused".to_owned()
            },
        ]);
    }
    table.to_string()
}

/// Long values would push every other column off the screen; `-o json` has them whole.
fn clipped(text: &str) -> String {
    const WIDTH: usize = 40;
    if text.chars().count() <= WIDTH {
        return text.to_owned();
    }
    text.chars().take(WIDTH - 1).chain(['…']).collect()
}
