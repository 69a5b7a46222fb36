//! What every schema promises: bounds everywhere, and names and columns as they are documented.

use serde_json::{Value, json};

use super::{Generated, crds};

/// Every schema inside a schema, with its path.
fn walk(path: &str, schema: &Value, visit: &mut impl FnMut(&str, &Value)) {
    visit(path, schema);
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        walk(&format!("{path}.{name}"), property, visit);
    }
    for inner in ["items", "additionalProperties"] {
        if schema[inner].is_object() {
            walk(&format!("{path}[]"), &schema[inner], visit);
        }
    }
}

/// What a schema leaves open that it must not.
fn unbounded(schema: &Value) -> Vec<String> {
    let mut open = Vec::new();
    let mut check = |path: &str, schema: &Value| {
        let has = |keyword: &str| !schema[keyword].is_null();
        let map = has("additionalProperties") || has("x-kubernetes-preserve-unknown-fields");
        let missing = match schema["type"].as_str() {
            Some("string") if !has("maxLength") && !has("enum") && schema["format"] != "date-time" => "maxLength",
            Some("array") if !has("maxItems") => "maxItems",
            Some("object") if map && !has("maxProperties") => "maxProperties",
            _ => return,
        };
        open.push(format!("{path} has no {missing}"));
    };
    walk("", schema, &mut check);
    open
}

#[test]
fn every_string_list_and_map_has_a_limit() {
    for crd in crds() {
        assert_eq!(unbounded(crd.schema()), [""; 0], "{}: CEL costs and etcd's object size rest on limits", crd.kind());
    }
}

#[test]
fn what_has_no_limit_is_found_at_any_depth() {
    let open = json!({"type": "object", "properties": {
        "free": {"type": "string"},
        "fixed": {"type": "string", "enum": ["a"]},
        "list": {"type": "array", "maxItems": 1, "items": {"type": "string"}},
        "map": {"type": "object", "additionalProperties": {"type": "array", "items": {"type": "integer"}}},
    }});
    let found = unbounded(&open);
    assert_eq!(
        found,
        [".free has no maxLength", ".list[] has no maxLength", ".map has no maxProperties", ".map[] has no maxItems"]
    );
}

#[test]
fn formats_are_those_that_the_api_server_knows() {
    for crd in crds() {
        walk("", crd.schema(), &mut |path, schema| {
            let Some(format) = schema["format"].as_str() else { return };
            let known = ["int32", "int64", "date-time"].contains(&format);
            assert!(known, "{}{path}: format {format} is a warning on every apply", crd.kind());
        });
    }
}

#[test]
fn conditions_are_bounded_like_those_of_kubernetes() {
    for crd in crds() {
        let condition =
            crd.schema().pointer("/properties/status/properties/conditions/items/properties").expect("conditions");
        assert_eq!(condition["status"]["enum"], json!(["True", "False", "Unknown"]), "{}", crd.kind());
        let limits = ["type", "reason", "message"].map(|field| condition[field]["maxLength"].as_i64());
        assert_eq!(limits, [Some(316), Some(1024), Some(32768)], "{}", crd.kind());
    }
}

/// The texts at a pointer below `spec`.
fn texts(crd: &Generated, pointer: &str) -> Vec<String> {
    let list = crd.manifest.pointer(pointer).and_then(Value::as_array).cloned().unwrap_or_default();
    list.iter().map(|item| item.as_str().or(item["jsonPath"].as_str()).expect("a text").to_owned()).collect()
}

/// Name and priority of every printer column.
fn columns(crd: &Generated, priority: i64) -> Vec<String> {
    let all = crd.manifest.pointer("/spec/versions/0/additionalPrinterColumns").and_then(Value::as_array);
    let wanted =
        all.expect("columns").iter().filter(|column| column["priority"].as_i64().unwrap_or_default() == priority);
    wanted.map(|column| column["name"].as_str().expect("a name").to_owned()).collect()
}

fn crd(kind: &str) -> Generated {
    crds().into_iter().find(|crd| crd.kind() == kind).expect("a kind of ours")
}

#[test]
fn names_are_as_documented() {
    let in_a_namespace = [("Connection", "conn"), ("IntegrationInstance", "ii"), ("ProviderAccount", "pacct")];
    let all = in_a_namespace.map(|(kind, short)| (kind, short, "Namespaced"));
    for (kind, short, scope) in all.into_iter().chain([("ClusterProviderAccount", "cpacct", "Cluster")]) {
        let crd = crd(kind);
        assert_eq!(texts(&crd, "/spec/names/shortNames"), [short]);
        // Never `all`: `kubectl delete all --all` must not delete stores.
        assert_eq!(texts(&crd, "/spec/names/categories"), ["tradewind"]);
        assert_eq!(crd.manifest["spec"]["scope"], scope);
        assert_eq!(crd.manifest["spec"]["group"], tradewind::api::GROUP);
        assert_eq!(crd.manifest["spec"]["versions"][0]["name"], "v1alpha1");
    }
}

#[test]
fn fields_can_be_selected_as_documented() {
    let fields = "/spec/versions/0/selectableFields";
    assert_eq!(texts(&crd("Connection"), fields), [".spec.provider", ".spec.platform", ".spec.accountRef.name"]);
    let instance = crd("IntegrationInstance");
    assert_eq!(texts(&instance, fields), [".spec.provider", ".spec.platform", ".spec.accountRef.name"]);
    for account in ["ProviderAccount", "ClusterProviderAccount"] {
        assert_eq!(texts(&crd(account), fields), [".spec.provider"]);
    }
}

#[test]
fn columns_are_as_documented() {
    let connection = crd("Connection");
    let narrow = ["Provider", "Platform", "Ready", "Status", "External-ID", "Last-Sync", "Age"];
    assert_eq!(columns(&connection, 0), narrow);
    assert_eq!(columns(&connection, 1), ["Synced", "Credentials", "Refresh", "Deletion", "Suspended", "Message"]);
    let instance = crd("IntegrationInstance");
    assert_eq!(columns(&instance, 0), ["Platform", "Ready", "Status", "External-ID", "Refresh", "Age"]);
    assert_eq!(columns(&instance, 1), ["Synced", "Credentials", "Deletion", "Suspended", "Message"]);
    for account in ["ProviderAccount", "ClusterProviderAccount"].map(crd) {
        assert_eq!(columns(&account, 0), ["Provider", "Ready", "Status", "Age"]);
        assert_eq!(columns(&account, 1), ["Identity", "Message"]);
    }
}
