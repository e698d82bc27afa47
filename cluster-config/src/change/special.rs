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

fn refused(code: Code, why: impl Into<String>, hint: impl Into<String>) -> Verdict {
    Verdict::Refused {
        code,
        why: why.into(),
        hint: hint.into(),
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
        in_new: None,
        in_old: None,
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
        let used = self.used_addresses();
        let leaving = was
            .iter()
            .filter(|(address, pool)| {
                **pool == Pool::ControlPlane && is.get(address) != Some(&Pool::ControlPlane)
            })
            .count();
        let addresses: BTreeSet<Ipv4Addr> = was.keys().chain(is.keys()).copied().collect();
        let mut changes = Vec::new();
        for address in addresses {
            let (from, to) = (was.get(&address), is.get(&address));
            let Some(pool) = to.or(from).filter(|_| from != to) else {
                continue;
            };
            let (mut in_new, mut in_old) = (None, None);
            let verdict = match (from, to) {
                (Some(from), Some(to)) => {
                    in_old = Some(path(from, address));
                    refused(
                        Code::V16,
                        format!(
                            "a machine cannot move from {} to {} in one step",
                            name(from),
                            name(to)
                        ),
                        "remove it, update, then add it to the other pool",
                    )
                }
                (Some(Pool::ControlPlane), None) if leaving > 1 => refused(
                    Code::E09,
                    "control-plane nodes leave one at a time, so that etcd keeps its majority",
                    "remove one, update, then remove the next",
                ),
                (None, Some(_)) => match self.still_used(address, &used) {
                    Some((key, taken, other)) => {
                        in_new = Some(format!("{}{key}", path(pool, address)));
                        in_old = Some(other.to_owned());
                        refused(
                            Code::V16,
                            format!(
                                "`{taken}` still belongs to a node that leaves in the same update"
                            ),
                            "update without the new node first, then add it",
                        )
                    }
                    None => Verdict::Allowed,
                },
                _ => Verdict::Allowed,
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
                in_new,
                in_old,
                ..change(&path(pool, address), from.map(name), to.map(name), verdict)
            });
        }
        changes
    }

    /// The old file's addresses, each with its node's SSH address and the path where it stands.
    fn used_addresses(&self) -> BTreeMap<Ipv4Addr, (Ipv4Addr, String)> {
        let mut used = BTreeMap::new();
        for role in self.was.roles() {
            let (own, node) = (role.node.address(), path(&role.pool, role.node.address()));
            if let Some(second) = role.node.k8s_ip() {
                used.insert(second, (own, format!("{node}.k8sIP")));
            }
            used.insert(own, (own, node));
        }
        used
    }

    /// An address of a new node that another node of the old file has: the key below the node, the address, and
    /// where the old file has it.
    fn still_used<'u>(
        &self,
        new: Ipv4Addr,
        used: &'u BTreeMap<Ipv4Addr, (Ipv4Addr, String)>,
    ) -> Option<(&'static str, Ipv4Addr, &'u str)> {
        let node = &self.is.role(new)?.node;
        let second = node.k8s_ip().map(|second| (".k8sIP", second));
        std::iter::once((".address", new))
            .chain(second)
            .find_map(|(key, address)| {
                let (owner, path) = used.get(&address)?;
                (*owner != new).then_some((key, address, path.as_str()))
            })
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
                    "remove `controlPlane.loadBalancer.mode` again",
                ),
                (Some(mode), _, _) => refused(
                    Code::V22,
                    "`controlPlane.loadBalancer.mode` can be set to `bundled` once, and stays",
                    format!("write `{mode}` again"),
                ),
                (None, ..) => refused(
                    Code::V22,
                    "`controlPlane.loadBalancer.mode` can be set to `bundled` only",
                    "remove it again",
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
                        "a load balancer pool cannot be added while it would take the control-plane VIP",
                        "set `controlPlane.loadBalancer.mode: bundled` in the same update",
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
                refused(
                    Code::V23,
                    "the load balancer pool cannot be removed: nobody would carry its addresses meanwhile",
                    "put `nodePoolSpec` back; its nodes may change",
                ),
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
                "Service ranges can only grow, because Services have addresses in them",
                "write ranges that hold every address of the old ones",
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
                        "a pool keeps its addresses, because Services have some of them",
                        "write the old ranges again, and add another pool with the new ones",
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
            let path = |name: &str| format!("spec.loadBalancer.addressPools[{name}]");
            let verdict = match renamed {
                Some(other) => refused(
                    Code::V21,
                    "a pool keeps its name",
                    format!("call `{}` `{}` again", other.name(), pool.name()),
                ),
                None => refused(
                    Code::V21,
                    format!(
                        "the pool `{}` cannot be removed, because Services have addresses of it",
                        pool.name()
                    ),
                    "put it back; `manualAssign: true` stops its use",
                ),
            };
            changes.push(Change {
                in_new: renamed.map(|other| path(other.name())),
                ..change(
                    &path(pool.name()),
                    Some(set(pool).to_string()),
                    None,
                    verdict,
                )
            });
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

fn path(pool: &Pool, node: Ipv4Addr) -> String {
    match pool {
        Pool::ControlPlane => format!("spec.controlPlane.nodePoolSpec.nodes[{node}]"),
        Pool::LoadBalancer => format!("spec.loadBalancer.nodePoolSpec.nodes[{node}]"),
        Pool::Worker(worker) => format!("nodePool[{worker}].spec.nodes[{node}]"),
    }
}
