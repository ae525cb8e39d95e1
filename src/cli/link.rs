//! `chalkstream link ID`

use clap::Args;
use serde_json::json;

use super::server_args::ServerArgs;
use crate::args::GlobalArgs;
use crate::exit::{CommandError, CommandResult};
use crate::ui::output;

/// Arguments of `link`.
#[derive(Args)]
pub struct LinkArgs {
    /// Id of the recording.
    id: String,
    /// Id of the viewer on the platform.
    #[arg(long, default_value = "operator")]
    viewer: String,
    /// Validity: 90s, 15m, 12h, 2d [default: playback.link_ttl_s].
    #[arg(long, value_parser = seconds)]
    expires: Option<u64>,
    /// Maximum bandwidth of the stream, in bits per second [default: no limit].
    #[arg(long, value_name = "N")]
    max_bps: Option<u64>,
    /// Start of the part that may be watched, in ms [default: the beginning].
    #[arg(long, value_name = "MS")]
    start_ms: Option<u64>,
    /// End of the part that may be watched, in ms [default: the end].
    #[arg(long, value_name = "MS")]
    end_ms: Option<u64>,
    /// Allow the viewer to correct the transcript on the page.
    #[arg(long)]
    correct: bool,
    #[command(flatten)]
    server: ServerArgs,
}

/// Runs the command.
pub async fn run(global: &GlobalArgs, command: LinkArgs) -> CommandResult {
    let api = command.server.api(global)?;
    let mut request = json!({ "recording": command.id, "viewer": command.viewer });
    let optional = [
        ("expires_s", command.expires),
        ("max_bps", command.max_bps),
        ("start_ms", command.start_ms),
        ("end_ms", command.end_ms),
    ];
    for (name, value) in optional {
        if let Some(value) = value {
            request[name] = value.into();
        }
    }
    if command.correct {
        request["rights"] = json!(["correct"]);
    }
    let link = api.json(api.request(reqwest::Method::POST, "/v1/links").json(&request)).await?;
    if global.json {
        output::json(&link);
    } else {
        let url = link["url"].as_str();
        output::line(url.ok_or_else(|| CommandError::failed("link", "the server's response has no link"))?);
    }
    Ok(())
}

/// `90s`, `15m`, `12h`, `2d`, or seconds.
fn seconds(text: &str) -> Result<u64, String> {
    let (number, unit) = match text.char_indices().last() {
        Some((at, unit)) if unit.is_ascii_alphabetic() => (&text[..at], unit),
        _ => (text, 's'),
    };
    let factor = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return Err("use s, m, h or d, as in 15m".into()),
    };
    let number: u64 = number.parse().map_err(|_| "use an integer and a unit, as in 15m".to_owned())?;
    number.checked_mul(factor).filter(|s| *s > 0).ok_or_else(|| "out of range".into())
}

#[cfg(test)]
mod tests {
    use super::seconds;

    #[test]
    fn a_time_has_a_unit() {
        assert_eq!(seconds("15m"), Ok(900));
        assert_eq!(seconds("90"), Ok(90));
        assert_eq!(seconds("2d"), Ok(172_800));
        for bad in ["", "m", "0s", "-1s", "1.5h", "5y", "999999999999999999d"] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
    }
}
