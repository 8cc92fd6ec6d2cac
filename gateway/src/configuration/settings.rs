//! Flags and environment of the binary, split by concern. No I/O, no defaults elsewhere.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use clap::{Args, Parser};
use tracing_subscriber::EnvFilter;

/// Tidegate's data plane: decides WebSocket handshakes and relays what follows.
#[derive(Clone, Debug, Parser)]
#[command(name = "tidegate-gateway", version)]
pub struct Settings {
    /// Which Gateway this is.
    #[command(flatten)]
    pub identity: Identity,
    /// Where it listens.
    #[command(flatten)]
    pub network: Network,
    /// What it keeps and reads on disk.
    #[command(flatten)]
    pub files: Files,
    /// Logging.
    #[command(flatten)]
    pub log: Log,
}

/// Which Gateway this process serves, and as which pod.
#[derive(Clone, Debug, Args)]
pub struct Identity {
    /// Name of the Gateway.
    #[arg(long, env = "TIDEGATE_GATEWAY", required_unless_present = "config_dir", value_parser = name)]
    pub gateway: Option<String>,
    /// Namespace of the Gateway.
    #[arg(long, env = "TIDEGATE_NAMESPACE", required_unless_present = "config_dir", value_parser = name)]
    pub namespace: Option<String>,
    /// Name of this pod; its Lease gets the same.
    #[arg(long, env = "TIDEGATE_POD_NAME", required_unless_present = "config_dir", value_parser = name)]
    pub pod_name: Option<String>,
    /// Uid of this pod: its Lease then goes when the pod goes.
    #[arg(long, env = "TIDEGATE_POD_UID", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub pod_uid: Option<String>,
}

/// Where it listens.
#[derive(Clone, Debug, Args)]
pub struct Network {
    /// Where /livez, /readyz, /metrics, /config, /status, /traces, /explain and /tunnels are served.
    #[arg(long, env = "TIDEGATE_ADMIN_ADDRESS", default_value = "0.0.0.0:9090")]
    pub admin_address: SocketAddr,
    /// Address that listeners bind; unset: all, IPv6 and IPv4.
    #[arg(long, env = "TIDEGATE_BIND_ADDRESS")]
    pub bind_address: Option<IpAddr>,
    /// Threads that serve connections; 0: one per core.
    #[arg(long, env = "TIDEGATE_WORKERS", default_value_t = 0, value_parser = clap::value_parser!(u16).range(..=1024))]
    pub workers: u16,
}

/// What it keeps and reads on disk.
#[derive(Clone, Debug, Args)]
pub struct Files {
    /// Directory that keeps the last good configuration for a start without the API server, and what quotas have counted.
    #[arg(long, env = "TIDEGATE_STATE_DIR")]
    pub state_dir: Option<PathBuf>,
    /// Directory with tokens of the pod's service account, for backendAuth and requests of policies: one file for each audience, named by the SHA-256 of the audience in hex, read again for each use.
    #[arg(long, env = "TIDEGATE_TOKEN_DIR")]
    pub token_dir: Option<PathBuf>,
    /// File with the token that /config, /status, /traces, /explain and /tunnels require; it is read again when it changes. Without it they refuse every request.
    #[arg(long, env = "TIDEGATE_ADMIN_TOKEN_FILE")]
    pub admin_token_file: Option<PathBuf>,
    /// Serve the rendered configuration in this directory instead of the cluster's.
    #[arg(long, env = "TIDEGATE_CONFIG_DIR", conflicts_with_all = ["gateway", "namespace", "pod_name", "pod_uid", "state_dir"])]
    pub config_dir: Option<PathBuf>,
}

/// Logging.
#[derive(Clone, Debug, Args)]
pub struct Log {
    /// Which log lines are written: error, warn, info, debug, trace, or a list of TARGET=LEVEL.
    #[arg(long, env = "TIDEGATE_LOG_LEVEL", default_value = "info", value_parser = log_level)]
    pub log_level: String,
}

/// Kubernetes' names: nothing that could lead a request elsewhere.
fn name(text: &str) -> Result<String, &'static str> {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.';
    let inside = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    if bytes.len() <= 253
        && bytes.iter().copied().all(allowed)
        && inside(bytes.first())
        && inside(bytes.last())
    {
        Ok(text.to_owned())
    } else {
        Err(
            "a name has lower-case letters, digits, - and . only, and begins and ends with a letter or digit",
        )
    }
}

fn log_level(text: &str) -> Result<String, String> {
    tidegate_config::check_log_filter(text).map_err(|error| error.to_string())?;
    EnvFilter::try_new(text)
        .map(|_| text.to_owned())
        .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn parse(arguments: &str) -> Result<Settings, clap::Error> {
        Settings::try_parse_from(["tidegate-gateway"].into_iter().chain(arguments.split(' ')))
    }

    #[test]
    fn a_pod_needs_no_more_than_its_names() {
        let settings = parse("--gateway edge --namespace shop --pod-name edge-1").unwrap();
        assert_eq!(settings.identity.gateway.as_deref(), Some("edge"));
        assert_eq!(settings.network.admin_address.port(), 9090);
        assert_eq!(settings.network.bind_address, None);
        assert_eq!(settings.network.workers, 0);
    }

    #[test]
    fn a_directory_replaces_the_cluster() {
        let settings = parse("--config-dir /etc/edge --admin-address 127.0.0.1:0").unwrap();
        assert_eq!(settings.files.config_dir, Some(PathBuf::from("/etc/edge")));
    }

    #[test]
    fn the_documentation_lists_every_flag() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/gateway.md");
        let text = std::fs::read_to_string(path).unwrap();
        let documented: Vec<&str> = text
            .lines()
            .filter(|line| line.starts_with("| `--"))
            .collect();
        let command = Settings::command();
        let row = |argument: &clap::Arg| {
            let code = |text: &str| match text {
                "" => " ".to_owned(),
                text => format!(" `{text}` "),
            };
            let default = argument.get_default_values().first();
            format!(
                "|{}|{}|{}| {} |",
                code(&format!("--{}", argument.get_long().unwrap())),
                code(argument.get_env().unwrap().to_str().unwrap()),
                code(default.map_or("", |value| value.to_str().unwrap())),
                argument.get_help().unwrap(),
            )
        };
        let settings = command
            .get_arguments()
            .filter(|argument| argument.get_env().is_some());
        assert_eq!(documented, settings.map(row).collect::<Vec<_>>());
    }

    #[test]
    fn bad_settings_are_refused_by_name() {
        for (arguments, named) in [
            ("--gateway edge --namespace shop", "--pod-name"),
            ("--gateway a/b --namespace shop --pod-name p", "--gateway"),
            ("--gateway=-a --namespace shop --pod-name p", "--gateway"),
            ("--gateway e --namespace S --pod-name p", "--namespace"),
            ("--config-dir d --gateway edge", "--gateway"),
            ("--config-dir d --state-dir s", "--state-dir"),
            ("--config-dir d --workers 9999", "--workers"),
            ("--config-dir d --bind-address localhost", "--bind-address"),
            ("--config-dir d --admin-address 9090", "--admin-address"),
            ("--config-dir d --log-level =!", "--log-level"),
            ("--config-dir d --verbose", "--verbose"),
        ] {
            let error = parse(arguments).unwrap_err().to_string();
            assert!(error.contains(named), "{arguments}: {error}");
        }
    }
}
