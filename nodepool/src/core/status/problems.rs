//! What is not as it should be, in words.

use super::{Component, Picture};
use crate::core::service_view::ServiceView;

impl Picture {
    /// What is not as it should be, in words.
    pub fn problems(&self) -> Vec<String> {
        let mut problems: Vec<String> = self
            .api_error
            .iter()
            .map(|why| format!("the API does not answer: {why}"))
            .collect();
        match self.vip.owners.len() {
            // Whether it leads to the API is what `api_error` says.
            0 if self.vip.external => {}
            0 => problems.push(format!("nobody has the virtual IP {}", self.vip.address)),
            1 => {}
            _ => problems.push(format!(
                "the virtual IP {} has more than one owner: {}",
                self.vip.address,
                self.vip.owners.join(", ")
            )),
        }
        for node in &self.nodes {
            let name = node.name();
            // What is out of service may be off.
            if node.rests() {
                continue;
            }
            if let Some(why) = &node.unreachable {
                problems.push(format!("{name}: {why}"));
            }
            if node.ready == Some(false) {
                let why = node.why.as_deref().unwrap_or("no reason given");
                problems.push(format!("{name} is not Ready: {why}"));
            }
            for server in node.proxy.iter().flat_map(|proxy| &proxy.servers) {
                if !server.is_up() {
                    problems.push(format!(
                        "{name}: its proxy has {} {} since {}: {}",
                        server.name, server.state, server.since, server.why
                    ));
                }
            }
        }
        problems.extend(self.data_plane.iter().flat_map(ServiceView::problems));
        let mixed = self.versions.iter().filter(|component| component.mixed);
        problems.extend(mixed.map(Component::difference));
        problems
    }
}
