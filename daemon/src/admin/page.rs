//! What a page answers, and which page a request gets.

use hyper::Method;

use super::Site;
use crate::logging;
use crate::metrics;
use crate::ready::Readiness;

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// HTTP status.
    pub status: u16,
    /// `Content-Type`.
    pub content_type: &'static str,
    /// Body.
    pub body: String,
}

impl Page {
    /// 200 with plain text.
    #[must_use]
    pub fn text(body: impl Into<String>) -> Self {
        Self {
            status: 200,
            content_type: "text/plain; charset=utf-8",
            body: body.into(),
        }
    }

    /// 200 with HTML.
    #[must_use]
    pub fn html(body: impl Into<String>) -> Self {
        Self {
            status: 200,
            content_type: "text/html; charset=utf-8",
            body: body.into(),
        }
    }

    /// 200 with indented JSON.
    #[must_use]
    pub fn json(value: &serde_json::Value) -> Self {
        Self {
            status: 200,
            content_type: "application/json",
            body: format!("{value:#}\n"),
        }
    }

    /// 200 with one JSON value per line.
    #[must_use]
    pub fn json_lines(body: impl Into<String>) -> Self {
        Self {
            status: 200,
            content_type: "application/x-ndjson",
            body: body.into(),
        }
    }

    /// The same page with another status.
    #[must_use]
    pub fn with_status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }
}

impl Site {
    /// The answer to a request without a body.
    pub(super) fn answer(&self, method: &Method, path: &str) -> Page {
        if method != Method::GET && method != Method::HEAD {
            return Page::text("only GET is served here\n").with_status(405);
        }
        if let Some(page) = self.pages.get(path) {
            return page();
        }
        match path {
            "/livez" => self
                .liveness
                .as_ref()
                .map_or_else(|| Page::text("ok\n"), health),
            "/readyz" => health(&self.readiness),
            "/metrics" => Page {
                status: 200,
                content_type: metrics::CONTENT_TYPE,
                body: metrics::encode_text(&self.registry),
            },
            "/status" => Page::json(&(self.status)()),
            "/loglevel" => logging::filter().map_or_else(
                || Page::text("logging was not started\n").with_status(503),
                |filter| Page::text(format!("{filter}\n")),
            ),
            "/" => Page::text(self.index()),
            _ => Page::text(format!("nothing at {path}\n{}", self.index())).with_status(404),
        }
    }

    fn index(&self) -> String {
        let own = self.pages.keys().map(String::as_str);
        let mut paths: Vec<&str> = BUILT_IN.iter().copied().chain(own).collect();
        paths.sort_unstable();
        paths.dedup();
        paths.iter().map(|path| format!("{path}\n")).collect()
    }
}

/// The answer to `PUT /loglevel`.
pub(super) fn change_log_level(body: &[u8]) -> Page {
    let Ok(text) = std::str::from_utf8(body) else {
        return Page::text("the filter is not UTF-8\n").with_status(400);
    };
    match logging::set_filter(text.trim()) {
        Ok(()) => {
            tracing::info!(filter = text.trim(), "log filter changed");
            Page::text(format!("{}\n", text.trim()))
        }
        Err(error) => Page::text(format!("{error}\n")).with_status(400),
    }
}

fn health(readiness: &Readiness) -> Page {
    if readiness.is_ready() {
        return Page::text("ok\n");
    }
    let missing = readiness.missing();
    let lines = missing
        .iter()
        .map(|entry| format!("{}: {}\n", entry.name, entry.why));
    Page::text(lines.collect::<String>()).with_status(503)
}

const BUILT_IN: &[&str] = &["/livez", "/readyz", "/metrics", "/status", "/loglevel"];
