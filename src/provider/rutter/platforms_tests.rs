//! Every platform, form and version of the API, from a declaration to what the simulator takes.

use super::*;
use crate::{
    api::v1alpha1::Provider,
    domain::rules::{Form, Identity, Parameter, RUTTER_PLATFORMS, RUTTER_VERSIONS, RutterPlatform},
    provider::{Backend, Session, contract},
};
use serde_json::json;
use tradewind_simulator::{Operation as Asked, Setup, Simulator};

/// A session with a simulator of its own.
fn session(version: &str) -> (Simulator, Session) {
    let endpoint = "https://sandbox.example.com/versioned";
    let login = contract::login(Provider::Rutter, endpoint, version, "test-client-id", "test-client-secret");
    let (simulator, session, _) = contract::simulated(Setup::default(), &login);
    (simulator, session)
}

/// Every platform, form and version of the API that has it.
fn every_form() -> impl Iterator<Item = (&'static RutterPlatform, &'static Form, &'static str)> {
    let forms = RUTTER_PLATFORMS.iter().flat_map(|p| p.forms.iter().map(move |f| (p, f)));
    forms.flat_map(|(p, f)| RUTTER_VERSIONS.iter().filter(|v| f.is_of(v)).map(move |v| (p, f, *v)))
}

fn value(platform: &RutterPlatform, parameter: &Parameter) -> String {
    match platform.identity {
        Identity::Hosted(suffix) => format!("store-a1{suffix}"),
        Identity::SelfHosted => "Shop.example.com/Eu".to_owned(),
        Identity::None => parameter.values.first().map_or("test-1", |v| *v).to_owned(),
    }
}

/// A declaration with these parameters.
fn declared(platform: &RutterPlatform, parameters: &[&Parameter]) -> Declaration {
    let parameters: std::collections::BTreeMap<_, _> =
        parameters.iter().map(|p| (p.name, value(platform, p))).collect();
    let spec = json!({
        "provider": "Rutter", "accountRef": {"name": "a"}, "platform": platform.name,
        "rutter": {"credentialsSecretRef": {"name": "s"}, "parameters": parameters, "scope": "test"}
    });
    Declaration::Connection(serde_json::from_value(spec).expect("a spec"))
}

fn held(keys: impl IntoIterator<Item = &'static str>) -> SecretData {
    keys.into_iter().map(|k| (k.to_owned(), SecretString::from("test"))).collect()
}

fn rutter(session: &Session) -> &Rutter {
    match &session.backend {
        Backend::Rutter(rutter) => rutter,
        Backend::Arcus(_) | Backend::SkuIo(_) => panic!("a session of another provider"),
    }
}

async fn create(session: &Session, want: &RutterWant, credentials: &Credentials) -> Result<Created, ApiError> {
    rutter(session).create(contract::permit(session, "test"), want, credentials).await.map(|made| match made {
        Made::Created(created) => *created,
        Made::Accepted(_) => panic!("Rutter tells the id with the link"),
    })
}

/// What the simulator says to a body that we would never send.
async fn raw(session: &Session, body: Value) -> u16 {
    let path = ["connections", "create"];
    let call = Call {
        operation: Operation::Create,
        method: Method::POST,
        path: &path,
        query: &[],
        body: Some(body),
        key: None,
    };
    let reply = rutter(session).reads.http.send(call, Pace::Now).await.expect("an answer");
    reply.status.as_u16()
}

fn creates(simulator: &Simulator) -> usize {
    contract::asked(simulator, Asked::Create)
}

#[tokio::test]
async fn every_platform_and_form_is_created_with_all_its_fields_and_with_the_required_ones() {
    for (platform, form, version) in every_form() {
        let (simulator, session) = session(version);
        let all: Vec<&Parameter> = platform.parameters.iter().collect();
        let required: Vec<&Parameter> = platform.parameters.iter().filter(|p| p.required).collect();
        for (parameters, keys) in [(all, form.fields().collect()), (required, form.required.to_vec())] {
            let want = Rutter::want(&declared(platform, &parameters)).expect("a want");
            let credentials = rutter(&session).credentials(&want, "s", &held(keys)).expect("credentials");
            let created = create(&session, &want, &credentials).await;
            let created = created.unwrap_or_else(|e| panic!("{} {} {version}: {e}", platform.name, form.name));
            assert_eq!(created.summary.platform.as_deref(), Some(platform.name));
            assert_eq!(Rutter::key(&want).is_some(), platform.identity != Identity::None, "{}", platform.name);
        }
        assert_eq!(simulator.stats().creates, 2, "{} {version}", platform.name);
    }
}

#[tokio::test]
async fn every_missing_field_is_refused_by_us_before_any_call_and_by_the_simulator_too() {
    for (platform, form, version) in every_form() {
        let (simulator, session) = session(version);
        let all: Vec<&Parameter> = platform.parameters.iter().collect();
        let want = Rutter::want(&declared(platform, &all)).expect("a want");
        let whole = held(form.required.iter().copied());
        let credentials = rutter(&session).credentials(&want, "s", &whole).expect("credentials");
        let without = |name: &str| {
            let mut body = body(&want, &credentials);
            body.as_object_mut().expect("an object").remove(name).expect("a field of the body");
            body
        };
        for lacking in form.required {
            let kept = held(form.required.iter().copied().filter(|k| k != lacking));
            let refused = rutter(&session).credentials(&want, "s", &kept).err();
            assert!(refused.is_some_and(|p| p.message.contains(lacking)), "{} {lacking}", platform.name);
        }
        for lacking in platform.parameters.iter().filter(|p| p.required) {
            let kept: Vec<&Parameter> = all.iter().copied().filter(|p| p.name != lacking.name).collect();
            let refused = Rutter::want(&declared(platform, &kept)).err();
            assert!(refused.is_some_and(|p| p.message.contains(lacking.name)), "{} {}", platform.name, lacking.name);
        }
        assert_eq!(creates(&simulator), 0, "nothing was asked for yet");
        let parameters = platform.parameters.iter().filter(|p| p.required).map(|p| p.name);
        for lacking in form.required.iter().copied().chain(parameters) {
            assert_eq!(raw(&session, without(lacking)).await, 400, "{} {lacking} {version}", platform.name);
        }
        assert_eq!(simulator.stats().creates, 0);
    }
}

#[tokio::test]
async fn a_store_that_rutter_tells_is_found_by_its_key() {
    for platform in RUTTER_PLATFORMS.iter().filter(|p| p.identity != Identity::None) {
        let (_simulator, session) = session(RUTTER_VERSIONS[0]);
        let all: Vec<&Parameter> = platform.parameters.iter().collect();
        let want = Rutter::want(&declared(platform, &all)).expect("a want");
        let keys = platform.forms[0].required.iter().copied();
        let credentials = rutter(&session).credentials(&want, "s", &held(keys)).expect("credentials");
        let made = create(&session, &want, &credentials).await.expect("a record");
        let look = Look::Key(Rutter::key(&want).expect("a key"));
        let found =
            rutter(&session).observe(&look, Freshness::After(Instant::now()), Pace::Now).await.expect("records");
        let found: Vec<_> = found.iter().map(|r| (&r.id, r.have.is_some())).collect();
        assert_eq!(found, [(&made.id, true)], "{}", platform.name);
    }
}

#[tokio::test]
async fn an_edit_of_any_parameter_or_of_the_scope_asks_for_a_new_record() {
    for platform in RUTTER_PLATFORMS {
        let (_simulator, session) = session(RUTTER_VERSIONS[0]);
        let all: Vec<&Parameter> = platform.parameters.iter().collect();
        let want = Rutter::want(&declared(platform, &all)).expect("a want");
        let form = platform.forms.iter().find(|f| f.is_of(RUTTER_VERSIONS[0])).expect("a form");
        let whole = held(form.required.iter().copied());
        let credentials = rutter(&session).credentials(&want, "s", &whole).expect("credentials");
        let made = create(&session, &want, &credentials).await.expect("a record");
        let look = Look::Id(made.id.clone());
        let found =
            rutter(&session).observe(&look, Freshness::After(Instant::now()), Pace::Now).await.expect("a record");
        let have = found[0].have.as_ref().expect("what it is");
        let applied = want.fields();
        let replaced = |want: &RutterWant| match Rutter::diff(want, have, &applied, None) {
            Difference::Replace(fields) => fields,
            Difference::None => vec![],
            Difference::Update(never, _) => match never {},
        };
        assert_eq!(replaced(&want), [""; 0], "{}", platform.name);
        let Access::Credentials { parameters, .. } = &want.access else { panic!("a want with credentials") };
        for (n, (name, value)) in parameters.iter().enumerate() {
            let mut changed = parameters.clone();
            changed[n].1 = format!("{value}x");
            let with = |parameters| RutterWant { access: Access::Credentials { platform, parameters }, ..want.clone() };
            let edited = with(changed.clone());
            assert_eq!(replaced(&edited), [format!("spec.rutter.parameters.{name}")], "{}", platform.name);
            changed.remove(n);
            let edited = with(changed);
            assert_eq!(replaced(&edited), [format!("spec.rutter.parameters.{name}")], "{}", platform.name);
        }
        for scope in [None, Some("other".to_owned())] {
            assert_eq!(replaced(&RutterWant { scope, ..want.clone() }), ["spec.rutter.scope"], "{}", platform.name);
        }
        let bare: Vec<_> = applied.iter().filter(|f| f.path != "spec.rutter.scope").cloned().collect();
        let added = Rutter::diff(&want, have, &bare, None);
        assert!(matches!(added, Difference::Replace(f) if f == ["spec.rutter.scope"]), "{}", platform.name);
        assert!(matches!(Rutter::diff(&want, have, &[], None), Difference::None), "what it was made with is not known");
    }
}

#[tokio::test]
async fn a_window_shows_what_was_made_in_it_whatever_it_is() {
    let (_simulator, session) = session(RUTTER_VERSIONS[0]);
    let mut made = vec![];
    for name in ["STRIPE", "STRIPE", "EBAY"] {
        let platform = crate::domain::rules::rutter_platform(name).expect("a platform");
        let all: Vec<&Parameter> = platform.parameters.iter().collect();
        let want = Rutter::want(&declared(platform, &all)).expect("a want");
        let keys = platform.forms[0].required.iter().copied();
        let credentials = rutter(&session).credentials(&want, "s", &held(keys)).expect("credentials");
        made.push(create(&session, &want, &credentials).await.expect("a record").id);
    }
    let at = rutter(&session).now().expect("the provider's clock");
    let intent = crate::api::v1alpha1::StoredIntent {
        uid: "u".into(),
        attempt: 1,
        nonce: "n".into(),
        at: k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(at),
        key: None,
        account: "a".into(),
    };
    let look = Look::Window(Box::new(intent));
    let found = rutter(&session).observe(&look, Freshness::After(Instant::now()), Pace::Now).await.expect("records");
    let ids = |name: &str| -> Vec<_> {
        let platform = crate::domain::rules::rutter_platform(name).expect("a platform");
        let want = Rutter::want(&declared(platform, &platform.parameters.iter().collect::<Vec<_>>())).expect("a want");
        let same = |r: &&Record<Have>| {
            r.have.as_ref().is_some_and(|have| matches!(Rutter::diff(&want, have, &[], None), Difference::None))
        };
        found.iter().filter(same).map(|r| r.id.clone()).collect()
    };
    assert_eq!((ids("STRIPE"), ids("EBAY")), (made[..2].to_vec(), made[2..].to_vec()));
}
