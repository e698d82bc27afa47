//! Helm and kubectl write Services and pools beside the controller: nobody takes a field of another.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Service;
use kube::{Api, ResourceExt as _};

use crate::{CONTROLLER, address, cluster, run_controller, server::Server, until, until_gone};

/// Applied by Helm, with a name and a port.
fn chart(name: &str, port: u16) -> String {
    format!(
        "apiVersion: v1\nkind: Service\nmetadata:\n  name: {name}\n  labels: {{app.kubernetes.io/managed-by: Helm}}\n\
         spec:\n  type: LoadBalancer\n  selector: {{app: {name}}}\n  ports: [{{name: web, port: {port}}}]\n"
    )
}

const POOL: &str = "\
apiVersion: bundledlb.io/v1
kind: AddressPool
metadata: {name: front}
spec: {addresses: [10.0.0.1-10.0.0.200]}
";

/// A further annotation and nothing else.
fn annotated(name: &str, value: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Service\nmetadata:\n  name: {name}\n  annotations: {{example.com/owner: {value}}}\n"
    )
}

/// Applies on the server's side, as nobody who forces.
fn apply_as(server: &Server, manager: &str, yaml: &str) {
    let file = server.folder.path().join(format!("{manager}.yaml"));
    std::fs::write(&file, yaml).unwrap();
    let manager = format!("--field-manager={manager}");
    let file = file.display().to_string();
    server.must(&["apply", "--server-side", &manager, "-f", &file]);
}

/// Who has which part of an object: `metadata`, `spec` or `status`.
fn parts(service: &Service, manager: &str) -> BTreeSet<String> {
    let entries = service.managed_fields().iter();
    let own = entries.filter(|entry| entry.manager.as_deref() == Some(manager));
    let fields = own.filter_map(|entry| entry.fields_v1.as_ref()?.0.as_object());
    fields.flat_map(|parts| parts.keys().cloned()).collect()
}

#[tokio::test]
async fn helm_and_kubectl_meet_no_conflict_with_the_controller() {
    let (server, client) = cluster().await;
    let api: Api<Service> = Api::namespaced(client.clone(), "default");
    let running = run_controller(&server.write_kubeconfig("controller", Some(CONTROLLER)));
    apply_as(&server, "helm", POOL);

    // Two that apply on the server's side, each with fields of its own.
    apply_as(&server, "helm", &chart("web", 80));
    let first = until(&api, "web", |one| address(one).is_some()).await;
    for (port, owner) in [(80, "red"), (8080, "blue")] {
        apply_as(&server, "helm", &chart("web", port));
        apply_as(&server, "kubectl", &annotated("web", owner));
        let fits = |one: &Service| {
            let ports = one.spec.as_ref().and_then(|spec| spec.ports.as_ref());
            let annotated = one.annotations().get("example.com/owner");
            ports.is_some_and(|ports| ports[0].port == i32::from(port))
                && annotated.is_some_and(|value| value == owner)
        };
        let now = until(&api, "web", fits).await;
        assert_eq!(address(&now), address(&first));
        assert_eq!(now.finalizers(), first.finalizers());
    }
    let web = api.get("web").await.unwrap();
    let all = |parts: &[&str]| parts.iter().map(|part| (*part).to_owned()).collect();
    assert_eq!(parts(&web, "helm"), all(&["f:metadata", "f:spec"]));
    assert_eq!(parts(&web, "kubectl"), all(&["f:metadata"]));
    assert_eq!(
        parts(&web, "lbnode-controller"),
        all(&["f:metadata", "f:status"])
    );

    // One that compares with what it applied last, and patches, as kubectl and Helm 3 do.
    let file = server.folder.path().join("plain.yaml");
    let file = file.display().to_string();
    for port in [80, 8080] {
        std::fs::write(&file, chart("plain", port)).unwrap();
        server.must(&["apply", "-f", &file]);
        let plain = until(&api, "plain", |one| address(one).is_some()).await;
        assert_eq!(plain.finalizers(), first.finalizers());
    }
    let plain = api.get("plain").await.unwrap();
    // It goes over to the server's side without a word of a conflict.
    server.must(&["apply", "--server-side", "-f", &file]);
    let migrated = api.get("plain").await.unwrap();
    assert_eq!(address(&migrated), address(&plain));
    assert_eq!(migrated.finalizers(), plain.finalizers());

    // A pool has a status of the controller's, and is applied again.
    apply_as(&server, "helm", POOL);
    apply_as(&server, "helm", &POOL.replace(".200", ".201"));

    // Helm uninstalls.
    server.must(&["delete", "service", "web", "plain", "--timeout=20s"]);
    until_gone(&api, "web").await;
    running.stop();
}
