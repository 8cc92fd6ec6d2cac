//! Command line flags, and what follows from them. Pure.

use std::net::SocketAddr;

use clap::Parser;
use rand::Rng;
use tracing_subscriber::EnvFilter;

/// Tidegate's operator: turns Gateways, WebSocketApis, Products, Subscriptions and PolicyFragments
/// into the configuration that gateway pods serve.
#[derive(Clone, Debug, Parser)]
#[command(name = "tidegate-operator", version)]
pub struct Settings {
    /// Image of the gateway pods that the operator runs.
    #[arg(long, env = "TIDEGATE_GATEWAY_IMAGE", default_value = default_image())]
    pub gateway_image: String,

    /// Namespace of the operator, where its Lease is. Default: that of the pod, or of the kubeconfig.
    #[arg(long, env = "POD_NAMESPACE")]
    pub namespace: Option<String>,

    /// Namespaces to watch, separated by commas; permissions in these are enough. Default: all.
    #[arg(long, value_delimiter = ',', env = "TIDEGATE_WATCH_NAMESPACES")]
    pub watch_namespaces: Vec<String>,

    /// Address of /livez, /readyz and /metrics.
    #[arg(long, default_value = "0.0.0.0:8080")]
    pub admin_address: SocketAddr,

    /// Elect a leader among the replicas; false for a single replica.
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set, num_args = 0..=1, default_missing_value = "true")]
    pub leader_elect: bool,

    /// Name of the Lease of the leader election.
    #[arg(long, default_value = "tidegate-operator")]
    pub lease_name: String,

    /// Namespace of that Lease. Default: that of the operator.
    #[arg(long)]
    pub lease_namespace: Option<String>,

    /// Name of this replica. Default: the host name.
    #[arg(long, env = "POD_NAME")]
    pub pod_name: Option<String>,

    /// Log level: error, warn, info, debug, trace, or a filter such as `kube=debug,info`.
    #[arg(long, default_value = "info", env = "TIDEGATE_LOG_LEVEL", value_parser = log_level)]
    pub log_level: String,

    /// Write the log as JSON lines.
    #[arg(long)]
    pub log_json: bool,
}

const fn default_image() -> &'static str {
    concat!("tidegate-gateway:", env!("CARGO_PKG_VERSION"))
}

impl Settings {
    /// Name of this replica in Events and logs.
    pub(crate) fn replica(&self) -> String {
        let host = || {
            std::env::var("HOSTNAME")
                .ok()
                .filter(|name| !name.is_empty())
        };
        self.pod_name
            .clone()
            .or_else(host)
            .unwrap_or_else(|| "tidegate-operator".to_owned())
    }

    /// Name of this process in the leader election. A restarted container has the same pod name, but must not
    /// count as the leader that it was before.
    pub(crate) fn identity(&self) -> String {
        let process: u32 = rand::rng().random();
        format!("{}_{process:08x}", self.replica())
    }

    /// Namespace of the Lease; `own` is that of the client.
    pub(crate) fn lease_namespace(&self, own: &str) -> String {
        let given = self.lease_namespace.clone().or(self.namespace.clone());
        given.unwrap_or_else(|| own.to_owned())
    }
}

fn log_level(text: &str) -> Result<String, String> {
    tidegate_config::check_log_filter(text).map_err(|error| error.to_string())?;
    text.parse::<EnvFilter>()
        .map(|_| text.to_owned())
        .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn parse(arguments: &[&str]) -> Settings {
        let all = std::iter::once(&"tidegate-operator").chain(arguments);
        Settings::try_parse_from(all).unwrap()
    }

    #[test]
    fn the_documentation_lists_every_flag() {
        let page = include_str!("../../docs/operator.md");
        let documented: Vec<_> = page
            .lines()
            .filter(|line| line.starts_with("| `--"))
            .collect();
        let code = |text: Option<&str>| text.map_or(" ".to_owned(), |text| format!(" `{text}` "));
        let row = |argument: &clap::Arg| {
            let default = argument.get_default_values().first();
            let default = default.and_then(|value| value.to_str());
            let default = default.map(|text| text.replace(env!("CARGO_PKG_VERSION"), "VERSION"));
            // A switch has a default too, which nobody writes.
            let takes_value = argument.get_action().takes_values();
            format!(
                "|{}|{}|{}| {} |",
                code(Some(&format!("--{}", argument.get_long().unwrap()))),
                code(argument.get_env().and_then(|name| name.to_str())),
                code(default.as_deref().filter(|_| takes_value)),
                argument.get_help().unwrap(),
            )
        };
        let command = Settings::command();
        let arguments = command
            .get_arguments()
            .filter(|argument| argument.get_help().is_some());
        let own =
            arguments.filter(|argument| !matches!(argument.get_id().as_str(), "help" | "version"));
        assert_eq!(documented, own.map(row).collect::<Vec<_>>());
    }

    #[test]
    fn leader_election_is_on_unless_switched_off() {
        for (arguments, expected) in [
            (&[][..], true),
            (&["--leader-elect"], true),
            (&["--leader-elect=true"], true),
            (&["--leader-elect=false"], false),
            (&["--leader-elect", "false"], false),
        ] {
            assert_eq!(parse(arguments).leader_elect, expected, "{arguments:?}");
        }
    }

    #[test]
    fn the_lease_is_in_the_nearest_given_namespace() {
        for (arguments, expected) in [
            (&["--lease-namespace=l", "--namespace=o"][..], "l"),
            (&["--namespace=o"], "o"),
        ] {
            assert_eq!(
                parse(arguments).lease_namespace("own"),
                expected,
                "{arguments:?}"
            );
        }
    }

    #[test]
    fn a_misspelt_log_level_is_refused() {
        let parsed = Settings::try_parse_from(["tidegate-operator", "--log-level=inof"]);
        let refused = parsed.unwrap_err().to_string();
        assert!(refused.contains("\"inof\" is not a log level"), "{refused}");
    }

    #[test]
    fn namespaces_are_separated_by_commas() {
        let settings = parse(&["--watch-namespaces=a,b"]);
        assert_eq!(settings.watch_namespaces, ["a", "b"]);
    }

    #[test]
    fn a_restarted_pod_is_another_candidate() {
        let settings = parse(&["--pod-name=op-0"]);
        assert_ne!(settings.identity(), settings.identity());
        assert!(settings.identity().starts_with("op-0_"));
    }
}
