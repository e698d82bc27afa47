//! Values out of checked nodes.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::str::FromStr;

use ipnet::IpNet;

use crate::model::{Located, Written};
use crate::net::IpRange;
use crate::yaml::{Node, Plain, plain};

pub(super) fn text(node: Option<&Node>) -> Option<String> {
    node.and_then(Node::text).map(str::to_owned)
}

pub(super) fn located_text(node: Option<&Node>) -> Located<String> {
    match node.map(|node| (node, node.text())) {
        Some((node, Some(text))) => Located::at(text.to_owned(), node.span),
        _ => Located::missing(),
    }
}

pub(super) fn texts(node: Option<&Node>) -> Vec<String> {
    items(node)
        .iter()
        .filter_map(|item| item.text().map(str::to_owned))
        .collect()
}

pub(super) fn items(node: Option<&Node>) -> &[Node] {
    node.map(Node::items).unwrap_or_default()
}

pub(super) fn word<T>(node: Option<&Node>, read: fn(&str) -> Option<T>, default: T) -> Located<T> {
    match node.and_then(|node| Some(Located::at(read(node.text()?)?, node.span))) {
        Some(found) => found,
        None => Located::unwritten(default),
    }
}

pub(super) fn boolean(node: Option<&Node>, default: bool) -> Located<bool> {
    match node.map(|node| (node.span, node.text().map(plain))) {
        Some((span, Some(Plain::Bool(value)))) => Located::at(value, span),
        _ => Located::unwritten(default),
    }
}

pub(super) fn number<T: TryFrom<i64>>(node: Option<&Node>, default: T) -> Located<T> {
    optional_number(node).unwrap_or_else(|| Located::unwritten(default))
}

pub(super) fn optional_number<T: TryFrom<i64>>(node: Option<&Node>) -> Option<Located<T>> {
    let node = node?;
    let Plain::Int(value) = plain(node.text()?) else {
        return None;
    };
    Some(Located::at(T::try_from(value).ok()?, node.span))
}

pub(super) fn parsed<T: FromStr>(node: Option<&Node>) -> Option<Located<T>> {
    let node = node?;
    Some(Located::at(node.text()?.parse().ok()?, node.span))
}

pub(super) fn address(node: Option<&Node>) -> Option<Located<Ipv4Addr>> {
    parsed(node)
}

pub(super) fn addresses(node: Option<&Node>) -> Vec<Located<Ipv4Addr>> {
    items(node)
        .iter()
        .filter_map(|item| parsed(Some(item)))
        .collect()
}

pub(super) fn ranges(node: Option<&Node>) -> Vec<Located<IpRange>> {
    items(node)
        .iter()
        .filter_map(|item| parsed(Some(item)))
        .collect()
}

pub(super) fn cidrs(node: Option<&Node>) -> Vec<Located<IpNet>> {
    items(node)
        .iter()
        .filter_map(|item| {
            let net: IpNet = item.text()?.parse().ok()?;
            Some(Located::at(net.trunc(), item.span))
        })
        .collect()
}

pub(super) fn dictionary(node: Option<&Node>) -> BTreeMap<String, String> {
    node.map(Node::entries)
        .unwrap_or_default()
        .iter()
        .map(|entry| {
            (
                entry.key.clone(),
                text(Some(&entry.value)).unwrap_or_default(),
            )
        })
        .collect()
}

/// Where a key of a mapping was written.
pub(super) fn written(node: Option<&Node>, key: &str) -> Written {
    Written(node.and_then(|node| {
        node.get(key)?;
        node.entry(key).map(|entry| entry.key_span)
    }))
}
