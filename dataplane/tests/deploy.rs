//! `deploy/` says what the program is: the definitions are those of the types, and the manifest and the chart hold
//! the same workloads.

use std::{env, fs, path::PathBuf};

use dataplane::k8s::crd::{AddressBlock, AddressPool, L2Advertisement, Speaker};
use kube::CustomResourceExt as _;

fn deploy(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../deploy")
        .join(name)
}

fn read(name: &str) -> String {
    fs::read_to_string(deploy(name)).unwrap_or_default()
}

fn definitions() -> String {
    let all = [
        AddressPool::crd(),
        L2Advertisement::crd(),
        AddressBlock::crd(),
        Speaker::crd(),
    ];
    let texts = all
        .iter()
        .map(|one| serde_yaml::to_string(one).expect("a definition has a YAML form"));
    texts.collect::<Vec<_>>().join("---\n")
}

/// The workloads as templates of the chart: the namespace is the release's, the rest from the values.
fn template(workloads: &str) -> String {
    let (_, rest) = workloads
        .split_once("---\n")
        .expect("the namespace comes first");
    rest.replace("namespace: lb-system", "namespace: {{ .Release.Namespace }}")
        .replace("namespace=lb-system", "namespace={{ .Release.Namespace }}")
        .replace("image: lbnode:0.1.0", "image: {{ .Values.image }}")
        .replace("replicas: 2", "replicas: {{ .Values.controller.replicas }}")
        .replace(
            "        - --admin=0.0.0.0:11005\n",
            "        - --admin=0.0.0.0:11005\n        {{- range .Values.controller.args }}\n        - {{ . | quote }}\n        {{- end }}\n",
        )
        .replace(
            "        - speaker\n        - --key-namespace={{ .Release.Namespace }}\n",
            "        - speaker\n        - --key-namespace={{ .Release.Namespace }}\n        {{- range .Values.speaker.args }}\n        - {{ . | quote }}\n        {{- end }}\n",
        )
}

#[test]
fn what_is_deployed_is_what_the_types_say() {
    let (definitions, workloads) = (definitions(), read("workloads.yaml"));
    for (name, wanted) in [
        ("crds.yaml", definitions.clone()),
        ("bundled-lb.yaml", format!("{definitions}---\n{workloads}")),
        ("chart/crds/crds.yaml", definitions),
        ("chart/templates/workloads.yaml", template(&workloads)),
    ] {
        if env::var_os("BLESS").is_some() {
            fs::write(deploy(name), &wanted).unwrap();
        }
        assert!(
            read(name) == wanted,
            "deploy/{name} is old: BLESS=1 writes it anew"
        );
    }
}

#[test]
fn every_argument_in_the_workloads_is_one_the_program_knows() {
    use clap::{Args as _, Command};
    let roles = [
        (
            "controller",
            dataplane::controller::cli::Args::augment_args(Command::new("controller")),
        ),
        (
            "speaker",
            dataplane::speaker::cli::Args::augment_args(Command::new("speaker")),
        ),
    ];
    let text = read("workloads.yaml");
    let objects = serde_yaml::Deserializer::from_str(&text);
    let mut seen = 0;
    for object in objects {
        let object: serde_json::Value = serde::Deserialize::deserialize(object).unwrap();
        let Some(args) = object.pointer("/spec/template/spec/containers/0/args") else {
            continue;
        };
        let mut args: Vec<String> = serde_json::from_value(args.clone()).unwrap();
        let (_, command) = roles
            .iter()
            .find(|(role, _)| *role == args[0])
            .expect("a role");
        if args[0] == "speaker" {
            args.push("--node=n".to_owned());
        }
        command.clone().try_get_matches_from(args).unwrap();
        seen += 1;
    }
    assert_eq!(seen, 2);
}
