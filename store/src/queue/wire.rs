//! Between our types and the plain strings the scripts take and give.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use super::types::*;
use crate::failure::Failure;
use crate::step::{StepRecord, StepSpec, StepState};
use crate::{Error, Result};

/// Most bytes of a step's input or result: they live in Redis until the job is over.
const MAX_VALUE_BYTES: usize = 8 << 20;

/// The fields of a job's hash.
pub(super) type Fields = HashMap<String, String>;

pub(super) fn job_id(tenant: &str, recording: &str) -> String {
    format!("{tenant}/{recording}")
}

pub(super) fn json(value: &Value) -> Result<String> {
    let text = value.to_string();
    if text.len() > MAX_VALUE_BYTES {
        return Err(Error::invalid("a step's input or result is too large"));
    }
    Ok(text)
}

/// The name of a step or of a capability becomes a field and part of a list's entry.
fn check_step_name(name: &str) -> Result<()> {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-';
    if (1..=64).contains(&name.len()) && name.bytes().all(plain) {
        Ok(())
    } else {
        Err(Error::invalid("not a step name"))
    }
}

/// Appends the count and the ten arguments of each step. `kept` holds what a job that is put
/// together again keeps: results of finished steps, causes of optional ones that failed.
pub(super) fn push_steps(
    args: &mut Vec<String>,
    steps: &[StepSpec],
    kept: Option<&BTreeMap<String, StepRecord>>,
) -> Result<()> {
    args.push(steps.len().to_string());
    for step in steps {
        check_step_name(&step.name)?;
        step.needs.iter().try_for_each(|need| check_step_name(need))?;
        args.push(step.name.clone());
        args.push(step.needs.join(" "));
        args.push(u8::from(step.optional).to_string());
        args.push(step.priority.to_string());
        args.push(json(&step.input)?);
        step.requires.iter().try_for_each(|capability| check_step_name(capability))?;
        args.push(step.requires.join(" "));
        args.push(step.cost_ms.to_string());
        let record = kept.and_then(|kept| kept.get(&step.name));
        let (state, result, failure) = match record.map(|record| (record.state, record)) {
            Some((StepState::Done, record)) => {
                ("done", json(record.result.as_ref().unwrap_or(&Value::Null))?, String::new())
            }
            Some((StepState::Failed, record)) if record.optional => {
                let failure = record.failure.as_ref().and_then(|f| serde_json::to_string(f).ok());
                ("failed", String::new(), failure.unwrap_or_default())
            }
            _ => ("", String::new(), String::new()),
        };
        args.extend([state.to_string(), result, failure]);
    }
    Ok(())
}

/// The reply of the lease script.
pub(super) fn offer(reply: &[String]) -> Result<LeaseOffer> {
    let (kind, rest) = reply.split_first().ok_or_else(unreadable)?;
    match (kind.as_str(), rest) {
        ("none", _) => Ok(LeaseOffer::Nothing),
        ("paused", [for_ms, code]) => pause(for_ms, code)?.map(LeaseOffer::Paused).ok_or_else(unreadable),
        ("step", rest) => lease(rest).map(Box::new).map(LeaseOffer::Step),
        _ => Err(unreadable()),
    }
}

fn lease(reply: &[String]) -> Result<Lease> {
    let [tenant, recording, step, fence, attempt, optional, input, alone, needs @ ..] = reply else {
        return Err(unreadable());
    };
    let mut results = BTreeMap::new();
    for need in needs.chunks(3) {
        let [name, has, result] = need else { return Err(unreadable()) };
        let result = if has == "1" { Some(value(result)?) } else { None };
        results.insert(name.clone(), result);
    }
    Ok(Lease {
        tenant: tenant.clone(),
        recording: recording.clone(),
        step: step.clone(),
        fence: number(fence)?,
        attempt: number(attempt)?,
        optional: optional == "1",
        input: value(input)?,
        needs: results,
        alone: alone == "1",
    })
}

/// A pause; `None` if it is over.
pub(super) fn pause(for_ms: &str, code: &str) -> Result<Option<Pause>> {
    let for_ms: u64 = number(for_ms)?;
    Ok((for_ms > 0).then(|| Pause { for_ms, code: code.to_owned() }))
}

/// A row of the reply of the script that lists workers.
pub(super) fn worker(row: &[String]) -> Result<WorkerView> {
    let [name, failures, done, for_ms, code] = row else { return Err(unreadable()) };
    Ok(WorkerView {
        name: name.clone(),
        failures: number(failures)?,
        done: number(done)?,
        pause: pause(for_ms, code)?,
    })
}

/// A job of its hash; `None` of an empty one.
pub(super) fn job(fields: &Fields) -> Result<Option<JobView>> {
    if fields.is_empty() {
        return Ok(None);
    }
    let text = |name: &str| fields.get(name).cloned();
    let time = |name: &str| fields.get(name).map(|t| number(t)).transpose();
    let names = fields.get("names").ok_or_else(unreadable)?;
    Ok(Some(JobView {
        tenant: text("tenant").ok_or_else(unreadable)?,
        recording: text("recording").ok_or_else(unreadable)?,
        state: state(fields, "state")?,
        fence: time("fence")?.ok_or_else(unreadable)?,
        created_at_ms: time("created")?.unwrap_or_default(),
        finished_at_ms: time("finished")?,
        due_at_ms: time("due")?,
        failure: failure(fields, "failure")?,
        steps: names.split_ascii_whitespace().map(|name| step(fields, name)).collect::<Result<_>>()?,
    }))
}

/// The reply of the script that heals a job.
pub(super) fn health(reply: &[String]) -> Result<Option<JobHealth>> {
    let (text, finished, was_broken) = match reply {
        [] => return Ok(None),
        [state, finished, was_broken] => (state, finished, was_broken == "1"),
        _ => return Err(unreadable()),
    };
    let state = serde_json::from_value(Value::String(text.clone())).map_err(|_| unreadable())?;
    let finished_at_ms = Some(finished).filter(|at| !at.is_empty()).map(|at| number(at)).transpose()?;
    Ok(Some(JobHealth { state, finished_at_ms, was_broken }))
}

fn step(fields: &Fields, name: &str) -> Result<StepView> {
    let key = |field: &str| format!("{name}.{field}");
    let text = |field: &str| fields.get(&key(field));
    let progress = match (text("done"), text("total")) {
        (Some(done), Some(total)) => Some(Progress { done_ms: number(done)?, total_ms: number(total)? }),
        _ => None,
    };
    Ok(StepView {
        name: name.into(),
        state: state(fields, &key("state"))?,
        attempts: text("attempts").map_or(Ok(0), |t| number(t))?,
        losses: text("losses").map_or(Ok(0), |t| number(t))?,
        optional: text("optional").is_some_and(|t| t == "1"),
        priority: text("priority").map_or(Ok(0), |t| number(t))?,
        cost_ms: text("cost").map_or(Ok(0), |t| number(t))?,
        needs: text("needs")
            .map(|t| t.split_ascii_whitespace().map(String::from).collect())
            .unwrap_or_default(),
        worker: text("worker").cloned(),
        progress,
        note: text("note").map(|t| value(t)).transpose()?,
        requires: text("requires")
            .map(|t| t.split_ascii_whitespace().map(String::from).collect())
            .unwrap_or_default(),
        input: text("input").map_or(Ok(Value::Null), |t| value(t))?,
        result: text("result").map(|t| value(t)).transpose()?,
        failure: failure(fields, &key("failure"))?,
    })
}

fn state<S: serde::de::DeserializeOwned>(fields: &Fields, name: &str) -> Result<S> {
    let text = fields.get(name).ok_or_else(unreadable)?;
    serde_json::from_value(Value::String(text.clone())).map_err(|_| unreadable())
}

fn failure(fields: &Fields, name: &str) -> Result<Option<Failure>> {
    fields.get(name).map(|text| serde_json::from_str(text).map_err(|_| unreadable())).transpose()
}

fn value(text: &str) -> Result<Value> {
    serde_json::from_str(text).map_err(|_| unreadable())
}

fn number<N: std::str::FromStr>(text: &str) -> Result<N> {
    text.parse().map_err(|_| unreadable())
}

fn unreadable() -> Error {
    Error::corrupt("the queue holds something that cannot be read")
}
