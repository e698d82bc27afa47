//! Properties over random clusters, random damage and random ranges: 10 000 cases each.

mod cluster_file;
#[path = "../editor/mod.rs"]
mod editor;
mod ranges;

use std::collections::BTreeSet;
use std::net::IpAddr;

use cluster_config::{changes, derive, load, render_json, render_text};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use cluster_file::cluster_file;

fn cases() -> ProptestConfig {
    ProptestConfig {
        cases: 10_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn a_printed_cluster_reads_back_as_itself(text in cluster_file()) {
        let loaded = load(&text, "random.yaml");
        let cluster = loaded.cluster.unwrap_or_else(|| {
            panic!("{text}\n{}", render_text(&loaded.diagnostics, false))
        });
        let printed = cluster.to_yaml();
        let again = load(&printed, "printed.yaml");
        prop_assert!(again.cluster.as_ref() == Some(&cluster), "{}\n{}\n{}", text, printed,
            render_text(&again.diagnostics, false));
        prop_assert!(changes(&cluster, &cluster).is_empty());
        // What is derived is what a node accepts.
        let placement = derive::placement(&cluster);
        let mut priorities = BTreeSet::new();
        for node in placement.control_plane_load_balancers() {
            let vrrp = derive::vrrp(&cluster, node).expect("carries the VIP");
            prop_assert!(priorities.insert(vrrp.routers[0].priority));
            prop_assert!(!vrrp.routers[0].peers.contains(&IpAddr::from(node.data_address())));
        }
        let id = derive::virtual_router_id(&cluster);
        let written = cluster.load_balancer().vrrp().virtual_router_id();
        prop_assert!(written == Some(id) || (id != 0 && id != 1 && id != 51 && id != 255));
    }

    #[test]
    fn damage_never_panics_and_places_lie_inside_the_file(
        text in cluster_file(),
        damage in vec((any::<prop::sample::Index>(), splice(), 0..40_usize), 1..6),
    ) {
        let mut text: Vec<char> = text.chars().collect();
        for (at, splice, removed) in damage {
            let start = at.index(text.len() + 1);
            let end = (start + removed).min(text.len());
            text.splice(start..end, splice.chars());
        }
        let text: String = text.into_iter().collect();
        let loaded = load(&text, "damaged.yaml");
        let lines: Vec<&str> = text.split('\n').collect();
        for found in &loaded.diagnostics {
            let places = std::iter::once(&found.place).chain(found.related.iter().map(|also| &also.place));
            for place in places {
                prop_assert!((1..=lines.len()).contains(&place.line), "{:?}", place);
                let width = lines[place.line - 1].chars().count();
                prop_assert!((1..=width + 1).contains(&place.column), "{:?}", place);
                prop_assert!(place.width >= 1);
            }
        }
        // Editors are never stricter.
        if loaded.cluster.is_some() {
            let errors = editor::errors(&text);
            prop_assert!(errors.is_empty(), "{}\n{:?}", text, errors);
        }
        let _ = render_text(&loaded.diagnostics, true);
        let _ = render_json(&loaded.diagnostics);
    }
}

proptest! {
    // The validator is slow in a debug build.
    #![proptest_config(ProptestConfig { cases: 500, ..cases() })]

    #[test]
    fn editors_accept_what_the_check_accepts(text in cluster_file()) {
        let cluster = load(&text, "random.yaml").cluster.expect("valid");
        for text in [text, cluster.to_yaml()] {
            let errors = editor::errors(&text);
            prop_assert!(errors.is_empty(), "{}\n{:?}", text, errors);
        }
    }
}

/// Bits of YAML that change the meaning of what surrounds them.
fn splice() -> impl Strategy<Value = String> {
    prop_oneof![
        select(vec![
            "",
            "\n",
            "\t",
            ": ",
            "- ",
            "---\n",
            "...\n",
            "#",
            "\"",
            "'",
            "{",
            "}",
            "[",
            "]",
            "&a ",
            "*a",
            "!x ",
            "? ",
            "| ",
            "> ",
            "%",
            ",",
            "<<: ",
            "null",
            "~",
            "yes",
            "0777",
            "-",
            "10.0.0.1",
            "/33",
            "nodes:\n",
            "spec:",
            "kind: Cluster\n",
            "\u{feff}",
            "\r\n",
            "\0",
            "é",
            "\u{2028}",
            "\u{85}",
        ])
        .prop_map(str::to_owned),
        ".{0,12}",
        "[ \\n:a-z-]{0,30}",
    ]
}
