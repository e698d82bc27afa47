//! `lbctl diff --against OLD`: what a new cluster file changes, without reaching any machine.

use std::net::Ipv4Addr;

use cluster_config::{Change, Verdict};
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
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<&'a str>,
    nodes: &'a [Ipv4Addr],
    api: bool,
}

impl<'a> From<&'a Change> for Row<'a> {
    fn from(change: &'a Change) -> Self {
        let (code, why) = match &change.verdict {
            Verdict::Allowed => (None, None),
            Verdict::Refused { code, why } => (Some(code.to_string()), Some(why.as_str())),
        };
        Self {
            path: &change.path,
            from: change.from.as_deref(),
            to: change.to.as_deref(),
            allowed: !change.is_refused(),
            code,
            why,
            nodes: &change.nodes,
            api: change.api,
        }
    }
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
    let old = cluster_file::cluster(&args.against, ui)?;
    let new = cluster_file::cluster(&args.file, ui)?;
    let changes = cluster_config::changes(&old, &new);
    let rows: Vec<Row<'_>> = changes.iter().map(Row::from).collect();
    match args.output {
        cli::Output::Table if rows.is_empty() => ui.result("no changes\n")?,
        cli::Output::Table => ui.result(&text(&rows))?,
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

fn text(rows: &[Row<'_>]) -> String {
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
    let mut text = table.to_string();
    for row in rows.iter().filter(|row| !row.allowed) {
        let code = row.code.as_deref().unwrap_or_default();
        text.push_str(&format!(
            "\nrefused[{code}]: {}: {}\n",
            row.path,
            row.why.unwrap_or_default()
        ));
    }
    text
}

/// Long values would push every other column off the screen; `-o json` has them whole.
fn clipped(text: &str) -> String {
    const WIDTH: usize = 40;
    if text.chars().count() <= WIDTH {
        return text.to_owned();
    }
    text.chars().take(WIDTH - 1).chain(['…']).collect()
}
