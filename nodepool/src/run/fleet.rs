//! All machines of a cluster with their connections.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream;

use super::node_log::NodeLog;
use super::{CONCURRENCY, World};
use crate::core::desired::Desired;
use crate::core::facts::Facts;
use crate::core::preflight::{Check, Reach};
use crate::core::status::Pages;
use crate::error::Failure;
use crate::remote::{Hold, Output, Remote, RemoteFailure, Script};
use crate::script;

/// One machine with its connection and log.
pub struct MachineSession<'a> {
    /// Its address.
    pub address: IpAddr,
    /// The connection, or why there is none.
    remote: Result<Box<dyn Remote>, RemoteFailure>,
    log: NodeLog<'a>,
}

/// All machines.
pub struct Fleet<'a> {
    /// Machines by address.
    pub machines: BTreeMap<IpAddr, MachineSession<'a>>,
}

impl<'a> Fleet<'a> {
    /// Connects to every machine, several at a time.
    ///
    /// # Errors
    /// When a log cannot be written; a machine that is not reachable is no error here.
    pub async fn connect(world: &World<'a>, desired: &Desired) -> Result<Self, Failure> {
        let machines = desired.machines.iter();
        Self::reach(world, machines.map(|machine| machine.address)).await
    }

    /// Connects to the machines at these addresses.
    ///
    /// # Errors
    /// When a log cannot be written.
    pub async fn reach(
        world: &World<'a>,
        addresses: impl Iterator<Item = IpAddr>,
    ) -> Result<Self, Failure> {
        let connecting = addresses.map(|address| async move {
            let log = world.log.machine(&address.to_string())?;
            let remote = world.connector.connect(address).await;
            let session = MachineSession {
                address,
                remote,
                log,
            };
            Ok((address, session))
        });
        let sessions: Vec<Result<_, Failure>> = stream::iter(connecting)
            .buffer_unordered(CONCURRENCY)
            .collect()
            .await;
        Ok(Self {
            machines: sessions.into_iter().collect::<Result<_, _>>()?,
        })
    }

    /// The machine at `address`.
    ///
    /// # Panics
    /// When there is none: every machine of the file has one.
    pub fn machine(&self, address: IpAddr) -> &MachineSession<'a> {
        self.machines
            .get(&address)
            .expect("every machine of the file has a session")
    }

    /// Connects again to some machines, for so long at most; who still does not answer stays as it is.
    pub async fn reconnect(&mut self, world: &World<'_>, addresses: &[IpAddr], limit: Duration) {
        let connecting = addresses.iter().map(|address| async move {
            let connecting = world.connector.connect(*address);
            (*address, tokio::time::timeout(limit, connecting).await)
        });
        let remotes: Vec<_> = stream::iter(connecting)
            .buffer_unordered(CONCURRENCY)
            .collect()
            .await;
        for (address, remote) in remotes {
            if let (Ok(remote), Some(session)) = (remote, self.machines.get_mut(&address)) {
                session.remote = remote;
            }
        }
    }

    /// Asks every machine for its facts; `installed`: with versions of installed software.
    pub async fn facts(&self, installed: bool, paths: &[String]) -> BTreeMap<IpAddr, Reach> {
        let asking = self
            .machines
            .values()
            .map(|machine| async move { (machine.address, machine.facts(installed, paths).await) });
        stream::iter(asking)
            .buffer_unordered(CONCURRENCY)
            .collect()
            .await
    }
}

impl<'a> MachineSession<'a> {
    /// Its log.
    pub fn log(&self) -> &NodeLog<'a> {
        &self.log
    }

    /// The connection.
    ///
    /// # Errors
    /// When there is none.
    pub fn remote(&self) -> Result<&dyn Remote, &RemoteFailure> {
        self.remote.as_deref()
    }

    /// Runs a script and records it.
    ///
    /// # Errors
    /// When there is no connection or it breaks; a status other than 0 is not an error here.
    pub async fn run(&self, script: &Script, title: &str) -> Result<Output, RemoteFailure> {
        let remote = match self.remote() {
            Ok(remote) => remote,
            Err(failure) => return Err(RemoteFailure::Unreachable(failure.to_string())),
        };
        self.log.begin(script, title);
        let outcome = remote.run(script).await;
        self.log.end(script, &outcome);
        outcome
    }

    /// Starts a script that lasts as long as what is returned, and records it.
    ///
    /// # Errors
    /// When there is no connection or it breaks.
    pub async fn hold(&self, script: &Script, title: &str) -> Result<Hold, RemoteFailure> {
        let remote = match self.remote() {
            Ok(remote) => remote,
            Err(failure) => return Err(RemoteFailure::Unreachable(failure.to_string())),
        };
        self.log.begin(script, title);
        let outcome = remote.hold(script).await;
        match &outcome {
            Ok(Hold::Held(_)) => self.log.note(&format!("{} is ready", script.id)),
            Ok(Hold::Ended(output)) => self.log.end(script, &Ok(output.clone())),
            Err(failure) => self.log.note(&format!("{}: {failure}", script.id)),
        }
        outcome
    }

    /// The status pages of the routers and of the proxy.
    ///
    /// # Errors
    /// With the reason, when the machine cannot be asked.
    pub async fn pages(&self) -> Result<Pages, String> {
        if let Err(failure) = self.remote() {
            return Err(failure.to_string());
        }
        read_pages(self.run(&script::role_status(), "status").await)
    }

    /// The same, for who asks all the time.
    ///
    /// # Errors
    /// With the reason, when the machine cannot be asked.
    pub async fn pages_unlogged(&self) -> Result<Pages, String> {
        let remote = self.remote().map_err(ToString::to_string)?;
        let output = remote.run(&script::role_status()).await;
        read_pages(output)
    }

    async fn facts(&self, installed: bool, paths: &[String]) -> Reach {
        if let Err(failure) = self.remote() {
            return unreachable(failure);
        }
        let script = script::facts(installed, paths.iter().map(String::as_str));
        match self.run(&script, "facts").await {
            Err(failure) => unreachable(&failure),
            Ok(output) if output.status != 0 => {
                let words = format!("{}{}", output.stderr, output.stdout);
                let line = words
                    .lines()
                    .rfind(|line| !line.trim().is_empty())
                    .unwrap_or_default();
                if words.contains("sudo") {
                    return Reach::Down {
                        check: Check::Sudo,
                        cause: format!("the login user may not run commands as root: {line}"),
                        fix: "let the user run `sudo` without a password (a line `USER ALL=(ALL) NOPASSWD: ALL` in /etc/sudoers.d), or set `nodeAccess.loginUser`".to_owned(),
                    };
                }
                Reach::Down {
                    check: Check::Shell,
                    cause: format!("its facts could not be read: {line}"),
                    fix: format!("see {}", self.log.path().display()),
                }
            }
            Ok(output) => match Facts::parse(&output.stdout) {
                Ok(facts) => Reach::Up(Box::new(facts)),
                Err(failure) => Reach::Down {
                    check: Check::Shell,
                    cause: failure.to_string(),
                    fix: "make sure that the login shell prints nothing by itself".to_owned(),
                },
            },
        }
    }
}

fn read_pages(outcome: Result<Output, RemoteFailure>) -> Result<Pages, String> {
    let output = outcome.map_err(|failure| failure.to_string())?;
    if output.status == 0 {
        Ok(Pages::parse(&output.stdout))
    } else {
        Err(output.stderr)
    }
}

fn unreachable(failure: &RemoteFailure) -> Reach {
    let fix = match failure {
        RemoteFailure::Refused(_) => {
            "check `sshPrivateKeyPath` and `nodeAccess.loginUser`; the public key belongs into that user's ~/.ssh/authorized_keys"
        }
        RemoteFailure::HostKeyChanged => {
            "if the machine was installed anew, remove its line from `known_hosts` in the cluster's workspace folder; else somebody is in between"
        }
        RemoteFailure::NoClient(_) => "install the OpenSSH client on this machine",
        _ => "check that the address is right, the machine is on, and port 22 is open from here",
    };
    Reach::Down {
        check: Check::Ssh,
        cause: failure.to_string(),
        fix: fix.to_owned(),
    }
}
