//! Changes with rules of their own: nodes, pools, Service ranges, the place of the load balancers.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use super::{Change, Verdict};
use crate::code::Code;
use crate::derive::{Placement, Pool, placement};
use crate::model::{AddressPool, Cluster, Mode};
use crate::net::IpSet;

pub(super) fn changes(old: &Cluster, new: &Cluster) -> Vec<Change> {
    let context = Context {
        old,
        new,
        was: placement(old),
        is: placement(new),
    };
    let mut changes = context.nodes();
    changes.extend(context.place_of_load_balancers());
    changes.extend(context.services());
    changes.extend(context.pools());
    changes
}

struct Context<'c> {
    old: &'c Cluster,
    new: &'c Cluster,
    was: Placement,
    is: Placement,
}

fn refused(code: Code, why: impl Into<String>) -> Verdict {
    Verdict::Refused {
        code,
        why: why.into(),
    }
}

fn change(path: &str, from: Option<String>, to: Option<String>, verdict: Verdict) -> Change {
    Change {
        path: path.to_owned(),
        from,
        to,
        verdict,
        nodes: Vec::new(),
        api: false,
    }
}

impl Context<'_> {
    fn nodes(&self) -> Vec<Change> {
        let pools = |placement: &Placement| -> BTreeMap<Ipv4Addr, Pool> {
            placement
                .roles()
                .iter()
                .map(|role| (role.node.address(), role.pool.clone()))
                .collect()
        };
        let (was, is) = (pools(&self.was), pools(&self.is));
        let gone: Vec<Ipv4Addr> = was
            .iter()
            .filter(|(address, pool)| {
                **pool == Pool::ControlPlane && is.get(address) != Some(&Pool::ControlPlane)
            })
            .map(|(address, _)| *address)
            .collect();
        let addresses: BTreeSet<Ipv4Addr> = was.keys().chain(is.keys()).copied().collect();
        let mut changes = Vec::new();
        for address in addresses {
            let (from, to) = (was.get(&address), is.get(&address));
            if from == to {
                continue;
            }
            let verdict = match (from, to) {
                (Some(from), Some(to)) => refused(
                    Code::V16,
                    format!(
                        "a machine cannot move from {} to {} in one step: remove it, update, then add it",
                        name(from),
                        name(to)
                    ),
                ),
                (Some(Pool::ControlPlane), None) if gone.len() > 1 => refused(
                    Code::E09,
                    "control-plane nodes leave one at a time, so that etcd keeps its majority: remove one, update, then the next",
                ),
                _ => Verdict::Allowed,
            };
            let pool = to.or(from);
            let path = match pool {
                Some(Pool::ControlPlane) => {
                    format!("spec.controlPlane.nodePoolSpec.nodes[{address}]")
                }
                Some(Pool::LoadBalancer) => {
                    format!("spec.loadBalancer.nodePoolSpec.nodes[{address}]")
                }
                Some(Pool::Worker(worker)) => format!("nodePool[{worker}].spec.nodes[{address}]"),
                None => continue,
            };
            let mut touched: BTreeSet<Ipv4Addr> = BTreeSet::from([address]);
            if self.concerns_load_balancers(address) {
                touched.extend(
                    self.is
                        .control_plane_load_balancers()
                        .map(|node| node.address()),
                );
            }
            changes.push(Change {
                nodes: if verdict == Verdict::Allowed {
                    touched.into_iter().collect()
                } else {
                    Vec::new()
                },
                api: true,
                ..change(&path, from.map(name), to.map(name), verdict)
            });
        }
        changes
    }

    /// Whether other nodes' load balancers must learn of a node: as back end, as VRRP peer, or as allowed client.
    fn concerns_load_balancers(&self, address: Ipv4Addr) -> bool {
        let proxy = self.new.load_balancer().proxy();
        if proxy.allowed_sources().next().is_some() {
            return true;
        }
        [&self.was, &self.is].into_iter().any(|placement| {
            placement.role(address).is_some_and(|role| {
                role.pool == Pool::ControlPlane || role.control_plane_load_balancer
            })
        })
    }

    fn place_of_load_balancers(&self) -> Vec<Change> {
        let (old, new) = (self.old.load_balancer(), self.new.load_balancer());
        let (was, is) = (
            self.old.control_plane().load_balancer_mode(),
            self.new.control_plane().load_balancer_mode(),
        );
        let mut changes = Vec::new();
        let mode = |mode: Option<Mode>| mode.map(|mode| mode.as_str().to_owned());
        if was != is {
            let verdict = match (was, is, old.node_pool()) {
                (None, Some(Mode::Bundled), None) => Verdict::Allowed,
                (None, Some(Mode::Bundled), Some(_)) => refused(
                    Code::V23,
                    "the control-plane load balancer cannot move from the load balancer pool to the control-plane nodes",
                ),
                _ => refused(
                    Code::V22,
                    "`controlPlane.loadBalancer.mode` can be set to `bundled` once, and stays",
                ),
            };
            changes.push(change(
                "spec.controlPlane.loadBalancer.mode",
                mode(was),
                mode(is),
                verdict,
            ));
        }
        let count = |cluster: &Cluster| {
            cluster
                .load_balancer()
                .node_pool()
                .map(|pool| format!("{} nodes", pool.nodes().len()))
        };
        let path = "spec.loadBalancer.nodePoolSpec";
        match (old.node_pool(), new.node_pool()) {
            (None, Some(_)) => {
                let verdict = if is == Some(Mode::Bundled) {
                    Verdict::Allowed
                } else {
                    refused(
                        Code::V23,
                        "a load balancer pool cannot be added while it would take the control-plane VIP: set `controlPlane.loadBalancer.mode: bundled` in the same update",
                    )
                };
                let carriers = self.is.data_plane_load_balancers().chain(self.was.data_plane_load_balancers());
                let nodes: BTreeSet<Ipv4Addr> = carriers.map(|node| node.address()).collect();
                changes.push(Change {
                    nodes: if verdict == Verdict::Allowed { nodes.into_iter().collect() } else { Vec::new() },
                    api: true,
                    ..change(path, None, count(self.new), verdict)
                });
            }
            (Some(_), None) => changes.push(change(
                path,
                count(self.old),
                None,
                refused(Code::V23, "the load balancer pool cannot be removed: nobody would carry its addresses meanwhile"),
            )),
            _ => {}
        }
        changes
    }

    fn services(&self) -> Vec<Change> {
        let blocks = |cluster: &Cluster| {
            let mut blocks: Vec<ipnet::IpNet> = cluster.network().service_cidrs().collect();
            blocks.sort_unstable();
            blocks
        };
        let (was, is) = (blocks(self.old), blocks(self.new));
        if was == is {
            return Vec::new();
        }
        let kept = was.iter().all(|old| is.iter().any(|new| new.contains(old)));
        let print = |blocks: &[ipnet::IpNet]| {
            let texts: Vec<String> = blocks.iter().map(ToString::to_string).collect();
            Some(texts.join(", "))
        };
        let verdict = if kept {
            Verdict::Allowed
        } else {
            refused(
                Code::V19,
                "Service ranges can only grow: every old range must lie inside a new one, because Services have addresses in it",
            )
        };
        let nodes = if kept {
            self.is
                .roles()
                .iter()
                .filter(|role| role.pool == Pool::ControlPlane)
                .map(|role| role.node.address())
                .collect()
        } else {
            Vec::new()
        };
        vec![Change {
            nodes,
            api: true,
            ..change(
                "spec.clusterNetwork.services.cidrBlocks",
                print(&was),
                print(&is),
                verdict,
            )
        }]
    }

    fn pools(&self) -> Vec<Change> {
        let (old, new) = (
            self.old.load_balancer().address_pools(),
            self.new.load_balancer().address_pools(),
        );
        let find = |pools: &[AddressPool], name: &str| {
            pools.iter().find(|pool| pool.name() == name).cloned()
        };
        let set = |pool: &AddressPool| pool.ranges().collect::<IpSet>();
        let mut changes = Vec::new();
        for pool in new {
            let path = format!("spec.loadBalancer.addressPools[{}]", pool.name());
            match find(old, pool.name()) {
                None => changes.push(Change {
                    api: true,
                    ..change(&path, None, Some(set(pool).to_string()), Verdict::Allowed)
                }),
                Some(before) if set(&before) != set(pool) => changes.push(change(
                    &format!("{path}.addresses"),
                    Some(set(&before).to_string()),
                    Some(set(pool).to_string()),
                    refused(
                        Code::V21,
                        "a pool keeps its addresses, because Services have some of them: add another pool with the new ranges",
                    ),
                )),
                Some(_) => {}
            }
        }
        for pool in old {
            if find(new, pool.name()).is_some() {
                continue;
            }
            let renamed = new
                .iter()
                .find(|other| find(old, other.name()).is_none() && set(other) == set(pool));
            let why = match renamed {
                Some(other) => format!(
                    "a pool keeps its name: call `{}` `{}` again",
                    other.name(),
                    pool.name()
                ),
                None => "a pool cannot be removed, because Services have addresses of it: set `manualAssign: true` to stop its use"
                    .to_owned(),
            };
            changes.push(change(
                &format!("spec.loadBalancer.addressPools[{}]", pool.name()),
                Some(set(pool).to_string()),
                None,
                refused(Code::V21, why),
            ));
        }
        changes
    }
}

fn name(pool: &Pool) -> String {
    match pool {
        Pool::ControlPlane => "the control plane".to_owned(),
        Pool::LoadBalancer => "the load balancer pool".to_owned(),
        Pool::Worker(name) => format!("the pool `{name}`"),
    }
}
