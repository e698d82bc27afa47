//! What `cargo metadata` says about the workspace and its dependencies.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::cargo;

/// The packages of the lock file that this workspace uses.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Metadata {
    /// Members and third-party packages.
    pub(crate) packages: Vec<Package>,
    /// Identifiers of the members.
    pub(crate) workspace_members: Vec<String>,
    /// Who depends on whom, with the features of this workspace.
    pub(crate) resolve: Resolve,
}

/// One package.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Package {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) license: Option<String>,
    pub(crate) manifest_path: PathBuf,
    #[serde(default)]
    pub(crate) dependencies: Vec<Dependency>,
    #[serde(default)]
    pub(crate) targets: Vec<Target>,
}

/// One library, program or test of a package.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Target {
    pub(crate) name: String,
    pub(crate) kind: Vec<String>,
}

/// One line of a dependency table.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    /// The name that sources use, if another.
    #[serde(default)]
    pub(crate) rename: Option<String>,
    /// Absent: normal; `dev` or `build` otherwise.
    pub(crate) kind: Option<String>,
}

/// The dependency graph.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Resolve {
    pub(crate) nodes: Vec<Node>,
}

/// One package in the graph.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Node {
    pub(crate) id: String,
    pub(crate) deps: Vec<Edge>,
}

/// One dependency in the graph.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Edge {
    pub(crate) pkg: String,
    pub(crate) dep_kinds: Vec<EdgeKind>,
}

/// Why a dependency is in the graph.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct EdgeKind {
    pub(crate) kind: Option<String>,
}

impl Metadata {
    /// Asks cargo.
    ///
    /// # Errors
    ///
    /// When cargo fails or its answer has another form.
    pub(crate) fn load() -> Result<Self> {
        let text = cargo::output(cargo::command(&["metadata", "--format-version", "1"]))?;
        serde_json::from_str(&text).context("cannot read the answer of `cargo metadata`")
    }

    /// The members of the workspace.
    pub(crate) fn members(&self) -> impl Iterator<Item = &Package> {
        self.packages
            .iter()
            .filter(|package| self.workspace_members.contains(&package.id))
    }

    /// Names of the members' integration tests, each once.
    pub(crate) fn test_targets(&self) -> impl Iterator<Item = &str> {
        let targets = self.members().flat_map(|package| &package.targets);
        let tests = targets.filter(|target| target.kind.iter().any(|kind| kind == "test"));
        tests
            .map(|target| &*target.name)
            .collect::<BTreeSet<_>>()
            .into_iter()
    }

    /// Everything that is not a member.
    pub(crate) fn third_party(&self) -> impl Iterator<Item = &Package> {
        self.packages
            .iter()
            .filter(|package| !self.workspace_members.contains(&package.id))
    }

    /// Names of all packages that `name` needs at run time, without itself.
    pub(crate) fn runtime_closure(&self, name: &str) -> BTreeSet<&str> {
        let names: BTreeMap<&str, &str> = self
            .packages
            .iter()
            .map(|package| (&*package.id, &*package.name))
            .collect();
        let nodes: BTreeMap<&str, &Node> = self
            .resolve
            .nodes
            .iter()
            .map(|node| (&*node.id, node))
            .collect();
        let start = self.packages.iter().find(|package| package.name == name);
        let mut open: Vec<&str> = start.map(|package| &*package.id).into_iter().collect();
        let mut seen: BTreeSet<&str> = open.iter().copied().collect();
        let mut found = BTreeSet::new();
        while let Some(node) = open.pop().and_then(|id| nodes.get(id)) {
            for edge in &node.deps {
                let at_run_time = edge.dep_kinds.iter().any(|kind| kind.kind.is_none());
                if at_run_time && seen.insert(&edge.pkg) {
                    open.push(&edge.pkg);
                    found.extend(names.get(&*edge.pkg));
                }
            }
        }
        found
    }
}

impl Package {
    /// The folder of the package.
    pub(crate) fn directory(&self) -> &Path {
        self.manifest_path.parent().unwrap_or(&self.manifest_path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_run_time_closure_leaves_out_what_only_builds_or_tests_need() {
        let text = r#"{
            "workspace_members": ["a"],
            "packages": [
                {"id":"a","name":"a","version":"1.0.0","license":null,"manifest_path":"/x/a/Cargo.toml"},
                {"id":"b","name":"b","version":"1.0.0","license":"MIT","manifest_path":"/x/b/Cargo.toml"},
                {"id":"c","name":"c","version":"1.0.0","license":"MIT","manifest_path":"/x/c/Cargo.toml"},
                {"id":"d","name":"d","version":"1.0.0","license":"MIT","manifest_path":"/x/d/Cargo.toml"}
            ],
            "resolve": {"nodes": [
                {"id":"a","deps":[{"pkg":"b","dep_kinds":[{"kind":null}]},{"pkg":"d","dep_kinds":[{"kind":"dev"}]}]},
                {"id":"b","deps":[{"pkg":"c","dep_kinds":[{"kind":"build"},{"kind":null}]},{"pkg":"a","dep_kinds":[{"kind":null}]}]},
                {"id":"c","deps":[]},
                {"id":"d","deps":[]}
            ]}
        }"#;
        let metadata: Metadata = serde_json::from_str(text).unwrap();
        assert_eq!(metadata.runtime_closure("a"), BTreeSet::from(["b", "c"]));
        assert_eq!(metadata.runtime_closure("absent"), BTreeSet::new());
        assert_eq!(metadata.third_party().count(), 3);
    }
}
