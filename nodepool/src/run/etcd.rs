//! Members of the cluster's etcd, seen from a control plane that lives.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use super::World;
use super::fleet::Fleet;
use crate::api::{ApiFailure, CLIENT_PORT, EtcdApi, EtcdMember};
use crate::core::desired::Machine;
use crate::error::Failure;
use crate::script;

/// etcd with its members, by way of one control plane.
pub(super) struct Etcd {
    api: Box<dyn EtcdApi>,
    members: Vec<EtcdMember>,
}

impl Etcd {
    /// Through the SSH connection, or, where sshd forbids forwarding, from here.
    pub(super) async fn open(
        world: &World<'_>,
        fleet: &Fleet<'_>,
        living: &Machine,
    ) -> Result<Self, Failure> {
        let session = fleet.machine(living.address);
        let script = script::read_etcd_credentials();
        let failed = |reason: String| {
            Failure::failed(format!(
                "{}: etcd cannot be asked for its members: {reason}",
                living.address
            ))
        };
        let output = session.run(&script, "read etcd's credentials").await;
        let output = output.map_err(|failure| failed(failure.to_string()))?;
        if output.status != 0 {
            return Err(failed(output.stderr));
        }
        let mut ways = Vec::new();
        if let Ok(remote) = session.remote() {
            ways.extend(remote.forward(CLIENT_PORT).await.ok());
        }
        ways.push(SocketAddr::new(living.node_ip, CLIENT_PORT));
        let mut why = String::new();
        for way in ways {
            let api = world.api.etcd(&output.stdout, way).await?;
            match api.members().await {
                Ok(members) => return Ok(Self { api, members }),
                Err(failure) => why = failure.to_string(),
            }
        }
        Err(failed(why))
    }

    /// Addresses of the members.
    pub(super) fn addresses(&self) -> BTreeSet<IpAddr> {
        self.members
            .iter()
            .flat_map(|member| member.peers.iter().copied())
            .collect()
    }

    /// Removes the member at `address`.
    pub(super) async fn remove(&self, address: IpAddr) -> Result<(), ApiFailure> {
        for member in self
            .members
            .iter()
            .filter(|member| member.peers.contains(&address))
        {
            self.api.remove(member).await?;
        }
        Ok(())
    }
}
