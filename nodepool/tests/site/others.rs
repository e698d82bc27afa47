//! Machines of a cluster that kubeadm made, and load balancers of others on them.

use std::net::IpAddr;

use super::Machine;

impl Machine {
    /// One of a cluster that kubeadm made without us. `port`: of its API server.
    pub(crate) fn of_kubeadm(mut self, port: u16) -> Self {
        self.pki = true;
        self.kubelet_enabled = true;
        self.ip_forward = true;
        self.containerd_runs = Some("theirs".to_owned());
        self.listeners = vec![
            format!("*:{port} kube-apiserver 8"),
            "*:10250 kubelet 9".to_owned(),
        ];
        self.further.push(format!("api_server={port} "));
        self
    }

    /// Somebody else keeps the virtual IP for this machine, as the report says it.
    pub(crate) fn with_other(&mut self, program: &str, how: &str, addresses: &str) {
        self.further
            .push(format!("other={program} {how} {addresses} -"));
    }

    /// The virtual IP is on it, by somebody else's hand.
    pub(crate) fn take_address(&mut self, vip: IpAddr) {
        self.further.push(format!("address=eth0 {vip}/32"));
    }

    pub(crate) fn has_address(&self, vip: IpAddr) -> bool {
        self.further.contains(&format!("address=eth0 {vip}/32"))
    }

    pub(super) fn drop_lines(&mut self, start: &str) {
        self.further.retain(|line| !line.starts_with(start));
    }

    /// Halfway the first of them has stopped.
    pub(super) fn stop_others(&mut self, args: &[String], half: bool) {
        let count: usize = args[1].parse().expect("a number");
        let (vips, items) = args[2..].split_at(count);
        let vips: Vec<IpAddr> = vips
            .iter()
            .map(|vip| vip.parse().expect("an address"))
            .collect();
        let owner = args[0] == "owner";
        assert_eq!(
            owner,
            vips.iter().any(|vip| self.has_address(*vip)),
            "whether it has the virtual IP was known"
        );
        let taken = if half {
            items.len().min(1)
        } else {
            items.len()
        };
        for item in &items[..taken] {
            let (how, name) = item.split_once(':').expect("how and what");
            let program = self.further.iter().find_map(|line| {
                let words: Vec<&str> = line.strip_prefix("other=")?.split(' ').collect();
                (words[1..3] == [how, name]).then(|| words[0].to_owned())
            });
            let program = program.expect("it runs");
            self.drop_lines(&format!("other={program} "));
            self.listeners
                .retain(|line| !line.contains(&format!(" {program} ")));
        }
        if owner {
            for vip in vips {
                self.drop_lines(&format!("address=eth0 {vip}/32"));
            }
        }
    }
}
