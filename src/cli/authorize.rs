//! `tradewind authorize`: prints the link that a person has to open, out of the object's own connection Secret.
//!
//! The link goes to standard output and nowhere else. Never is one read from a Secret that is not the object's own, nor
//! one printed of which the object does not speak.

use super::{
    Exit,
    age::{now, since, until},
    authorization::{Ask, ask},
    cluster::{Scope, ScopeArgs, Typed},
    names::{Kind, ManagedKind, ObjectName},
    output::{OutputArgs, line},
    question::Question,
    refusal::{BadInput, Blocked, is_missing, may_pass},
};
use crate::{
    api::{
        connection_secret::{CONNECTION_ID, LINK_ATTEMPT, LINK_URL, label_of},
        keys,
        v1alpha1::{AuthorizationStatus, Connection, Managed, ManagedStatus},
    },
    domain::{conditions::Type, schedule, text},
};
use k8s_openapi::{api::core::v1::Secret, apimachinery::pkg::apis::meta::v1::Time};
use kube::{Api, ResourceExt};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use std::time::Duration;
use tokio::time::{Instant, interval};

/// How often a link is looked for. Looking takes the right to get the Secret; a watch would take more.
const RHYTHM: Duration = Duration::from_secs(1);

/// Print the link that a person has to open to authorize a connection
///
/// The link stands in the Secret that spec.connectionSecretRef names, and is read with your own rights. It goes to
/// standard output alone, and all words about it to standard error, so that it can be piped: tradewind authorize acme |
/// xargs open. Ends with 0 where there is a link to open, and with 4 where there is none.
#[derive(clap::Args, Debug)]
pub(super) struct Authorize {
    /// A Connection
    #[arg(value_parser = connection)]
    name: String,
    /// Wait until there is a link
    #[arg(long)]
    wait: bool,
    /// Wait no longer than this
    #[arg(long, default_value = "2m", value_parser = schedule::parse, value_name = "DURATION", requires = "wait")]
    timeout: Duration,
    #[command(flatten)]
    scope: ScopeArgs,
    #[command(flatten)]
    output: OutputArgs,
}

fn connection(text: &str) -> Result<String, BadInput> {
    let ObjectName { kind, name } = text.parse()?;
    match kind {
        Kind::Managed(ManagedKind::Connection) => Ok(name),
        Kind::Managed(ManagedKind::IntegrationInstance) | Kind::ProviderAccount | Kind::ClusterProviderAccount => {
            Err(BadInput::new("this is for connections: nobody authorizes anything else by a link"))
        }
    }
}

/// A link that can be opened.
struct Link {
    url: SecretString,
    expires_at: Option<Time>,
}

/// The one answer that has the link in it; it is printed and never logged.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'a> {
    kind: &'static str,
    namespace: &'a str,
    name: &'a str,
    url: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<&'a Time>,
}

/// Why there is no link to open.
#[derive(Debug, PartialEq, Eq)]
struct Refusal {
    what: String,
    /// The operator may yet write one by itself.
    passes: bool,
}

impl Refusal {
    fn lasting(what: impl Into<String>) -> Self {
        Self { what: what.into(), passes: false }
    }

    fn passing(what: impl Into<String>) -> Self {
        Self { what: what.into(), passes: true }
    }
}

impl Authorize {
    pub(super) async fn run(self, program: &str) -> anyhow::Result<Exit> {
        let scope = self.scope.open(program).await?;
        let (began, mut rhythm, mut told) = (Instant::now(), interval(RHYTHM), false);
        loop {
            rhythm.tick().await;
            let (object, looked) = match look(&scope, &self.name).await {
                // A look that failed on the way tells nothing of the link.
                Err(error) if told && may_pass(&error) && began.elapsed() < self.timeout => continue,
                looked => looked.map_err(|error| scope.explain(error, Connection::TYPED, &self.name))?,
            };
            let refusal = match looked {
                Ok(link) => return self.print(&object, scope.namespace(), &link),
                Err(refusal) => refusal,
            };
            let suspended = refusal.passes && object.spec.suspend;
            if !refusal.passes || suspended || !self.wait || began.elapsed() >= self.timeout {
                let next = match (refusal.passes, self.wait) {
                    _ if suspended => format!(
                        ". It is suspended, and none comes before it is resumed: {}",
                        scope.caller().command(&format!("resume {} -n {}", self.name, scope.namespace()))
                    ),
                    (true, true) => format!(". It was waited for {}s", self.timeout.as_secs()),
                    (true, false) => ". Wait for it with --wait".to_owned(),
                    (false, _) => String::new(),
                };
                return Err(Blocked::new(format!("connection {} {}{next}", self.name, refusal.what)).into());
            }
            if !told {
                self.output.note(&format!("connection/{}: waiting for a link", self.name));
                told = true;
            }
        }
    }

    fn print(&self, object: &Connection, namespace: &str, link: &Link) -> anyhow::Result<Exit> {
        let (name, url) = (self.name.as_str(), link.url.expose_secret());
        for told in words(object, link) {
            self.output.note(&told);
        }
        let answer = Answer { kind: "Connection", namespace, name, url, expires_at: link.expires_at.as_ref() };
        self.output.print(&answer, || vec![line(url)])?;
        Ok(Exit::Done)
    }
}

/// What to do with a link.
fn words(object: &Connection, link: &Link) -> [String; 2] {
    let now = now();
    let expires = link.expires_at.as_ref();
    let expires = expires.map(|at| format!(" It expires in {} ({}).", until(at.0, now), at.0)).unwrap_or_default();
    let what = format!(
        "connection/{}: whoever runs {} has to open this link in a browser, log in, and agree.{expires}",
        object.name_any(),
        store(object)
    );
    let care =
        "Whoever has the link can use it: hand it over in private. The operator sees by itself what becomes of it.";
    [what, care.to_owned()]
}

/// Whose store it is, as far as it is known.
fn store(object: &Connection) -> String {
    let (spec, status) = (&object.spec, object.status.as_ref());
    let of = |part: fn(&ManagedStatus) -> &Option<String>| status.and_then(|s| part(s).as_ref());
    let declared = spec.arcus.as_ref().and_then(|a| a.shop.as_ref());
    let host = spec.rutter.as_ref().and_then(|r| r.parameters.get("store_url")).map(|v| &v.0);
    let place = of(|s| &s.store_domain).or(declared).or(host);
    let platform = of(|s| &s.platform).or(spec.platform.as_ref());
    let store = match (of(|s| &s.store_name), place) {
        (Some(name), Some(place)) => format!("the store {name} ({place})"),
        (Some(name), None) | (None, Some(name)) => format!("the store {name}"),
        (None, None) => "the store".to_owned(),
    };
    let on = platform.map(|platform| format!(" on {platform}")).unwrap_or_default();
    format!("{store}{on}")
}

/// The object, and its link, or why there is none to open.
async fn look(scope: &Scope, name: &str) -> kube::Result<(Connection, Result<Link, Refusal>)> {
    let object: Connection = scope.api().get(name).await?;
    let link = match promised(&object, scope) {
        Ok((secret, link)) => link_in(scope, &object, &secret, link).await?,
        Err(refusal) => Err(refusal),
    };
    Ok((object, link))
}

/// The same of the Secret that it is to stand in.
async fn link_in(
    scope: &Scope,
    object: &Connection,
    secret: &str,
    link: Option<&AuthorizationStatus>,
) -> kube::Result<Result<Link, Refusal>> {
    let api: Api<Secret> = Api::namespaced(scope.client().clone(), scope.namespace());
    Ok(match api.get(secret).await {
        Ok(secret) => read(object, &secret, link),
        Err(error) if is_missing(&error) => {
            Err(Refusal::passing(format!("has no link yet: the operator has not written Secret {secret}")))
        }
        Err(kube::Error::Api(status)) if status.code == 403 => Err(Refusal::lasting(format!(
            "has its link in Secret {secret}, and you lack the right to get it ({}). Ask whoever runs the cluster for that \
             right, or have somebody run this who has it",
            status.message
        ))),
        Err(error) => return Err(error),
    })
}

/// The Secret that a link is to stand in, and what the object says of the link.
fn promised<'a>(object: &'a Connection, scope: &Scope) -> Result<(String, Option<&'a AuthorizationStatus>), Refusal> {
    let (now, declared) = (now(), object.declaration());
    match ask(object, &declared, &Question::of(object, &declared), now) {
        Ask::Open { secret, link } => Ok((secret, link)),
        Ask::Nothing => Err(unasked(object)),
        Ask::Leaving => Err(Refusal::lasting("is being deleted: nobody is to authorize it any more")),
        Ask::SomethingElse => {
            let what = format!("is not to be authorized before something else is put right. It says {}", says(object));
            Err(Refusal::lasting(what))
        }
        Ask::Expired(link) => {
            let ago = since(&link.expires_at, now);
            Err(Refusal::passing(format!(
                "has no link that works: the last one expired {ago} ago, and the operator has yet to make another"
            )))
        }
        Ask::Request(why) => {
            let command = scope.caller().command(&format!("reconcile {} -n {}", object.name_any(), scope.namespace()));
            Err(Refusal::lasting(format!("has no link that works: {why}. Run it so: {command}")))
        }
        Ask::Elsewhere(why) => Err(Refusal::lasting(format!("is not authorized by a link: {why}"))),
        Ask::Nowhere(why) => Err(Refusal::lasting(why)),
    }
}

/// Why nobody is asked to authorize.
fn unasked(object: &Connection) -> Refusal {
    let conditions = object.status.as_ref().map(|s| s.conditions.as_slice()).unwrap_or_default();
    let is = |kind: Type| conditions.iter().any(|c| c.type_ == kind.to_string() && c.status == "True");
    if is(Type::Authorized) {
        Refusal::lasting(format!("needs no authorization: somebody has authorized it. It says {}", says(object)))
    } else if is(Type::Ready) {
        Refusal::lasting(format!("needs no authorization. It says {}", says(object)))
    } else {
        Refusal::passing(format!("asks for no authorization yet. It says {}", says(object)))
    }
}

/// What the object says of itself, without a full stop.
fn says(object: &Connection) -> String {
    let conditions = object.status.as_ref().map(|s| s.conditions.as_slice()).unwrap_or_default();
    let ready = conditions.iter().find(|c| c.type_ == Type::Ready.to_string());
    ready.map_or_else(|| "nothing".to_owned(), |c| format!("{}: {}", c.reason, c.message))
}

/// The link in a Secret, if the Secret is the object's own and the link is the one that the object speaks of.
fn read(object: &Connection, secret: &Secret, link: Option<&AuthorizationStatus>) -> Result<Link, Refusal> {
    let name = secret.name_any();
    own(object, secret)?;
    let held = |key: &str| {
        let value = secret.data.as_ref().and_then(|data| data.get(key));
        value.map(|value| String::from_utf8_lossy(&value.0).into_owned())
    };
    // A link comes into the Secret after its expiry has come into the status.
    if held(LINK_ATTEMPT) != link.map(|link| link.attempt.to_string()) {
        return Err(Refusal::passing(format!("has no link yet: what Secret {name} holds is of another attempt")));
    }
    let known = object.status.as_ref().and_then(|status| status.external_id.clone());
    if held(CONNECTION_ID).is_some_and(|id| known.as_ref() != Some(&id)) {
        return Err(Refusal::passing(format!("has no link yet: what Secret {name} holds is of another record")));
    }
    let Some(url) = held(LINK_URL) else {
        return Err(Refusal::passing(format!("has no link yet: Secret {name} has no key {LINK_URL}")));
    };
    if !text::is_link(&url) {
        return Err(Refusal::lasting(format!(
            "has no link: what Secret {name} holds under {LINK_URL} is no web address"
        )));
    }
    Ok(Link { url: SecretString::from(url), expires_at: link.map(|link| link.expires_at.clone()) })
}

/// Whether a Secret is the object's own: somebody else may have made one under the name.
fn own(object: &Connection, secret: &Secret) -> Result<(), Refusal> {
    let name = secret.name_any();
    let controller = secret.owner_references().iter().find(|owner| owner.controller == Some(true));
    let label = secret.labels().get(keys::CONNECTION_LABEL);
    let owner = match (controller, label) {
        (Some(owner), _) if object.uid().as_ref() == Some(&owner.uid) => return Ok(()),
        (Some(owner), _) => format!("belongs to {} {}", owner.kind, owner.name),
        // As after a restore; the operator takes it over, and writes it anew.
        (None, Some(label)) if *label == label_of(&object.name_any()) => {
            let what = format!("has no link yet: Secret {name} is not taken over by the operator yet");
            return Err(Refusal::passing(what));
        }
        (None, Some(label)) => format!("belongs to connection {label}"),
        (None, None) => "was written by somebody else".to_owned(),
    };
    Err(Refusal::lasting(format!(
        "has no link: Secret {name} {owner}, and is not read. Name another one in connectionSecretRef, or delete it"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::{Value, json};

    const URL: &str = "https://link.example.com/test-link?state=test-canary-77aa&x=1";

    fn object(status: &Value) -> Connection {
        serde_json::from_value(json!({
            "apiVersion": "tradewind.dev/v1alpha1", "kind": "Connection", "metadata": {"name": "acme", "uid": "u"},
            "spec": {"provider": "Rutter", "accountRef": {"name": "a"}, "connectionSecretRef": {"name": "s"}},
            "status": status,
        }))
        .expect("a Connection")
    }

    fn secret(metadata: &Value, data: &[(&str, &str)]) -> Secret {
        let mut secret: Secret = serde_json::from_value(json!({"metadata": metadata})).expect("a Secret");
        secret.metadata.name = Some("s".to_owned());
        let bytes = |text: &str| k8s_openapi::ByteString(text.as_bytes().to_vec());
        secret.data = Some(data.iter().map(|(key, value)| ((*key).to_owned(), bytes(value))).collect());
        secret
    }

    fn owner(uid: &str, controller: bool) -> Value {
        json!([{"apiVersion": "v1", "kind": "Connection", "name": "other", "uid": uid, "controller": controller}])
    }

    /// What is read, or the refusal; nothing that is refused repeats what the Secret holds.
    fn told(secret: &Secret, link: Option<&AuthorizationStatus>) -> String {
        match read(&object(&json!({"externalId": "r-1"})), secret, link) {
            Ok(link) => link.url.expose_secret().to_owned(),
            Err(refusal) => {
                assert!(!refusal.what.contains("canary"), "{refusal:?}");
                format!("{} {}", if refusal.passes { "passes:" } else { "lasts:" }, refusal.what)
            }
        }
    }

    #[rstest]
    #[case::own(json!({"ownerReferences": owner("u", true)}), URL)]
    #[case::of_another_label(
        json!({"ownerReferences": owner("u", true), "labels": {"tradewind.dev/connection": "other"}}),
        URL
    )]
    #[case::nobodys(json!({}), "lasts: has no link: Secret s was written by somebody else")]
    #[case::anothers(json!({"ownerReferences": owner("v", true)}), "lasts: has no link: Secret s belongs to Connection other")]
    #[case::anothers_labelled_as_ours(
        json!({"ownerReferences": owner("v", true), "labels": {"tradewind.dev/connection": "acme"}}),
        "lasts: has no link: Secret s belongs to Connection other"
    )]
    #[case::anothers_by_label(
        json!({"labels": {"tradewind.dev/connection": "other"}}),
        "lasts: has no link: Secret s belongs to connection other"
    )]
    #[case::owned_and_not_controlled(json!({"ownerReferences": owner("u", false)}), "lasts: has no link: Secret s was")]
    #[case::restored(json!({"labels": {"tradewind.dev/connection": "acme"}}), "passes: has no link yet: Secret s is not taken")]
    fn a_link_is_read_from_the_objects_own_secret_alone(#[case] metadata: Value, #[case] says: &str) {
        let told = told(&secret(&metadata, &[(LINK_URL, URL)]), None);
        assert!(told.starts_with(says), "{told}");
    }

    #[test]
    fn a_label_is_the_name_as_the_operator_cuts_it() {
        let name = "a".repeat(64);
        let mut object = object(&json!({}));
        object.metadata.name = Some(name.clone());
        let labelled =
            |label: &str| secret(&json!({"labels": {"tradewind.dev/connection": label}}), &[(LINK_URL, URL)]);
        let restored = own(&object, &labelled(&name[..63])).expect_err("a refusal");
        assert!(restored.passes && restored.what.contains("is not taken over by the operator yet"), "{restored:?}");
        let other = own(&object, &labelled(&name[..62])).expect_err("a refusal");
        assert!(!other.passes && other.what.contains("belongs to connection a"), "{other:?}");
    }

    #[rstest]
    #[case::none(&[], None, "passes: has no link yet: Secret s has no key link_url")]
    #[case::this_attempt(&[(LINK_URL, URL), (LINK_ATTEMPT, "2")], Some(2), URL)]
    #[case::last_attempt(&[(LINK_URL, URL), (LINK_ATTEMPT, "1")], Some(2), "passes: has no link yet: what Secret s holds is of another attempt")]
    #[case::unnumbered(&[(LINK_URL, URL)], Some(2), "passes: has no link yet: what Secret s holds is of another attempt")]
    #[case::unannounced(&[(LINK_URL, URL), (LINK_ATTEMPT, "1")], None, "passes: has no link yet: what Secret s holds is of another attempt")]
    #[case::this_record(&[(LINK_URL, URL), (CONNECTION_ID, "r-1")], None, URL)]
    #[case::last_record(&[(LINK_URL, URL), (CONNECTION_ID, "r-0")], None, "passes: has no link yet: what Secret s holds is of another record")]
    #[case::empty(&[(LINK_URL, "")], None, "lasts: has no link: what Secret s holds under link_url is no web address")]
    #[case::script(&[(LINK_URL, "javascript:test-canary-77aa")], None, "lasts: has no link: what")]
    #[case::file(&[(LINK_URL, "file:///test-canary-77aa")], None, "lasts: has no link: what")]
    #[case::option(&[(LINK_URL, "--test-canary-77aa")], None, "lasts: has no link: what")]
    #[case::two(&[(LINK_URL, "https://a.example.com\nhttps://test-canary-77aa.example.com")], None, "lasts: has no link: what")]
    #[case::escape(&[(LINK_URL, "https://a.example.com/\u{1b}[2Jtest-canary-77aa")], None, "lasts: has no link: what")]
    fn a_link_is_one_that_the_object_speaks_of(
        #[case] data: &[(&str, &str)],
        #[case] attempt: Option<i64>,
        #[case] says: &str,
    ) {
        let link =
            attempt.map(|attempt| AuthorizationStatus { expires_at: Time(jiff::Timestamp::UNIX_EPOCH), attempt });
        let told = told(&secret(&json!({"ownerReferences": owner("u", true)}), data), link.as_ref());
        assert!(told.starts_with(says), "{told}");
    }

    #[test]
    fn what_the_operator_takes_for_no_link_is_none() {
        let endless = format!("https://a.example.com/test-canary-77aa{}", "x".repeat(9000));
        let told = told(&secret(&json!({"ownerReferences": owner("u", true)}), &[(LINK_URL, &endless)]), None);
        assert!(told.starts_with("lasts: has no link: what Secret s holds under link_url is no web address"), "{told}");
    }

    #[rstest]
    #[case::nothing_known(json!({}), "the store")]
    #[case::platform(json!({"platform": "SHOPIFY"}), "the store on SHOPIFY")]
    #[case::all(
        json!({"platform": "SHOPIFY", "storeName": "Acme", "storeDomain": "acme.example.com"}),
        "the store Acme (acme.example.com) on SHOPIFY"
    )]
    fn the_store_is_named_as_far_as_it_is_known(#[case] status: Value, #[case] says: &str) {
        assert_eq!(store(&object(&status)), says);
    }
}
