//! What tools that wait for objects make of them: kstatus, the expressions for Flux and the script for Argo CD, each run over every
//! state that there is.

use cel::{Context, Program};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use mlua::{Lua, LuaSerdeExt, Table};
use serde_json::{Value, json};
use tradewind::api::v1alpha1::Connection;
use tradewind::domain::conditions::{Health, History, State, lay_over, picture};

use super::tools;
use crate::conditions::Observed;
use crate::docs::{hold, read, states};

const SCRIPT: &str = include_str!("../../../config/argocd/health.lua");
/// The kinds that Argo CD is told of.
const KINDS: [&str; 4] = ["ClusterProviderAccount", "Connection", "IntegrationInstance", "ProviderAccount"];

/// A state in the words of the page, and the object in it: new, and once it has been Ready.
struct Row {
    name: &'static str,
    state: Option<State>,
    objects: [Value; 2],
}

/// What the schema says of a new object.
fn new() -> Vec<Condition> {
    let condition = json!({"type": "Ready", "status": "Unknown", "reason": "Progressing",
        "message": "Waiting for the operator", "lastTransitionTime": "1970-01-01T00:00:00Z"});
    vec![serde_json::from_value(condition).expect("a condition")]
}

fn works() -> Vec<Condition> {
    let works = State::Present(Health::Works { history: History::Loaded });
    lay_over(&new(), picture(&works), 1, Timestamp::UNIX_EPOCH)
}

fn object(conditions: &[Condition], generation: i64, observed: i64) -> Value {
    json!({
        "apiVersion": "tradewind.dev/v1alpha1", "kind": "Connection",
        "metadata": {"name": "acme", "namespace": "shop", "uid": "u", "generation": generation},
        "spec": {"provider": "Rutter", "accountRef": {"name": "rutter"}},
        "status": {"observedGeneration": observed, "conditions": conditions},
    })
}

fn in_state(state: &State, before: &[Condition]) -> Value {
    let mut object = object(&lay_over(before, picture(state), 1, Timestamp::UNIX_EPOCH), 1, 1);
    if *state == State::Suspended {
        object["spec"]["suspend"] = json!(true);
    }
    if matches!(state, State::Deleting(_) | State::Leaving(_)) {
        object["metadata"]["deletionTimestamp"] = json!("1970-01-01T00:00:00Z");
        object["metadata"]["finalizers"] = json!(["tradewind.dev/connection"]);
    }
    object
}

fn rows() -> Vec<Row> {
    let first = [
        ("nobody has looked at it yet", object(&new(), 1, -1)),
        ("edited, and not looked at since", object(&works(), 2, 1)),
    ];
    let first = first.map(|(name, object)| Row { name, state: None, objects: [object.clone(), object] });
    let of = |(name, state): (&'static str, State)| {
        let objects = [new(), works()].map(|before| in_state(&state, &before));
        Row { name, state: Some(state), objects }
    };
    first.into_iter().chain(states().into_iter().map(of)).collect()
}

/// What kstatus itself says of each object.
fn kstatus(objects: &[Value]) -> Vec<String> {
    let lines: Vec<String> = objects.iter().map(Value::to_string).collect();
    let answer = tools::run("kstatus", &[], &lines.join("\n")).expect("an answer");
    let all: Vec<String> = answer.lines().map(str::to_owned).collect();
    assert_eq!(all.len(), objects.len());
    all
}

/// The expressions for Flux, in the order in which it asks them, with what it says where one holds.
fn expressions() -> Vec<(Program, &'static str)> {
    let page = read("gitops.md");
    let blocks = page.split("```yaml\n").skip(1).filter_map(|rest| rest.split_once("```").map(|(block, _)| block));
    let documents = blocks
        .flat_map(|block| block.split("---\n"))
        .map(|text| serde_yaml::from_str::<Value>(text).unwrap_or_else(|error| panic!("no YAML: {error}: {text}")));
    let mut found: Vec<Value> =
        documents.map(|d| d["spec"]["healthCheckExprs"].clone()).filter(Value::is_array).collect();
    assert_eq!(found.len(), 1, "one Kustomization has expressions");
    let found = found.remove(0);
    let of = |(name, says): (&str, &'static str)| {
        let text = found[0][name].as_str().unwrap_or_else(|| panic!("no expression {name}"));
        (Program::compile(text).unwrap_or_else(|error| panic!("{text}: {error}")), says)
    };
    [("inProgress", "InProgress"), ("failed", "Failed"), ("current", "Current")].map(of).into()
}

/// What Flux says with these expressions; it looks at the generation by itself before.
fn flux(expressions: &[(Program, &'static str)], object: &Value) -> String {
    if object["status"]["observedGeneration"] != object["metadata"]["generation"] {
        return "InProgress".to_owned();
    }
    let mut context = Context::default();
    for (name, value) in object.as_object().expect("an object") {
        context.add_variable(name.as_str(), value).expect("a variable");
    }
    let holds = |program: &Program| program.execute(&context).expect("an answer") == cel::Value::Bool(true);
    expressions.iter().find(|(program, _)| holds(program)).map_or("InProgress", |(_, says)| *says).to_owned()
}

/// What Argo CD says; of what is being deleted it does not ask the script.
fn argo(object: &Value) -> String {
    if object["metadata"]["deletionTimestamp"].is_string() {
        return "Progressing".to_owned();
    }
    let lua = Lua::new();
    lua.globals().set("obj", lua.to_value(object).expect("a table")).expect("a global");
    let health: Table = lua.load(SCRIPT).eval().expect("a health");
    assert!(!health.get::<String>("message").expect("a message").is_empty());
    health.get("status").expect("a status")
}

/// A cell: one answer, or two where it matters whether the object was Ready.
fn cell([new, worked]: [&String; 2]) -> String {
    if new == worked { worked.clone() } else { format!("{worked}; {new} where it was not Ready") }
}

#[test]
fn the_health_on_the_page_is_what_the_tools_say() {
    let (rows, expressions) = (rows(), expressions());
    let objects: Vec<Value> = rows.iter().flat_map(|row| row.objects.clone()).collect();
    let said = kstatus(&objects);
    let head = "| state | kstatus | Flux with `healthCheckExprs` | Argo CD |\n|---|---|---|---|\n";
    let line = |(row, said): (&Row, &[String])| {
        let flux = row.objects.each_ref().map(|object| flux(&expressions, object));
        let argo = row.objects.each_ref().map(argo);
        let cells = [[&said[0], &said[1]], flux.each_ref(), argo.each_ref()].map(cell);
        format!("| {} | {} |\n", row.name, cells.join(" | "))
    };
    let table: String = rows.iter().zip(said.chunks(2)).map(line).collect();
    hold("gitops.md", "health", &format!("{head}{table}"));
}

/// Whether a person has the next step, and nothing is wrong.
fn is_asked(object: &Value) -> bool {
    let conditions = object["status"]["conditions"].as_array().expect("conditions");
    conditions.iter().any(|c| {
        let reason = c["reason"].as_str().unwrap_or_default();
        c["type"] == "Ready" && ["AuthorizationRequired", "LinkExpired"].contains(&reason)
    })
}

fn says(object: &Value, kind: &str) -> bool {
    let conditions = object["status"]["conditions"].as_array().expect("conditions");
    conditions.iter().any(|c| c["type"] == kind && c["status"] == "True")
}

#[test]
fn no_tool_calls_ready_what_is_not_or_broken_what_goes_on() {
    let expressions = expressions();
    for Row { name, state, objects } in rows() {
        for (object, kstatus) in objects.iter().zip(kstatus(&objects)) {
            let (flux, argo) = (flux(&expressions, object), argo(object));
            let deleting = object["metadata"]["deletionTimestamp"].is_string();
            let today = state.is_some();
            let ready = today && !deleting && says(object, "Ready");
            let stalled = today && !deleting && says(object, "Stalled");
            let suspended = object["spec"]["suspend"] == true;
            let asked = today && !deleting && is_asked(object);
            let expected_kstatus = match (deleting, ready, stalled) {
                (true, ..) => "Terminating",
                (false, _, true) => "Failed",
                (false, true, false) => "Current",
                (false, false, false) => "InProgress",
            };
            assert_eq!(kstatus, expected_kstatus, "kstatus: {name}");
            let expected_flux = match expected_kstatus {
                _ if asked => "Current",
                // Of three answers it is the one that waits for the end of it.
                "Terminating" => "InProgress",
                other => other,
            };
            assert_eq!(flux, expected_flux, "Flux: {name}");
            let expected_argo = match expected_kstatus {
                "Terminating" => "Progressing",
                _ if suspended || asked => "Suspended",
                "Failed" => "Degraded",
                "Current" => "Healthy",
                _ => "Progressing",
            };
            assert_eq!(argo, expected_argo, "Argo CD: {name}");
        }
    }
}

/// The reading of kstatus that the other tests use is that of kstatus.
#[test]
fn our_tests_read_conditions_as_kstatus_does() {
    for Row { name, objects, .. } in rows() {
        for (object, said) in objects.iter().zip(kstatus(&objects)) {
            let ours: Connection = serde_json::from_value(object.clone()).expect("a connection");
            assert_eq!(format!("{:?}", ours.kstatus()), said, "{name}");
        }
    }
}

#[test]
fn the_patch_for_argo_cd_holds_the_script_for_every_kind() {
    let indented: String = SCRIPT.lines().map(|line| format!("    {line}\n").replace("    \n", "\n")).collect();
    let keys = KINDS.map(|kind| format!("  resource.customizations.health.tradewind.dev_{kind}: |\n{indented}"));
    let wanted = format!(
        "# Made from health.lua by `make generate`; docs/gitops.md says what to do with it.\ndata:\n{}",
        keys.concat()
    );
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("config/argocd/argocd-cm.yaml");
    if std::env::var_os("UPDATE_GENERATED").is_some_and(|value| value == "1") {
        std::fs::write(&path, &wanted).expect("a file to write");
    }
    let stored = std::fs::read_to_string(&path).expect("the patch");
    assert!(stored == wanted, "config/argocd/argocd-cm.yaml is not what health.lua says: run `make generate`");
    let config_map: Value = serde_yaml::from_str(&stored).expect("YAML");
    let data = config_map["data"].as_object().expect("data");
    assert!(data.len() == KINDS.len() && data.values().all(|script| script == SCRIPT));
}
