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
};
use crate::{
    api::{
        keys,
        v1alpha1::{Connection, IntegrationInstance, Managed, Provider},
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
        self.answer.adopt.as_ref().map_or(Ok(()), |id| check_spelling(object.declaration().provider(), id))?;
        let question = Question::from(&object);
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
        let deleting = object.meta().deletion_timestamp.is_some();
        let told = format!("{}: {}", self.name, told(&answered, deleting));
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

fn told(answered: &Answered, deleting: bool) -> String {
    let again = if answered.changed { "answered" } else { "was answered already" };
    match (&answered.adopt, deleting) {
        (Some(id), _) => {
            let stray = if answered.candidates.contains(id) {
                String::new()
            } else {
                format!(" It is not among the candidates that the operator found: {}.", named(&answered.candidates))
            };
            let then = if deleting { "deletes it" } else { "manages it from then on" };
            format!("{again}: record {id} is its own. The operator looks at the record, then {then}.{stray}")
        }
        (None, false) => format!("{again}: no record is its own. The operator creates one."),
        (None, true) => format!("{again}: no record is its own. The operator lets the object go and deletes nothing."),
    }
}

fn named(candidates: &[String]) -> String {
    if candidates.is_empty() { "none".to_owned() } else { candidates.join(", ") }
}
