//! Which document of a file is what.

use crate::code::Code;
use crate::field::{DOCUMENTS, HEADER};
use crate::report::Report;
use crate::structure::check_map;
use crate::suggest::nearest;
use crate::yaml::Node;

/// The documents of a file by their kind.
#[derive(Default)]
pub(crate) struct Documents<'d> {
    pub(crate) header: Option<&'d Node>,
    pub(crate) namespace: Option<&'d Node>,
    pub(crate) cluster: Option<&'d Node>,
    pub(crate) node_pools: Vec<&'d Node>,
}

/// Objects that may stand in the file and are not used.
pub(crate) const UNUSED_KINDS: &[&str] = &[
    "AddOnConfiguration",
    "BGPLoadBalancer",
    "BGPPeer",
    "ClusterCIDRConfig",
    "ClusterManifestDeployment",
    "ConfigMap",
    "FlatIPMode",
    "MachineClass",
    "NetworkGatewayGroup",
    "NodePoolClaim",
    "Secret",
];

/// Sorts the documents and checks the structure of each.
pub(crate) fn sort<'d>(
    documents: &'d [Node],
    complete: bool,
    report: &mut Report<'_>,
) -> Documents<'d> {
    let mut sorted = Documents::default();
    for (index, document) in documents.iter().enumerate() {
        let kind = document.get("kind").and_then(Node::text);
        match kind {
            Some(kind) => match DOCUMENTS.iter().find(|known| known.kind == kind) {
                Some(known) => {
                    check_map(
                        document,
                        document.span,
                        known.fields,
                        &format!("the {kind}"),
                        report,
                    );
                    place(document, kind, &mut sorted, report);
                }
                None => foreign(document, kind, report),
            },
            None if document.get("apiVersion").is_some() => {
                report
                    .error(Code::F01, document.span, "the document needs `kind`")
                    .hint("write `kind: Namespace`, `kind: Cluster` or `kind: NodePool`");
            }
            None if index == 0 => {
                check_map(document, document.span, HEADER.fields, "the header", report);
                sorted.header = Some(document);
            }
            None => {
                report
                    .error(
                        Code::F08,
                        document.span,
                        "only the first document may be without `apiVersion` and `kind`",
                    )
                    .hint("remove the `---` above if this belongs to the document before, or add the two keys");
            }
        }
    }
    if complete && sorted.cluster.is_none() && !mistyped_cluster(documents) {
        let at = documents
            .last()
            .map_or_else(Default::default, |last| last.span);
        report
            .error(Code::F08, at, "the file has no Cluster document")
            .hint("`lbctl create config -c NAME` writes a file to begin with");
    }
    sorted
}

/// A Cluster document whose kind was complained about is not missing as well.
fn mistyped_cluster(documents: &[Node]) -> bool {
    documents.iter().any(|document| {
        document
            .get("spec")
            .is_some_and(|spec| spec.get("loadBalancer").is_some())
    })
}

fn place<'d>(document: &'d Node, kind: &str, sorted: &mut Documents<'d>, report: &mut Report<'_>) {
    let slot = match kind {
        "Namespace" => &mut sorted.namespace,
        "Cluster" => &mut sorted.cluster,
        _ => return sorted.node_pools.push(document),
    };
    match slot {
        Some(first) => {
            report
                .error(
                    Code::F08,
                    document.span,
                    format!("the file has more than one {kind}"),
                )
                .also(first.span, "also here")
                .hint("write one file for each cluster");
        }
        None => *slot = Some(document),
    }
}

fn foreign(document: &Node, kind: &str, report: &mut Report<'_>) {
    let span = document
        .get("kind")
        .map_or(document.span, |value| value.span);
    if UNUSED_KINDS.contains(&kind) {
        report.notice(Code::F06, span, format!("the {kind} is not used here"));
        return;
    }
    let kinds = DOCUMENTS.iter().map(|known| known.kind);
    let found = report.error(
        Code::F08,
        span,
        format!("`{kind}` does not belong in a cluster file"),
    );
    match nearest(kind, kinds.chain(UNUSED_KINDS.iter().copied())) {
        Some(near) => found.hint(format!("did you mean `{near}`?")),
        None => found.hint("apply other objects with kubectl once the cluster runs"),
    };
}
