//! A snapshot: what the nodes and the API say at one moment, as files. Nothing here does I/O.

use serde_json::Value;

/// One file of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its path in the archive.
    pub path: String,
    /// What is in it.
    pub text: String,
}

/// Objects of one kind, or why there are none.
#[derive(Debug, Clone, PartialEq)]
pub struct Collected {
    /// What they are, in the plural.
    pub kind: &'static str,
    /// The objects.
    pub objects: Result<Vec<Value>, String>,
}

/// Name of the part by which a node says that it told everything.
const END: &str = "end";

/// The parts of what `script::snapshot` prints, as files below `folder`. One that was cut off says so.
pub fn parts(folder: &str, mark: &str, output: &str) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut whole = false;
    for line in output.lines() {
        let named = line
            .strip_prefix(mark)
            .and_then(|rest| rest.strip_prefix(' '));
        match (named, entries.last_mut()) {
            (Some(END), _) => whole = true,
            (Some(name), _) => entries.push(Entry {
                path: format!("{folder}/{}", file_name(name)),
                text: String::new(),
            }),
            (None, Some(entry)) => {
                entry.text.push_str(line);
                entry.text.push('\n');
            }
            (None, None) => {}
        }
    }
    if !whole {
        entries.push(Entry {
            path: format!("{folder}/incomplete"),
            text: "the node did not tell everything\n".to_owned(),
        });
    }
    entries
}

/// A name with plain characters only, which leads nowhere else.
fn file_name(name: &str) -> String {
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() || "-_./".contains(c) {
            c
        } else {
            '_'
        }
    };
    let parts = name
        .split('/')
        .filter(|part| !part.trim_matches('.').is_empty());
    let parts: Vec<&str> = parts.collect();
    parts.join("/").chars().map(plain).collect()
}

/// Objects as a file: readable, without what only the API server needs.
pub fn objects(collected: &Collected) -> Entry {
    let text = match &collected.objects {
        Err(why) => format!("{why}\n"),
        Ok(objects) => {
            let mut list = Value::Array(objects.clone());
            for object in list.as_array_mut().into_iter().flatten() {
                lighten(object);
            }
            format!("{list:#}\n")
        }
    };
    Entry {
        path: format!("api/{}.json", collected.kind),
        text,
    }
}

/// Who wrote which field is of no use here, and what was applied holds all of an object once more.
fn lighten(object: &mut Value) {
    let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else {
        return;
    };
    metadata.remove("managedFields");
    let annotations = metadata.get_mut("annotations");
    if let Some(annotations) = annotations.and_then(Value::as_object_mut) {
        annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn parts_become_files_and_a_cut_is_told() {
        let output = "login banner\n\n#1 system\na\nb\n\n#1 logs/x y/../../etc/0.log\n#2 no part\n";
        let entry = |path: &str, text: &str| Entry {
            path: path.to_owned(),
            text: text.to_owned(),
        };
        let told = [
            entry("nodes/m0/system", "a\nb\n\n"),
            entry("nodes/m0/logs/x_y/etc/0.log", "#2 no part\n"),
        ];
        let cut = entry("nodes/m0/incomplete", "the node did not tell everything\n");
        let mut expected = told.to_vec();
        expected.push(cut);
        assert_eq!(parts("nodes/m0", "#1", output), expected);
        let whole = parts("nodes/m0", "#1", &format!("{output}\n#1 end\n"));
        assert_eq!(whole[0], told[0]);
        assert_eq!(whole.len(), 2);
    }

    #[test]
    fn objects_are_without_what_was_applied() {
        let collected = Collected {
            kind: "nodes",
            objects: Ok(vec![json!({"metadata": {
                "name": "m0",
                "managedFields": [1],
                "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "x", "a": "b"},
            }})]),
        };
        let entry = objects(&collected);
        assert_eq!(entry.path, "api/nodes.json");
        let read: Value = serde_json::from_str(&entry.text).expect("JSON");
        assert_eq!(
            read,
            json!([{"metadata": {"name": "m0", "annotations": {"a": "b"}}}])
        );
        let refused = Collected {
            kind: "events",
            objects: Err("no answer".to_owned()),
        };
        assert_eq!(objects(&refused).text, "no answer\n");
    }
}
