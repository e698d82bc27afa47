//! Which versions go together: Kubernetes' policy, and what this release can work with.
//!
//! The rules about minor versions are those of <https://kubernetes.io/releases/version-skew-policy/>; those about kubeadm stand in
//! "Version skew policy" of
//! <https://kubernetes.io/docs/setup/production-environment/tools/kubeadm/create-cluster-kubeadm/>.

use super::facts::Facts;
use super::version::Version;

/// The oldest kubeadm: the first that reads `kubeadm.k8s.io/v1beta4`.
pub const OLDEST: (u32, u32) = (1, 31);
/// The newest minor version that this release knows.
pub const NEWEST: (u32, u32) = (1, 37);
/// A kubelet may be so many minor versions older than an API server, and than kubeadm.
const KUBELET_BEHIND: u32 = 3;
/// kubeadm makes control planes of its own minor version and of so many before it.
const CLUSTER_BEHIND: u32 = 1;
/// The oldest containerd.
const CONTAINERD: (u32, u32) = (1, 6);
/// The major version of containerd whose configuration is known best.
const CONTAINERD_MAJOR: u32 = 2;
/// From this version on the kubelet asks the runtime for its cgroup driver, and takes no "not implemented" for an answer;
/// containerd answers from 2.0 on.
const KUBELET_ASKS: (u32, u32) = (1, 37);

/// What is on a machine, or comes to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Programs {
    /// kubeadm.
    pub kubeadm: Option<Version>,
    /// kubelet.
    pub kubelet: Option<Version>,
    /// kubectl.
    pub kubectl: Option<Version>,
    /// containerd.
    pub containerd: Option<Version>,
}

/// Two versions that do not go together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// It would not work, or nobody has tried it; otherwise it is only worth knowing.
    pub fatal: bool,
    /// Which two, and the rule.
    pub what: String,
}

impl Programs {
    /// What a machine says it has.
    pub fn installed(facts: &Facts) -> Self {
        let read = |text: &Option<String>| text.as_deref().and_then(Version::parse);
        Self {
            kubeadm: read(&facts.kubeadm),
            kubelet: read(&facts.kubelet),
            kubectl: read(&facts.supply.kubectl),
            containerd: read(&facts.containerd.version),
        }
    }

    /// The same with Kubernetes' programs in this version.
    #[must_use]
    pub fn with_kubernetes(self, version: Version) -> Self {
        Self {
            kubeadm: Some(version),
            kubelet: Some(version),
            kubectl: Some(version),
            ..self
        }
    }

    /// Everything that does not go together on this machine in a cluster whose control planes have this version.
    pub fn violations(&self, cluster: Version) -> Vec<Violation> {
        let mut all = Vec::new();
        if let Some(kubeadm) = self.kubeadm {
            kubeadm_rules(kubeadm, cluster, &mut all);
        }
        if let Some(kubelet) = self.kubelet {
            kubelet_rules(kubelet, cluster, self.kubeadm, &mut all);
        }
        if let Some(kubectl) = self.kubectl
            && (kubectl.major != cluster.major || kubectl.minor.abs_diff(cluster.minor) > 1)
        {
            all.push(Violation {
                fatal: false,
                what: format!(
                    "kubectl {kubectl} is more than one minor version away from the API servers' {cluster}"
                ),
            });
        }
        if let Some(containerd) = self.containerd {
            containerd_rules(containerd, self.kubelet, &mut all);
        }
        all
    }
}

fn fatal(all: &mut Vec<Violation>, what: String) {
    all.push(Violation { fatal: true, what });
}

fn kubeadm_rules(kubeadm: Version, cluster: Version, all: &mut Vec<Violation>) {
    if kubeadm.series() < OLDEST {
        let (major, minor) = OLDEST;
        fatal(
            all,
            format!("kubeadm {kubeadm} is too old: lbctl needs v{major}.{minor} or newer"),
        );
    } else if kubeadm.series() > NEWEST {
        let (major, minor) = NEWEST;
        fatal(
            all,
            format!(
                "kubeadm {kubeadm} is newer than what this lbctl knows, v{major}.{minor} at most"
            ),
        );
    }
    if kubeadm.series() < cluster.series() {
        fatal(
            all,
            format!("kubeadm {kubeadm} is older than the control planes' {cluster}"),
        );
    } else if behind(cluster, kubeadm, CLUSTER_BEHIND) {
        fatal(
            all,
            format!(
                "kubeadm {kubeadm} works with control planes of its own minor version and of the one before, not with {cluster}"
            ),
        );
    }
}

fn kubelet_rules(
    kubelet: Version,
    cluster: Version,
    kubeadm: Option<Version>,
    all: &mut Vec<Violation>,
) {
    if kubelet.series() > cluster.series() {
        fatal(
            all,
            format!("kubelet {kubelet} is newer than the API servers' {cluster}"),
        );
    } else if behind(kubelet, cluster, KUBELET_BEHIND) {
        fatal(
            all,
            format!(
                "kubelet {kubelet} is more than {KUBELET_BEHIND} minor versions older than the API servers' {cluster}"
            ),
        );
    } else if let Some(kubeadm) = kubeadm
        && behind(kubelet, kubeadm, KUBELET_BEHIND)
    {
        fatal(
            all,
            format!(
                "kubelet {kubelet} is more than {KUBELET_BEHIND} minor versions older than kubeadm {kubeadm}"
            ),
        );
    }
}

fn containerd_rules(containerd: Version, kubelet: Option<Version>, all: &mut Vec<Violation>) {
    if containerd.series() < CONTAINERD {
        let (major, minor) = CONTAINERD;
        fatal(
            all,
            format!("containerd {containerd} is too old: v{major}.{minor} or newer is needed"),
        );
    } else if containerd.major > CONTAINERD_MAJOR {
        fatal(
            all,
            format!(
                "containerd {containerd} is newer than what this lbctl knows, v{CONTAINERD_MAJOR} at most"
            ),
        );
    }
    if let Some(kubelet) = kubelet
        && kubelet.series() >= KUBELET_ASKS
        && containerd.major < 2
    {
        fatal(
            all,
            format!("kubelet {kubelet} needs containerd v2.0 or newer, not {containerd}"),
        );
    }
}

/// `old` is more than so many minor versions older than `new`.
fn behind(old: Version, new: Version, minors: u32) -> bool {
    old.major < new.major
        || (old.major == new.major && old.minor.saturating_add(minors) < new.minor)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Option<Version> {
        (text != "-").then(|| Version::parse(text).expect("a version"))
    }

    /// The violations as text; `(…)` around those that are only worth knowing.
    fn judged(cluster: &str, programs: [&str; 4]) -> Vec<String> {
        let [kubeadm, kubelet, kubectl, containerd] = programs.map(version);
        let programs = Programs {
            kubeadm,
            kubelet,
            kubectl,
            containerd,
        };
        let cluster = version(cluster).expect("a version");
        let violations = programs.violations(cluster).into_iter();
        let text = |one: Violation| match one.fatal {
            true => one.what,
            false => format!("({})", one.what),
        };
        violations.map(text).collect()
    }

    #[test]
    fn what_goes_together_has_no_violations() {
        // Cluster; kubeadm, kubelet, kubectl, containerd.
        let good: [(&str, [&str; 4]); 12] = [
            ("v1.36.3", ["v1.36.3", "v1.36.3", "v1.36.3", "1.6.20~ds1"]),
            ("v1.36.3", ["v1.36.0", "v1.36.5", "-", "1.7.27"]),
            ("v1.36.3", ["v1.36.5", "v1.36.0", "-", "2.0.0"]),
            ("v1.36.3", ["v1.37.0", "v1.36.3", "-", "2.1.4"]),
            ("v1.36.3", ["v1.36.3", "v1.35.0", "-", "2.2.0"]),
            ("v1.36.3", ["v1.36.3", "v1.34.0", "-", "1.7.0"]),
            ("v1.36.3", ["v1.36.3", "v1.33.0", "v1.35.0", "1.7.0"]),
            ("v1.36.3", ["v1.37.0", "v1.34.0", "v1.37.0", "1.7.0"]),
            ("v1.31.0", ["v1.31.0", "v1.31.0", "v1.31.0", "1.6.0"]),
            ("v1.37.0", ["v1.37.0", "v1.37.0", "v1.37.0", "2.0.0"]),
            ("v1.37.0", ["v1.37.0", "v1.36.0", "-", "1.7.0"]),
            ("v1.36.3", ["-", "-", "-", "-"]),
        ];
        for (cluster, programs) in good {
            assert_eq!(
                judged(cluster, programs),
                Vec::<String>::new(),
                "{cluster} {programs:?}"
            );
        }
    }

    #[test]
    fn each_rule_of_skew_is_kept() {
        let bad: [(&str, [&str; 4], &str); 13] = [
            (
                "v1.30.9",
                ["v1.30.9", "-", "-", "-"],
                "kubeadm v1.30.9 is too old: lbctl needs v1.31 or newer",
            ),
            (
                "v1.38.0",
                ["v1.38.0", "-", "-", "-"],
                "kubeadm v1.38.0 is newer than what this lbctl knows, v1.37 at most",
            ),
            (
                "v1.36.3",
                ["v1.35.0", "-", "-", "-"],
                "kubeadm v1.35.0 is older than the control planes' v1.36.3",
            ),
            (
                "v1.35.0",
                ["v1.37.0", "-", "-", "-"],
                "kubeadm v1.37.0 works with control planes of its own minor version and of the one before, not with v1.35.0",
            ),
            (
                "v1.35.0",
                ["v1.36.0", "v1.36.0", "-", "-"],
                "kubelet v1.36.0 is newer than the API servers' v1.35.0",
            ),
            (
                "v1.36.3",
                ["v1.36.3", "v1.32.0", "-", "-"],
                "kubelet v1.32.0 is more than 3 minor versions older than the API servers' v1.36.3",
            ),
            (
                "v1.36.3",
                ["v1.37.0", "v1.33.0", "-", "-"],
                "kubelet v1.33.0 is more than 3 minor versions older than kubeadm v1.37.0",
            ),
            (
                "v1.36.3",
                ["-", "-", "v1.34.0", "-"],
                "(kubectl v1.34.0 is more than one minor version away from the API servers' v1.36.3)",
            ),
            (
                "v1.35.0",
                ["-", "-", "v1.37.0", "-"],
                "(kubectl v1.37.0 is more than one minor version away from the API servers' v1.35.0)",
            ),
            (
                "v1.36.3",
                ["-", "-", "-", "1.5.9"],
                "containerd v1.5.9 is too old: v1.6 or newer is needed",
            ),
            (
                "v1.36.3",
                ["-", "-", "-", "3.0.0"],
                "containerd v3.0.0 is newer than what this lbctl knows, v2 at most",
            ),
            (
                "v1.37.0",
                ["-", "v1.37.0", "-", "1.7.27"],
                "kubelet v1.37.0 needs containerd v2.0 or newer, not v1.7.27",
            ),
            (
                "v1.36.3",
                ["v2.0.0", "-", "-", "-"],
                "kubeadm v2.0.0 is newer than what this lbctl knows, v1.37 at most",
            ),
        ];
        for (cluster, programs, expected) in bad {
            let found = judged(cluster, programs);
            assert_eq!(
                found.first().map(String::as_str),
                Some(expected),
                "{cluster} {programs:?}: {found:?}"
            );
        }
    }
}
