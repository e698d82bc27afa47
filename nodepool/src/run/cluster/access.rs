//! The way to the API: by the virtual IP, or straight to an API server.

#![expect(clippy::disallowed_methods, reason = "driver: reads the clock")]

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::Cluster;
use crate::api::ClusterApi;
use crate::core::cluster_view::ClusterView;
use crate::core::desired::Machine;
use crate::core::facts::Facts;
use crate::error::Failure;
use crate::script;

/// Longest wait for the first answer of the API, per way to it.
const FIRST_ANSWER: Duration = Duration::from_secs(8);
/// Longest wait for one call once a way was found: the virtual IP may be moving.
const PATIENCE: Duration = Duration::from_secs(60);

/// A way to the API.
pub(super) struct Access {
    pub(super) kubeconfig: String,
    pub(super) certificate_authority: String,
    pub(super) api: Box<dyn ClusterApi>,
    pub(super) last: ClusterView,
}

impl Cluster<'_> {
    /// Through the virtual IP, or, when it does not answer, through an API server itself. An API that has lost
    /// its majority comes back when the machine that was cut off has booted: it is waited for.
    pub(super) async fn find_access(
        &self,
        facts: &BTreeMap<IpAddr, Facts>,
    ) -> Result<Access, Failure> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut why = String::from("no control plane has joined");
            for machine in self.member_control_planes(facts) {
                match self.try_access(machine).await {
                    Ok(access) => return Ok(access),
                    Err(failure) => why = failure.message,
                }
                self.world.interrupt.check()?;
            }
            if Instant::now() >= deadline {
                return Err(Failure::failed(why).hint("`crictl ps -a` and `journalctl -u kubelet` on a control plane say more; `lbctl reset cluster` begins anew"));
            }
            self.world.ui.note(&format!("waiting for the API: {why}"));
        }
    }

    /// Reads the certificate of a CA that was just made.
    ///
    /// # Errors
    /// When it is not there.
    pub async fn learn_authority(
        &self,
        facts: &mut BTreeMap<IpAddr, Facts>,
    ) -> Result<(), Failure> {
        for (address, facts) in facts.iter_mut().filter(|(_, facts)| facts.authority) {
            let script = script::read_authority();
            let output = self.fleet.machine(*address).run(&script, "read the CA");
            let output = output
                .await
                .map_err(|failure| Failure::failed(format!("{address}: {failure}")))?;
            if output.status != 0 || output.stdout.trim().is_empty() {
                let why = output.stderr.trim();
                return Err(Failure::failed(format!("{address}: no CA was made: {why}")));
            }
            facts.ca = Some(output.stdout);
        }
        Ok(())
    }

    async fn try_access(&self, machine: &Machine) -> Result<Access, Failure> {
        let kubeconfig = self.read_kubeconfig(machine.address).await?;
        let certificate_authority = certificate_authority(&kubeconfig)?;
        let own = self.desired.api_server(machine);
        let mut last = Failure::failed("");
        for server in [self.desired.server_url(), format!("https://{own}")] {
            let connect = |patience| self.world.api.connect(&kubeconfig, Some(&server), patience);
            match connect(FIRST_ANSWER).await?.view().await {
                Ok(last) => {
                    if server != self.desired.server_url() {
                        self.world.ui.note(&format!(
                            "the virtual IP does not answer; going on through {server}"
                        ));
                    }
                    let api = connect(PATIENCE).await?;
                    return Ok(Access {
                        kubeconfig,
                        certificate_authority,
                        api,
                        last,
                    });
                }
                Err(failure) => last = failure.into(),
            }
        }
        Err(last)
    }

    async fn read_kubeconfig(&self, address: IpAddr) -> Result<String, Failure> {
        let machine = self.fleet.machine(address);
        let output = machine
            .run(&script::read_admin_conf(), "read the kubeconfig")
            .await;
        match output {
            Ok(output) if output.status == 0 => Ok(output.stdout),
            Ok(output) => Err(Failure::failed(format!(
                "{address}: {}",
                output.stderr.trim()
            ))),
            Err(failure) => Err(Failure::failed(format!("{address}: {failure}"))),
        }
    }
}

fn certificate_authority(kubeconfig: &str) -> Result<String, Failure> {
    let value: serde_json::Value = serde_saphyr::from_str(kubeconfig)
        .map_err(|_| Failure::failed("the cluster's admin.conf is no YAML"))?;
    value["clusters"][0]["cluster"]["certificate-authority-data"]
        .as_str()
        .map(str::to_owned)
        .ok_or_else(|| Failure::failed("the cluster's admin.conf holds no CA"))
}
