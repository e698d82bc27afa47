// Any text as a configuration: no panic, and a refusal says where.

pub(crate) fn hold(text: &str) {
    if let Err(error) = haproxy_lite::check(text, "proxy.yaml") {
        let message = error.to_string();
        assert!(message.contains("proxy.yaml"), "{message}");
    }
}
