//! Which versions of what are on which nodes.

use std::collections::BTreeMap;

use serde::Serialize;

use super::NodeState;
use crate::core::service_view::SpeakerState;

/// A program, or an image, with its versions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Component {
    /// `lbnode`, `image`, `speaker`, `kubelet` or `containerd`.
    pub component: &'static str,
    /// There is more than one.
    pub mixed: bool,
    /// Each version, with the nodes that have it.
    pub versions: Vec<VersionOn>,
}

/// A version and who has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VersionOn {
    /// As the program says it; of an image the digest.
    pub version: String,
    /// Names of the nodes.
    pub nodes: Vec<String>,
}

/// So much of a digest tells one image from another.
const DIGEST: usize = "sha256:".len() + 12;

/// Counts the versions. Nodes in maintenance count too: they come back with what they have.
pub(super) fn components(nodes: &[NodeState], speakers: &[SpeakerState]) -> Vec<Component> {
    let of_nodes = |version: &dyn Fn(&NodeState) -> Vec<String>| {
        let pairs = nodes.iter().flat_map(|node| {
            let versions = version(node).into_iter();
            versions.map(move |version| (version, node.name()))
        });
        pairs.collect::<Vec<_>>()
    };
    let one = |version: Option<String>| version.into_iter().collect::<Vec<_>>();
    let running = speakers.iter().filter(|speaker| !speaker.lost);
    let speakers = running.map(|speaker| (speaker.version.clone(), speaker.node.clone()));
    let all = [
        ("lbnode", of_nodes(&|node| one(node.lbnode_version()))),
        ("image", of_nodes(&|node| node.images.clone())),
        ("speaker", speakers.collect::<Vec<_>>()),
        ("kubelet", of_nodes(&|node| one(node.kubelet.clone()))),
        ("containerd", of_nodes(&|node| one(node.containerd.clone()))),
    ];
    let components = all.into_iter().map(|(name, pairs)| component(name, pairs));
    components
        .filter(|component| !component.versions.is_empty())
        .collect()
}

fn component(name: &'static str, pairs: Vec<(String, String)>) -> Component {
    let mut versions: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (version, node) in pairs.into_iter().filter(|(version, _)| !version.is_empty()) {
        versions.entry(version).or_default().push(node);
    }
    Component {
        component: name,
        mixed: versions.len() > 1,
        versions: versions
            .into_iter()
            .map(|(version, nodes)| VersionOn { version, nodes })
            .collect(),
    }
}

impl Component {
    /// What has which version, in words.
    pub fn words(&self) -> String {
        let words = self.versions.iter().map(|one| {
            let nodes = one.nodes.join(", ");
            format!("{} on {nodes}", one.short())
        });
        words.collect::<Vec<_>>().join("; ")
    }

    /// The same for one that is mixed, with what it means.
    pub fn difference(&self) -> String {
        format!(
            "{} is not the same everywhere: {}; {}",
            self.component,
            self.words(),
            self.remedy()
        )
    }

    /// What to do about one that is mixed.
    pub fn remedy(&self) -> &'static str {
        match self.component {
            "kubelet" => {
                "install one version of Kubernetes everywhere: a kubelet may be up to three minor versions older than the API servers, and never newer"
            }
            "containerd" => "install one version of containerd everywhere, node by node",
            _ => {
                "an update was interrupted, or is under way: `lbctl update cluster` brings every node to one release"
            }
        }
    }
}

impl VersionOn {
    /// Short enough for a table.
    pub fn short(&self) -> &str {
        if self.version.starts_with("sha256:") {
            self.version.get(..DIGEST).unwrap_or(&self.version)
        } else {
            &self.version
        }
    }
}
