//! `tradewind resolve`: a person's answer where nobody else can tell whose record it is.
//!
//! The answer names the object and the attempt that it is about, so that it never counts for another one.

use super::{
    Exit,
    cluster::{ScopeArgs, Typed},
    names::{ManagedKind, ManagedName},
    output::{OutputArgs, line},
    question::Question,
    refusal::BadInput,
    suspend,
};
use crate::{
    api::{
        keys,
        v1alpha1::{Connection, Declaration, DeletionPolicy, IntegrationInstance, Managed, ManagementPolicy, Provider},
    },
    domain::{decide::Resolution, ids::ExternalId, instances, intent::Creation},
};
use anyhow::bail;
use serde::Serialize;
use serde_json::json;

/// Say which record is an object's, where the operator cannot know and asks
///
/// Look at the provider first: an adopted record is managed from then on, and deleted with the object. The operator
/// still refuses a record that does not exist, or that another object holds, and asks that the account allows adoption.
#[derive(clap::Args, Debug)]
pub(super) struct Resolve {
    /// A Connection, or KIND/NAME such as ii/acme
    name: ManagedName,
    #[command(flatten)]
    answer: Answer,
    #[command(flatten)]
    scope: ScopeArgs,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(clap::Args, Debug)]
#[group(required = true, multiple = false)]
struct Answer {
    /// The record with this id is the object's
    #[arg(long, value_name = "ID", value_parser = record)]
    adopt: Option<ExternalId>,
    /// No record is the object's: create one, or, if the object is being deleted, let it go
    #[arg(long)]
    create_anew: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answered {
    kind: &'static str,
    namespace: String,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    adopt: Option<String>,
    create_anew: bool,
    /// Whether the answer is a new one.
    changed: bool,
    candidates: Vec<String>,
}

fn record(text: &str) -> Result<ExternalId, BadInput> {
    let id = ExternalId::new(text);
    if id.is_plain() { Ok(id) } else { Err(BadInput::new("an id is made of letters, digits and '_.:-'")) }
}

/// Refuses an id that no record of the provider can have: an answer with it would help nobody.
fn check_spelling(provider: Provider, id: &ExternalId) -> Result<(), BadInput> {
    if provider == Provider::SkuIo && instances::number(id.as_str()).is_none() {
        return Err(BadInput::new(format!("{id} is no id of SKU.io: write the number as SKU.io shows it, such as 42")));
    }
    Ok(())
}

impl Resolve {
    pub(super) async fn run(self, program: &str) -> anyhow::Result<Exit> {
        match self.name.kind {
            ManagedKind::Connection => self.answer::<Connection>(program).await,
            ManagedKind::IntegrationInstance => self.answer::<IntegrationInstance>(program).await,
        }
    }

    async fn answer<K: Managed + Typed>(self, program: &str) -> anyhow::Result<Exit> {
        let scope = self.scope.open(program).await?;
        let (name, namespace) = (&self.name.name, scope.namespace().to_owned());
        let object: K = scope.get(name).await?;
        let declared = object.declaration();
        self.answer.adopt.as_ref().map_or(Ok(()), |id| check_spelling(declared.provider(), id))?;
        let question = Question::of(&object, &declared);
        if !question.is_open() {
            bail!("{} {name} {}", K::TYPED.resource(), unasked(&question));
        }
        let resolution = self.answer.adopt.clone().map_or(Resolution::CreateAnew, Resolution::Adopt);
        let changed = question.answered().as_ref() != Some(&resolution);
        if changed {
            let body = json!({"metadata": {"annotations": {keys::RESOLVE: question.answer(&resolution)}}});
            scope.patch::<K>(name, &body).await?;
        }
        let answered = Answered {
            kind: K::TYPED.as_str(),
            namespace: namespace.clone(),
            name: name.clone(),
            adopt: self.answer.adopt.map(|id| id.to_string()),
            create_anew: self.answer.create_anew,
            changed,
            candidates: question.candidates().to_vec(),
        };
        let status = scope.caller().command(&format!("status {} -n {namespace}", K::TYPED.argument(name)));
        let then = Then::of(&declared, object.meta().deletion_timestamp.is_some());
        let told = format!("{}: {}", self.name, told(&answered, then, &suspend::resume::<K>(&scope, name)));
        self.output.print(&answered, || vec![line(told), line(format!("Follow it with: {status}"))])?;
        Ok(Exit::Done)
    }
}

/// Why there is nothing to answer, and what to do instead.
fn unasked(question: &Question) -> String {
    let says = question.ready().map(|c| format!(" It says {}: {}", c.reason, c.message)).unwrap_or_default();
    match question.creation() {
        Creation::Done(id) => format!("asks for no answer: its record is known to be {id}.{says}"),
        Creation::NotStarted => format!("asks for no answer: no create is open.{says}"),
        Creation::Pending(_) | Creation::Unverifiable(_) => {
            format!("asks for no answer yet: the operator is still looking. Wait for it.{says}")
        }
    }
}

/// What the operator does with an answer.
#[derive(Clone, Copy, Debug)]
enum Then {
    /// Deletes the record with the object.
    Delete,
    /// Lets the object go, and leaves every record.
    Leave,
    /// Nothing before it is resumed.
    Suspended,
    /// Never writes at the provider.
    Observe,
    /// Manages the record, or creates one.
    Manage,
}

impl Then {
    fn of(declared: &Declaration, deleting: bool) -> Self {
        let observes = declared.management_policy() == ManagementPolicy::ObserveOnly;
        match (deleting, declared.is_suspended()) {
            (true, _) if observes || declared.deletion_policy() == DeletionPolicy::Retain => Self::Leave,
            (true, _) => Self::Delete,
            (false, true) => Self::Suspended,
            (false, false) if observes => Self::Observe,
            (false, false) => Self::Manage,
        }
    }
}

/// `resume`: what lets the object go on, where it is suspended.
fn told(answered: &Answered, then: Then, resume: &str) -> String {
    let again = if answered.changed { "answered" } else { "was answered already" };
    let suspended = format!("It is suspended, and nothing is asked of the provider before it is resumed: {resume}");
    let let_go = "The operator lets the object go and deletes nothing.";
    let Some(id) = &answered.adopt else {
        let then = match then {
            Then::Manage => "The operator creates one.",
            Then::Observe => "It is only observed (managementPolicy: ObserveOnly), and the operator creates none.",
            Then::Suspended => &suspended,
            Then::Delete | Then::Leave => let_go,
        };
        return format!("{again}: no record is its own. {then}");
    };
    let then = match then {
        Then::Manage => "The operator looks at the record, then manages it from then on.",
        Then::Observe => {
            "The operator looks at the record, and only observes it from then on (managementPolicy: ObserveOnly)."
        }
        Then::Delete => "The operator looks at the record, then deletes it.",
        Then::Suspended => &suspended,
        Then::Leave => let_go,
    };
    let stray = if answered.candidates.contains(id) {
        String::new()
    } else {
        format!(" It is not among the candidates that the operator found: {}.", named(&answered.candidates))
    };
    format!("{again}: record {id} is its own.{stray} {then}")
}

fn named(candidates: &[String]) -> String {
    if candidates.is_empty() { "none".to_owned() } else { candidates.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::{Value, json};

    #[rstest]
    #[case::managed(json!({}), false, "The operator creates one.", "then manages it from then on.")]
    #[case::suspended(json!({"suspend": true}), false, "before it is resumed: RESUME", "before it is resumed: RESUME")]
    #[case::observed(
        json!({"managementPolicy": "ObserveOnly"}),
        false,
        "the operator creates none.",
        "only observes it from then on (managementPolicy: ObserveOnly)."
    )]
    #[case::deleted(json!({"suspend": true}), true, "lets the object go and deletes nothing.", "then deletes it.")]
    #[case::kept(json!({"deletionPolicy": "Retain"}), true, "and deletes nothing.", "and deletes nothing.")]
    #[case::deleted_and_observed(
        json!({"managementPolicy": "ObserveOnly"}),
        true,
        "and deletes nothing.",
        "and deletes nothing."
    )]
    fn what_follows_an_answer_is_what_the_operator_does(
        #[case] more: Value,
        #[case] deleting: bool,
        #[case] anew: &str,
        #[case] adopt: &str,
    ) {
        let mut spec = json!({"provider": "Rutter", "accountRef": {"name": "a"}});
        spec.as_object_mut().expect("a spec").extend(more.as_object().expect("fields").clone());
        let declared = Declaration::Connection(serde_json::from_value(spec).expect("a spec"));
        for (id, says) in [(None, anew), (Some("r-1"), adopt)] {
            let answered = Answered {
                kind: "Connection",
                namespace: "shop".into(),
                name: "acme".into(),
                adopt: id.map(str::to_owned),
                create_anew: id.is_none(),
                changed: true,
                candidates: vec!["r-1".into()],
            };
            let told = told(&answered, Then::of(&declared, deleting), "RESUME");
            assert!(told.ends_with(says), "{told}");
        }
    }
}
