//! Documents and names agree: V29, V30, V31 (within one file), F07, F09.

use std::collections::BTreeMap;

use crate::code::Code;
use crate::documents::Documents;
use crate::model::{Cluster, ClusterType, Located};
use crate::report::Report;
use crate::yaml::{Node, Span};

const LONG_NAME: usize = 45;

pub(super) fn check(cluster: &Cluster, documents: &Documents<'_>, report: &mut Report<'_>) {
    if let Some(span) = cluster.name.span()
        && cluster.name().len() > LONG_NAME
    {
        report
            .warning(
                Code::V29,
                span,
                format!(
                    "the cluster's name has {} characters, more than {LONG_NAME}",
                    cluster.name().len()
                ),
            )
            .hint("names of objects are made from it; choose a shorter one");
    }
    let namespace = documents
        .namespace
        .and_then(|document| document.at(&["metadata", "name"]));
    if let Some(node) = namespace {
        agree(
            "the Namespace's name",
            node_text(node),
            "the Cluster's namespace",
            &cluster.namespace,
            report,
        );
    }
    for pool in [
        cluster.control_plane.cluster_name.as_ref(),
        cluster
            .load_balancer
            .pool
            .as_ref()
            .and_then(|pool| pool.cluster_name.as_ref()),
    ]
    .into_iter()
    .flatten()
    {
        agree(
            "`clusterName`",
            located(pool),
            "the Cluster's name",
            &cluster.name,
            report,
        );
    }
    worker_pools(cluster, report);
}

fn worker_pools(cluster: &Cluster, report: &mut Report<'_>) {
    let mut names: BTreeMap<&str, Span> = BTreeMap::new();
    for pool in &cluster.worker_pools {
        agree(
            "`clusterName`",
            located(&pool.cluster_name),
            "the Cluster's name",
            &cluster.name,
            report,
        );
        agree(
            "the NodePool's namespace",
            located(&pool.namespace),
            "the Cluster's namespace",
            &cluster.namespace,
            report,
        );
        let Some(span) = pool.name.span() else {
            continue;
        };
        if let Some(first) = names.insert(pool.name(), span) {
            report
                .error(
                    Code::F09,
                    span,
                    format!("two node pools are named `{}`", pool.name()),
                )
                .also(first, "also here")
                .hint("rename one of them, or put their nodes into one pool");
        }
        let reserved = [cluster.name().to_owned(), format!("{}-lb", cluster.name())];
        if reserved.iter().any(|name| name == pool.name()) {
            report
                .error(
                    Code::F07,
                    span,
                    format!("`{}` is the name of a pool that the Cluster makes itself", pool.name()),
                )
                .hint(format!(
                    "`{}` holds the control-plane nodes, `{}` the load balancer nodes: choose another name",
                    reserved[0], reserved[1]
                ));
        }
        if let (ClusterType::Admin, Some(kind)) =
            (cluster.cluster_type(), cluster.cluster_type.span())
        {
            report
                .error(Code::V30, span, "an admin cluster has no worker pools")
                .also(kind, "the cluster is an admin cluster")
                .hint("remove the NodePool, or make the cluster `hybrid` or `standalone`");
        }
    }
}

fn located(text: &Located<String>) -> Option<(&str, Span)> {
    Some((text.as_str(), text.span()?))
}

fn node_text(node: &Node) -> Option<(&str, Span)> {
    Some((node.text()?, node.span))
}

fn agree(
    what: &str,
    found: Option<(&str, Span)>,
    with: &str,
    wanted: &Located<String>,
    report: &mut Report<'_>,
) {
    let (Some((text, span)), Some(wanted_span)) = (found, wanted.span()) else {
        return;
    };
    if text != wanted.as_str() {
        report
            .error(
                Code::F07,
                span,
                format!("{what} is `{text}`, {with} is `{}`", wanted.as_str()),
            )
            .also(wanted_span, format!("{with} is written here"))
            .hint(format!(
                "write `{}` in both places, or correct the other one",
                wanted.as_str()
            ));
    }
}
