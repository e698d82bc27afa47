//! Numbers that must fit each other: E05, E06, and limits that depend on the cluster.

use crate::code::Code;
use crate::documents::Documents;
use crate::model::{Cluster, ClusterType, Profile};
use crate::report::Report;

pub(super) fn check(cluster: &Cluster, documents: &Documents<'_>, report: &mut Report<'_>) {
    let load_balancer = &cluster.load_balancer;
    let vrrp = &load_balancer.vrrp;
    let interval = &vrrp.advertisement_interval_millis;
    if let Some(span) = interval.span()
        && !interval.is_multiple_of(10)
    {
        report
            .error(
                Code::F04,
                span,
                format!(
                    "`advertisementIntervalMillis` is {}, not a multiple of 10",
                    **interval
                ),
            )
            .hint(format!(
                "VRRP counts in centiseconds (RFC 9568 §5.2.7): write {} or {}",
                (**interval / 10 * 10).max(10),
                (**interval / 10 + 1) * 10
            ));
    }
    if let Some(id) = &vrrp.virtual_router_id
        && let Some(span) = id.span()
        && matches!(**id, 1 | 51)
    {
        report
            .warning(
                Code::E06,
                span,
                format!(
                    "virtual router id {} is a common default of other programs",
                    **id
                ),
            )
            .hint("remove the line: an id is derived from the cluster's name and VIP");
    }
    heartbeats(cluster, report);
    if let Some(span) = cluster.profile.span()
        && cluster.profile() == Profile::Edge
        && cluster.cluster_type() != ClusterType::Standalone
    {
        report.notice(
            Code::E04,
            span,
            "`profile: edge` has no effect: the cluster is not `standalone`",
        );
    }
    let proxy = documents
        .cluster
        .and_then(|document| document.at(&["spec", "proxy"]));
    if let Some(proxy) = proxy
        && proxy.entry("url").is_none()
        && let Some(entry) = proxy.entry("noProxy")
    {
        report.notice(
            Code::E04,
            entry.key_span,
            "`noProxy` has no effect without `url`",
        );
    }
    let pods = &cluster.max_pods_per_node;
    if let Some(span) = pods.span()
        && cluster.cluster_type() != ClusterType::User
        && cluster.control_plane.nodes.len() == 1
        && (32..64).contains(&**pods)
    {
        report
            .error(
                Code::F04,
                span,
                format!(
                    "`maxPodsPerNode` is {}, less than 64 with one control-plane node",
                    **pods
                ),
            )
            .hint("the control plane's own pods need room: write 64 to 250");
    }
}

fn heartbeats(cluster: &Cluster, report: &mut Report<'_>) {
    let settings = &cluster.load_balancer.data_plane;
    let (interval, failover) = (
        &settings.heartbeat_interval_millis,
        &settings.failover_millis,
    );
    let Some(span) = failover.span().or_else(|| interval.span()) else {
        return;
    };
    let message = format!(
        "`failoverMillis` is {}, `heartbeatIntervalMillis` is {}",
        **failover, **interval
    );
    let least = interval.saturating_mul(3);
    let hint = format!("write `failoverMillis: {least}` or more, or a shorter interval");
    if **failover < interval.saturating_mul(2) {
        report
            .error(
                Code::E05,
                span,
                format!("{message}: one late heartbeat would move every address"),
            )
            .hint(hint);
    } else if **failover < least {
        report
            .warning(
                Code::E05,
                span,
                format!("{message}: two lost heartbeats move every address"),
            )
            .hint(hint);
    }
}
