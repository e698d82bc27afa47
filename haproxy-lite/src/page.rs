//! The status page: who is up, why not, sessions, rates. One document, no script library; it reloads itself.

use std::fmt::Write as _;

use daemon::admin::Page;
use serde_json::Value;

use crate::status::Board;

/// The page as of now.
pub(crate) fn page(board: &Board) -> Page {
    let status = board.to_json();
    let mut html = HEAD.to_owned();
    let config = &status["config"];
    if let Some(error) = config["error"].as_str() {
        let error = escape(error);
        // Writing to a String cannot fail, here and below.
        let _ = write!(
            html,
            "<p class=down>The file on disk is not in force:</p><pre>{error}</pre>"
        );
    }
    if status["stopping"] == true {
        html.push_str("<p class=down>The proxy is stopping.</p>");
    }
    let totals = &status["totals"];
    let _ = write!(
        html,
        "<p>{} of at most {} sessions, {} waiting. Configuration of {}.</p>",
        cell(&totals["sessions"]),
        cell(&totals["maxSessions"]),
        cell(&totals["waiting"]),
        cell(&config["loaded"]),
    );
    let servers = [
        "name", "address", "state", "since", "why", "sessions", "total", "bytesIn", "bytesOut",
        "refused", "hedged", "downs",
    ];
    table(&mut html, "Servers", &status["servers"], &servers, |row| {
        row["state"].as_str().unwrap_or_default().to_owned()
    });
    let frontends = [
        "name",
        "address",
        "listening",
        "why",
        "sessions",
        "total",
        "bytesIn",
        "bytesOut",
    ];
    table(
        &mut html,
        "Front ends",
        &status["frontends"],
        &frontends,
        |row| {
            if row["listening"] == true {
                "up"
            } else {
                "down"
            }
            .to_owned()
        },
    );
    html.push_str("<h2>Ended sessions</h2><table>");
    for (reason, count) in totals["ended"].as_object().into_iter().flatten() {
        let _ = write!(
            html,
            "<tr><td>{}<td class=n>{}",
            escape(reason),
            cell(count)
        );
    }
    html.push_str("</table>");
    html.push_str(RATES);
    Page::html(html)
}

fn table(
    html: &mut String,
    title: &str,
    rows: &Value,
    columns: &[&str],
    class: impl Fn(&Value) -> String,
) {
    let _ = write!(html, "<h2>{title}</h2><table><tr>");
    for column in columns {
        let _ = write!(html, "<th>{column}");
    }
    for row in rows.as_array().into_iter().flatten() {
        let _ = write!(html, "<tr class={}>", class(row));
        for column in columns {
            let number = if row[*column].is_number() {
                " class=n"
            } else {
                ""
            };
            let name = cell(&row["name"]);
            let _ = write!(
                html,
                "<td{number} data-k=\"{title}/{name}/{column}\">{}",
                cell(&row[*column])
            );
        }
    }
    html.push_str("</table>");
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => escape(text),
        other => other.to_string(),
    }
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            other => escaped.push(other),
        }
    }
    escaped
}

const HEAD: &str = "<!doctype html><html lang=en><meta charset=utf-8><title>lb-proxy</title><style>\
    body{font:14px sans-serif;margin:2em}table{border-collapse:collapse}td,th{padding:.3em .7em;text-align:left;\
    border-bottom:1px solid #ccc}.n{text-align:right;font-variant-numeric:tabular-nums}.up td:first-child{\
    border-left:.4em solid #2a2}.down td:first-child{border-left:.4em solid #c22}.unknown td:first-child,\
    .drain td:first-child{border-left:.4em solid #da2}p.down{color:#c22}small{color:#666}</style><h1>lb-proxy</h1>";

/// Fetches the page again each two seconds and writes rates beside what has grown.
const RATES: &str = "<script>(()=>{let old={},at=Date.now();const read=d=>{const r={};d.querySelectorAll('[data-k]')\
    .forEach(e=>r[e.dataset.k]=e);return r};const keep=()=>{for(const[k,e]of Object.entries(read(document)))\
    old[k]=+e.textContent};keep();setInterval(async()=>{const d=new DOMParser().parseFromString(await(await \
    fetch(location)).text(),'text/html'),now=Date.now(),next={};for(const[k,e]of Object.entries(read(d))){\
    const v=+e.textContent;next[k]=v;if(/total|bytes/.test(k)&&old[k]<v)e.innerHTML+=' <small>'+\
    ((v-old[k])*1000/(now-at)).toFixed(0)+'/s</small>'}old=next;at=now;document.body.replaceChildren(\
    ...[...d.body.childNodes].filter(n=>n.nodeName!=='SCRIPT'))},2000)})()</script>";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_others_cannot_become_markup() {
        assert_eq!(escape("<b a=\"1\">&"), "&lt;b a=&quot;1&quot;&gt;&amp;");
        let mut html = String::new();
        let rows = serde_json::json!([{"name": "<script>", "why": null, "sessions": 7}]);
        table(&mut html, "T", &rows, &["name", "why", "sessions"], |_| {
            "up".to_owned()
        });
        assert!(
            html.contains("&lt;script&gt;") && !html.contains("<script>"),
            "{html}"
        );
        assert!(
            html.contains("class=n") && html.ends_with("7</table>"),
            "{html}"
        );
    }
}
