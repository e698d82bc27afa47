//! Processes of their own at places of a segment: this test program, told by its environment what it is.

use std::{
    env,
    process::{Child, Command, Stdio},
    time::Duration,
};

use dataplane::{controller, core::speaker::Timing, k8s::convert::Classes, speaker};

use crate::{asker, intruder, server::Place};

/// Where the Lease of controllers is that nobody tells otherwise.
const LEASE_NAMESPACE: &str = "lb-system";

/// A process; it ends with this.
pub(crate) struct Role(Child);

impl Role {
    pub(crate) fn start(place: &Place, role: &str, node: &str, kubeconfig: &str) -> Self {
        let variables = [("NODE", node), ("CONF", kubeconfig)];
        Self::with(place, role, &variables)
    }

    /// With variables of its own.
    pub(crate) fn with(place: &Place, role: &str, variables: &[(&str, &str)]) -> Self {
        let mut command = place.command(env::current_exe().unwrap());
        command.args(["role::role", "--exact", "--nocapture"]);
        command.env("ROLE", role).envs(variables.iter().copied());
        if place.namespace.is_some() {
            // Nobody else listens there.
            command.env("ADMIN", "yes");
        }
        command.stdin(Stdio::null()).stdout(Stdio::null());
        Self(command.spawn().unwrap())
    }

    /// Somebody else's program.
    pub(crate) fn foreign(command: &mut Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::null());
        Self(command.stderr(Stdio::null()).spawn().unwrap())
    }

    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    pub(crate) fn signal(&self, signal: &str) {
        let (signal, pid) = (format!("-{signal}"), self.0.id().to_string());
        let status = Command::new("kill").args([&signal, &pid]).status();
        assert!(status.unwrap().success(), "kill {signal} {pid}");
    }

    pub(crate) fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    pub(crate) fn terminate(self) {
        self.signal("TERM");
        self.finish();
    }

    /// Waits until it ends by itself, well.
    pub(crate) fn finish(mut self) {
        assert!(self.0.wait().unwrap().success());
    }

    /// Whether it has not ended yet.
    pub(crate) fn is_running(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        // One that has ended already is what is wanted.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The value of a metric of the speaker at a place: the sum over its labels that hold `label`.
pub(crate) fn metric(place: &Place, name: &str, label: &str) -> f64 {
    let mut command = place.command("curl");
    command.args(["-sf", "-m", "5", "http://127.0.0.1:11004/metrics"]);
    let output = command.output().unwrap();
    assert!(output.status.success(), "no metrics at {place:?}");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let values = text.lines().filter_map(|line| {
        let (series, value) = line.rsplit_once(' ')?;
        let (found, labels) = series.split_once('{').unwrap_or((series, ""));
        (found == name && labels.contains(label)).then(|| value.parse::<f64>().ok())?
    });
    values.sum()
}

/// Where the admin pages are: at a port that is known, or at any.
fn admin(port: u16) -> std::net::SocketAddr {
    let port = if env::var_os("ADMIN").is_some() {
        port
    } else {
        0
    };
    (std::net::Ipv4Addr::LOCALHOST, port).into()
}

/// Not a test by itself: what the processes of [`Role`] run.
#[test]
fn role() {
    let Ok(role) = env::var("ROLE") else { return };
    match role.as_str() {
        "controller" => control(),
        "speaker" => speak(),
        "asker" => asker::work(),
        "recorder" => intruder::record(),
        "sender" => intruder::send(),
        unknown => panic!("there is no role {unknown}"),
    }
}

fn control() {
    let lease = env::var("LEASE").unwrap_or_else(|_| LEASE_NAMESPACE.to_owned());
    let settings = controller::Settings {
        kubeconfig: Some(env::var_os("CONF").unwrap().into()),
        classes: Classes { class: None },
        metallb_namespace: "metallb-system".to_owned(),
        lease_namespace: lease,
        key_namespace: "lb-system".to_owned(),
        admin: admin(11005),
    };
    to_end(controller::run(settings));
}

fn speak() {
    let settings = speaker::Settings {
        kubeconfig: Some(env::var_os("CONF").unwrap().into()),
        node: env::var("NODE").unwrap(),
        classes: Classes { class: None },
        metallb_namespace: "metallb-system".to_owned(),
        key_namespace: "lb-system".to_owned(),
        admin: admin(11004),
        port: 7946,
        timing: Timing {
            heartbeat: Duration::from_millis(200),
            patience: Duration::from_millis(800),
            refresh: Duration::from_secs(60),
        },
        hand_over_grace: Duration::from_secs(5),
    };
    to_end(speaker::run(settings));
}

fn to_end(role: impl Future<Output = anyhow::Result<()>>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(role).unwrap();
}
