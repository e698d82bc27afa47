//! What `deploy/` holds, for a real API server: it takes all of it, and nobody gets a right too many.

use std::fs;

use crate::{cluster, pool, server::Server};

fn deploy(name: &str) -> String {
    format!("{}/../deploy/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// The chart's workloads as Helm renders them with the values of the chart.
fn rendered() -> String {
    let values = fs::read_to_string(deploy("chart/values.yaml")).unwrap();
    let values: serde_json::Value = serde_yaml::from_str(&values).unwrap();
    let mut text = fs::read_to_string(deploy("chart/templates/workloads.yaml")).unwrap();
    for role in ["controller", "speaker"] {
        let args = values[role]["args"].as_array().expect("a list");
        assert!(args.is_empty(), "{role}: nothing to render");
        let range = format!(
            "        {{{{- range .Values.{role}.args }}}}\n        - {{{{ . | quote }}}}\n        {{{{- end }}}}\n"
        );
        assert!(text.contains(&range), "{range}");
        text = text.replace(&range, "");
    }
    let image = values["image"].as_str().expect("an image");
    let replicas = values["controller"]["replicas"].to_string();
    let text = text
        .replace("{{ .Release.Namespace }}", "lb-system")
        .replace("{{ .Values.image }}", image)
        .replace("{{ .Values.controller.replicas }}", &replicas);
    assert!(!text.contains("{{"), "{text}");
    text
}

/// Applies without keeping anything.
fn try_out(server: &Server, file: &str, further: &[&str]) {
    let args = ["apply", "--dry-run=server", "-f", file];
    let said = server.must(&[&args[..], further].concat());
    assert!(!said.contains("Warning"), "{file}: {said}");
}

#[tokio::test]
async fn the_server_takes_everything_in_deploy() {
    // As on a cluster that has nothing of ours, but for the namespace and the kinds, which a dry run cannot make.
    let (server, _) = cluster().await;
    let chart = server.folder.path().join("chart.yaml");
    fs::write(&chart, rendered()).unwrap();
    let files = [
        deploy("bundled-lb.yaml"),
        deploy("crds.yaml"),
        deploy("workloads.yaml"),
        deploy("chart/crds/crds.yaml"),
        chart.display().to_string(),
    ];
    for file in &files {
        try_out(&server, file, &[]);
        let server_side = ["--server-side", "--field-manager=helm"];
        try_out(&server, file, &server_side);
    }
}

#[tokio::test]
async fn what_is_deployed_gives_no_right_too_many() {
    let (server, _) = cluster().await;
    let may = |who: &str, verb: &str, what: &str| {
        let name = format!("--as=system:serviceaccount:lb-system:{who}");
        server
            .kubectl(&["auth", "can-i", verb, what, &name])
            .status
            .success()
    };
    let may_only_look = |who: &str, at: &[&str]| {
        for what in at {
            for verb in ["create", "update", "patch", "delete"] {
                assert!(!may(who, verb, what), "{who} may {verb} {what}");
            }
        }
    };
    may_only_look(
        "lb-speaker",
        &[
            "services",
            "services/status",
            "services.finalizers",
            "nodes",
            "addresspools.bundledlb.io",
            "secrets",
        ],
    );
    assert!(!may("lb-speaker", "get", "secrets"));
    assert!(may("lb-controller", "patch", "services/status"));
    may_only_look(
        "lb-controller",
        &[
            "pods",
            "nodes",
            "secrets",
            "deployments.apps",
            "addresspools.bundledlb.io",
        ],
    );
}

#[tokio::test]
async fn a_pool_that_makes_no_sense_is_refused_with_the_reason() {
    let (server, _) = cluster().await;
    for (wrong, why) in [
        (pool("bad", "10.0.0.300"), "CIDRs"),
        (pool("bad", "10.0.0.0/33"), "CIDRs"),
        (pool("bad", "10.0.0.1-"), "CIDRs"),
        (pool("bad", ""), "at least 1"),
    ] {
        let file = server.folder.path().join("wrong.yaml");
        fs::write(&file, wrong).unwrap();
        let output = server.kubectl(&["apply", "-f", &file.display().to_string()]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains(why), "{said}");
    }
}
