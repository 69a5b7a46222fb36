//! kubeconform: every field that is rendered is one that Kubernetes knows.
//!
//! Its schemas are those that the API server of the tests publishes, our kinds among them, and those of `monitoring.rs` and `gitops.rs`,
//! written by hand, for the kinds of others: nothing comes from the network.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::{Value, json};
use tradewind_cluster::Tool;

use super::render::CASES;
use super::{call, gitops, monitoring, objects, template, text};
use crate::cluster::{Said, Sandbox};
use crate::docs::{blocks, read};

/// Schemas of kinds that no API server of the tests has, by API version and kind.
fn foreign() -> Vec<(&'static str, &'static str, Value)> {
    let monitoring = monitoring::schemas().map(|(kind, schema)| (monitoring::VERSION, kind, schema));
    monitoring.into_iter().chain(gitops::schemas()).collect()
}

/// Writes the schemas of these API versions where kubeconform looks for them.
async fn schemas(sandbox: &Sandbox, versions: BTreeSet<String>) -> PathBuf {
    let folder = sandbox.cluster().dir().join("schemas");
    std::fs::create_dir_all(&folder).expect("a folder");
    for (version, kind, schema) in foreign() {
        let file = folder.join(format!("{}_{}.json", version.replace('/', "_"), kind.to_lowercase()));
        std::fs::write(file, schema.to_string()).expect("a schema");
    }
    for version in versions {
        let path = if version.contains('/') {
            format!("/openapi/v3/apis/{version}")
        } else {
            format!("/openapi/v3/api/{version}")
        };
        let said = sandbox.kubectl(&["get", "--raw", &path]).await;
        assert!(said.ok, "{path}: {}", said.err);
        let mut document: Value = serde_json::from_str(&said.out).expect("an OpenAPI document");
        let mut components = document["components"].take();
        strict(&mut components);
        for (name, schema) in components["schemas"].as_object().expect("schemas") {
            for kind in schema["x-kubernetes-group-version-kind"].as_array().into_iter().flatten() {
                let (group, version, kind) = (text(kind, "/group"), text(kind, "/version"), text(kind, "/kind"));
                // That is what kubeconform calls the core group.
                let group = if group.is_empty() { version } else { group };
                // The references in it are to the components, so they go along.
                let schema = json!({"$ref": format!("#/components/schemas/{name}"), "components": components});
                let file = folder.join(format!("{group}_{version}_{}.json", kind.to_lowercase()));
                std::fs::write(file, schema.to_string()).expect("a schema");
            }
        }
    }
    folder
}

/// From what OpenAPI says to what JSON Schema says: a null where one is allowed, and no field that is not named.
fn strict(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            if fields.get("nullable") == Some(&json!(true)) {
                if let Some(kind) = fields.get("type").filter(|kind| kind.is_string()).cloned() {
                    fields.insert("type".to_owned(), json!([kind, "null"]));
                }
                if let Some(Value::Array(values)) = fields.get_mut("enum") {
                    values.push(Value::Null);
                }
            }
            let open = fields.get("x-kubernetes-preserve-unknown-fields") == Some(&json!(true));
            if fields.get("properties").is_some_and(Value::is_object) && fields.contains_key("type") && !open {
                fields.entry("additionalProperties").or_insert(json!(false));
            }
            fields.values_mut().for_each(strict);
        }
        Value::Array(values) => values.iter_mut().for_each(strict),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Runs kubeconform over manifests, with the schemas of all that is in them.
async fn conform(sandbox: &Sandbox, manifests: &str) -> Said {
    let objects = objects(manifests);
    let by_hand: BTreeSet<_> = foreign().into_iter().map(|(version, ..)| version).collect();
    let published = objects.iter().map(|o| text(o, "/apiVersion")).filter(|version| !by_hand.contains(version));
    let folder = schemas(sandbox, published.map(str::to_owned).collect()).await;
    let location =
        format!("{}/{{{{.Group}}}}_{{{{.ResourceAPIVersion}}}}_{{{{.ResourceKind}}}}.json", folder.display());
    let args = ["-strict", "-summary", "-schema-location", &location];
    call(Tool::Kubeconform, &args, manifests).await
}

#[tokio::test]
async fn kubeconform_knows_every_field_that_is_rendered() {
    let sandbox = Sandbox::new("conform").await;
    let mut all = String::new();
    for (_, values) in CASES {
        let said = template("tradewind", values).await;
        assert!(said.ok, "{}", said.err);
        all += &said.out;
    }
    let said = conform(&sandbox, &all).await;
    let number = objects(&all).len();
    assert!(said.ok, "{}{}", said.out, said.err);
    assert!(said.out.starts_with(&format!("Summary: {number} resources found")), "{}", said.out);
    assert!(said.out.contains(&format!("Valid: {number}, Invalid: 0, Errors: 0, Skipped: 0")), "{}", said.out);

    // And would it say so? A field that nobody knows, or of another type, in one object of a kind each.
    let mistakes = [
        ("terminationGracePeriodSeconds: ", "terminationGracePeriod: ", "terminationGracePeriod"),
        ("scrapeTimeout: 10s", "timeout: 10s", "'timeout'"),
        ("for: 5m", "for: 5", "/rules/0/for"),
    ];
    let mut wrong = all;
    for (right, mistake, _) in mistakes {
        assert!(wrong.contains(right), "{right}");
        wrong = wrong.replacen(right, mistake, 1);
    }
    let said = conform(&sandbox, &wrong).await;
    assert!(!said.ok && said.out.contains("Invalid: 3, Errors: 0, Skipped: 0"), "{}{}", said.out, said.err);
    for (_, mistake, named) in mistakes {
        assert!(said.out.contains(named), "{mistake}: {}", said.out);
    }
}

#[tokio::test]
async fn kubeconform_knows_every_field_of_the_examples_and_of_the_kustomize_base() {
    let sandbox = Sandbox::new("conform").await;
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for folder in std::fs::read_dir(root.join("examples")).expect("examples/") {
        let folder = folder.expect("an example").path();
        files.extend(std::fs::read_dir(folder).expect("a folder").map(|file| file.expect("a file").path()));
    }
    files.retain(|file| file.extension().is_some_and(|extension| extension == "yaml"));
    let base = ["deployment", "rbac/role", "rbac/role_binding", "rbac/service_account"];
    files.extend(base.map(|name| root.join("config").join(name).with_extension("yaml")));
    let all: Vec<_> = files.iter().map(|file| std::fs::read_to_string(file).expect("a manifest")).collect();
    let said = conform(&sandbox, &all.join("\n---\n")).await;
    assert!(said.ok && said.out.contains("Invalid: 0, Errors: 0, Skipped: 0"), "{}{}", said.out, said.err);
}

/// What a page says to Flux, Argo CD or the Prometheus operator: whoever copies it gets no refusal.
#[tokio::test]
async fn kubeconform_knows_every_field_of_what_the_pages_say_to_other_operators() {
    let sandbox = Sandbox::new("conform").await;
    let pages = ["gitops.md", "metrics.md"].map(read);
    let all: Vec<String> = pages.iter().flat_map(|page| blocks(page, "yaml")).collect();
    // Not those that are a part of an object, such as annotations.
    let all: Vec<Value> = all.iter().flat_map(|block| objects(block)).filter(|o| o.get("kind").is_some()).collect();
    let kinds: BTreeSet<_> = all.iter().map(|object| text(object, "/kind")).collect();
    for (_, kind, _) in gitops::schemas() {
        assert!(kinds.contains(kind), "{kind} is on no page: {kinds:?}");
    }
    let manifests = |all: &[Value]| all.iter().map(Value::to_string).collect::<Vec<_>>().join("\n---\n");
    let said = conform(&sandbox, &manifests(&all)).await;
    assert!(said.ok && said.out.contains("Invalid: 0, Errors: 0, Skipped: 0"), "{}{}", said.out, said.err);

    // And would it say so? A field that nobody knows in each that is written by hand.
    let mut wrong = all;
    wrong.retain(|object| foreign().iter().any(|(version, ..)| *version == text(object, "/apiVersion")));
    for object in &mut wrong {
        object["spec"]["nobodyKnowsIt"] = json!(true);
    }
    let said = conform(&sandbox, &manifests(&wrong)).await;
    assert!(!said.ok && said.out.contains(&format!("Valid: 0, Invalid: {}", wrong.len())), "{}{}", said.out, said.err);
}
