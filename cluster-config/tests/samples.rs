//! Files as users of the original product have them: accepted as they are, with notices only.

mod files;

use cluster_config::{Severity, derive, load, render_text, summary, template};

#[test]
fn files_in_the_wild_are_accepted_with_notices_only() {
    for (name, text) in files::yaml_files("tests/samples") {
        let loaded = load(&text, &name);
        let rendered = render_text(&loaded.diagnostics, false);
        let loud = loaded
            .diagnostics
            .iter()
            .any(|found| found.severity != Severity::Notice);
        assert!(!loud, "{name}\n{rendered}");
        let cluster = loaded.cluster.expect("valid");
        assert!(
            cluster
                .nodes()
                .any(|node| derive::vrrp(&cluster, node).is_some())
        );
        insta::with_settings!({snapshot_suffix => name.trim_end_matches(".yaml"), omit_expression => true}, {
            insta::assert_snapshot!("sample", format!("{rendered}{}\n", summary(&loaded.diagnostics)));
        });
    }
}

#[test]
fn a_list_of_hosts_and_a_text_with_commas_mean_the_same() {
    let with = |no_proxy: &str| {
        let text = include_str!("samples/generated-extras.yaml");
        let (before, rest) = text.split_once("    noProxy:\n").expect("key");
        let (_, after) = rest.split_once("status:").expect("next key");
        let text = format!("{before}    noProxy: {no_proxy}\nstatus:{after}");
        load(&text, "cluster.yaml").cluster.expect("valid")
    };
    assert_eq!(
        with("\"a.example, 10.0.0.0/8,b\""),
        with("[a.example, 10.0.0.0/8, b]")
    );
}

#[test]
fn the_template_is_valid_once_the_words_in_capitals_are_replaced() {
    let text = template("fresh", "cluster.schema.json").expect("a good name");
    let untouched = load(&text, "fresh.yaml");
    insta::assert_snapshot!(
        "template_untouched",
        render_text(&untouched.diagnostics, false)
    );
    let filled = [
        ("CONTROL_PLANE_VIP", "10.0.0.100"),
        ("CONTROL_PLANE_1", "10.0.0.11"),
        ("CONTROL_PLANE_2", "10.0.0.12"),
        ("CONTROL_PLANE_3", "10.0.0.13"),
        ("INGRESS_VIP", "10.0.0.200"),
        ("FIRST_ADDRESS", "10.0.0.200"),
        ("LAST_ADDRESS", "10.0.0.239"),
        ("WORKER_1", "10.0.0.21"),
        ("WORKER_2", "10.0.0.22"),
    ]
    .iter()
    .fold(text, |text, (word, address)| text.replace(word, address));
    let loaded = load(&filled, "fresh.yaml");
    assert_eq!(
        loaded.diagnostics,
        [],
        "{}",
        render_text(&loaded.diagnostics, false)
    );
    assert_eq!(loaded.cluster.expect("valid").name(), "fresh");
    for bad in ["", "Fresh", "a b", "-x", "x\ny"] {
        let error = template(bad, "cluster.schema.json")
            .expect_err(bad)
            .to_string();
        assert!(error.contains("lower-case"), "{error}");
    }
}
