//! Whether a running cluster is well: what was seen of it → rows of PASS, WARN and FAIL, all of them at once.
//!
//! The way to the API: `front`. Machines by themselves and beside each other: `machines`. Service addresses: `addresses`.
//! Of a node in maintenance nothing is expected but that the file says so.

mod addresses;
mod check;
mod front;
mod machines;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::Serialize;

pub use check::Check;

use super::certificate::Certificate;
use super::desired::{Desired, Machine};
use super::preflight::Verdict;
use super::status::{NodeState, Picture};

/// What was seen of a cluster.
#[derive(Debug, Clone, Copy)]
pub struct Evidence<'a> {
    /// What the file asks for.
    pub desired: &'a Desired,
    /// What `lbctl status` shows.
    pub picture: &'a Picture,
    /// Clocks of machines, in seconds since 1970.
    pub clocks: &'a BTreeMap<IpAddr, i64>,
    /// Certificates of machines.
    pub certificates: &'a BTreeMap<IpAddr, Vec<Certificate>>,
    /// Why it is not known whether what is applied through the API is as the file says.
    pub unknown: Option<&'a str>,
    /// Now, in seconds since 1970.
    pub now: i64,
}

/// Outcome of one check of one node, or of the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    /// Which check.
    pub check: Check,
    /// Name of the node; absent: the cluster, or not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// Its SSH address; absent: the cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    /// How it went.
    pub result: Verdict,
    /// Since when it is so, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// What was found, in words.
    pub detail: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// What follows from all rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judgement {
    /// All is well.
    Well,
    /// It serves, and is not as its file says.
    Differs,
    /// What answers is well, and a machine does not answer.
    Partial,
    /// Something is broken.
    Broken,
}

/// Runs every check.
pub fn check(evidence: &Evidence<'_>) -> Vec<Row> {
    let mut notes = Notes {
        rows: Vec::new(),
        place: Place::CLUSTER,
    };
    front::check(evidence, &mut notes);
    addresses::check(evidence, &mut notes);
    machines::check(evidence, &mut notes);
    let mut rows = notes.rows;
    let place = |row: &Row| {
        let nodes = &evidence.picture.nodes;
        nodes
            .iter()
            .position(|node| Some(node.address) == row.address)
    };
    rows.sort_by_key(|row| (row.check, place(row)));
    rows
}

/// What follows. `machines`: how many the file has.
pub fn judge(rows: &[Row], machines: usize) -> Judgement {
    let failed = || rows.iter().filter(|row| row.result == Verdict::Fail);
    let silent = failed().filter(|row| row.check == Check::Ssh).count();
    let aside = [Check::Ssh, Check::Drift, Check::Maintenance];
    if failed().any(|row| !aside.contains(&row.check)) || (silent > 0 && silent == machines) {
        Judgement::Broken
    } else if silent > 0 {
        Judgement::Partial
    } else if failed().next().is_some() {
        Judgement::Differs
    } else {
        Judgement::Well
    }
}

/// Where something was found.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    node: Option<String>,
    address: Option<IpAddr>,
}

impl Place {
    const CLUSTER: Self = Self {
        node: None,
        address: None,
    };

    fn of(node: &NodeState) -> Self {
        Self {
            node: node.node.clone(),
            address: Some(node.address),
        }
    }
}

/// Collects rows about one place at a time.
struct Notes {
    rows: Vec<Row>,
    place: Place,
}

impl Notes {
    fn at(&mut self, place: Place) -> &mut Self {
        self.place = place;
        self
    }

    fn pass(&mut self, check: Check, detail: impl Into<String>) -> &mut Self {
        self.note(check, Verdict::Pass, detail.into(), None)
    }

    fn warn(
        &mut self,
        check: Check,
        detail: impl Into<String>,
        hint: impl Into<String>,
    ) -> &mut Self {
        self.note(check, Verdict::Warn, detail.into(), Some(hint.into()))
    }

    fn fail(
        &mut self,
        check: Check,
        detail: impl Into<String>,
        hint: impl Into<String>,
    ) -> &mut Self {
        self.note(check, Verdict::Fail, detail.into(), Some(hint.into()))
    }

    fn note(
        &mut self,
        check: Check,
        result: Verdict,
        detail: String,
        hint: Option<String>,
    ) -> &mut Self {
        let Place { node, address } = self.place.clone();
        self.rows.push(Row {
            check,
            node,
            address,
            result,
            since: None,
            detail,
            hint,
        });
        self
    }

    /// Of the row that was added last; nothing is known when it is empty.
    fn since(&mut self, since: Option<&str>) {
        let known = since.filter(|since| !since.is_empty());
        if let (Some(row), Some(since)) = (self.rows.last_mut(), known) {
            row.since = Some(since.to_owned());
        }
    }
}

impl<'a> Evidence<'a> {
    /// Machines of the file that are not in maintenance, with what was seen of them.
    fn in_service(&self) -> impl Iterator<Item = (&'a Machine, &'a NodeState)> {
        self.all().filter(|(_, node)| !node.rests())
    }

    /// Machines of the file, with what was seen of them.
    fn all(&self) -> impl Iterator<Item = (&'a Machine, &'a NodeState)> {
        let (desired, picture) = (self.desired, self.picture);
        desired.machines.iter().filter_map(move |machine| {
            let mut nodes = picture.nodes.iter();
            let node = nodes.find(|node| node.address == machine.address)?;
            Some((machine, node))
        })
    }

    /// Whether the machine at this address inside the cluster is out of service.
    fn rests(&self, node_ip: IpAddr) -> bool {
        let mut all = self.all();
        all.any(|(machine, node)| machine.node_ip == node_ip && node.rests())
    }
}
