//! `chalkstream revocation create|list|lift`

use chalkstream_store::{Revocation, RevocationCursor, Target};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::tenant::{authority, tenant_or_only};
use crate::args::GlobalArgs;
use crate::exit::{CommandError, CommandResult};
use crate::settings_source;
use crate::ui::output;

/// Revocations read at once.
const PAGE: usize = 10_000;

/// Subcommands of `revocation`.
#[derive(Subcommand)]
pub enum RevocationCommand {
    /// Revoke what was issued before now, on every server within five seconds.
    Create(RevocationTarget),
    /// List the revocations in force, newest first, or the one of a target.
    List(RevocationTarget),
    /// Lift a revocation: what was issued before it is valid again.
    Lift {
        /// Id of the revocation, as in the list.
        id: String,
        /// Id of the tenant [default: the only one].
        #[arg(long)]
        tenant: Option<String>,
    },
}

/// A target. Its id is stored as a hash, unless it is a recording's or key's.
#[derive(Args)]
pub struct RevocationTarget {
    /// Id of a link.
    #[arg(long, group = "target")]
    link: Option<String>,
    /// Id of a session.
    #[arg(long, group = "target")]
    session: Option<String>,
    /// A viewer.
    #[arg(long, group = "target")]
    viewer: Option<String>,
    /// Id of a recording.
    #[arg(long, group = "target")]
    recording: Option<String>,
    /// Id of an API key, or kid of a signing key.
    #[arg(long, group = "target")]
    key: Option<String>,
    /// Id of the tenant [default: the only one].
    #[arg(long)]
    tenant: Option<String>,
}

impl RevocationTarget {
    fn target(self) -> Option<Target> {
        let given = [
            self.link.map(Target::Link),
            self.session.map(Target::Session),
            self.viewer.map(Target::Viewer),
            self.recording.map(Target::Recording),
            self.key.map(Target::Key),
        ];
        given.into_iter().flatten().next()
    }
}

/// Runs the command.
pub async fn run(global: &GlobalArgs, command: RevocationCommand) -> CommandResult {
    let authority = authority(global).await?;
    match command {
        RevocationCommand::Create(mut asked) => {
            let tenant = tenant_or_only(&authority, asked.tenant.take())?;
            let target = asked.target().ok_or_else(|| {
                CommandError::usage("name one of --link, --session, --viewer, --recording and --key")
            })?;
            let life_s = settings_source::load_for_command(global)?.revocation_life_s();
            let revocation = authority.revoke(&tenant, &target, life_s).await?;
            print(global, &tenant, &[revocation]);
        }
        RevocationCommand::List(mut asked) => {
            let tenant = tenant_or_only(&authority, asked.tenant.take())?;
            if let Some(target) = asked.target() {
                let found: Vec<_> = authority.revocation(&tenant, &target).into_iter().collect();
                print(global, &tenant, &found);
                return Ok(());
            }
            let mut found = authority.revocations(&tenant, None, None, PAGE);
            while found.len() % PAGE == 0
                && let Some(last) = found.last()
            {
                let at_ms = u64::try_from(last.revoked_at.as_millisecond()).unwrap_or_default();
                let after = RevocationCursor { at_ms, id: last.id.clone() };
                let page = authority.revocations(&tenant, None, Some(&after), PAGE);
                if page.is_empty() {
                    break;
                }
                found.extend(page);
            }
            print(global, &tenant, &found);
        }
        RevocationCommand::Lift { id, tenant } => {
            let tenant = tenant_or_only(&authority, tenant)?;
            authority.lift(&tenant, &id).await?;
            if global.json {
                output::json(&json!({ "lifted": id }));
            } else {
                output::line(&format!("{id} is lifted"));
            }
        }
    }
    Ok(())
}

fn print(global: &GlobalArgs, tenant: &str, revocations: &[Revocation]) {
    if global.json {
        let all: Vec<Value> = revocations.iter().map(document).collect();
        output::json(&json!({ "tenant": tenant, "revocations": all }));
        return;
    }
    for revocation in revocations {
        let until = revocation.until.map_or_else(|| "until lifted".to_owned(), |until| until.to_string());
        let target = revocation.target.clone().unwrap_or_default();
        output::line(
            &[&revocation.id, &revocation.revoked_at.to_string(), &until, &target]
                .map(String::as_str)
                .join("\t"),
        );
    }
}

fn document(revocation: &Revocation) -> Value {
    json!({
        "id": revocation.id,
        "kind": revocation.kind,
        "target": revocation.target,
        "revoked_at": revocation.revoked_at,
        "issued_before": revocation.issued_before,
        "ends_at": revocation.until,
    })
}
