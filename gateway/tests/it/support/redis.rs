//! A real Redis (or Valkey) that tests start, kill and start again.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tidegate_config::OnFailure;

use crate::support::port::FreePort;
use crate::support::within;

/// Files in its directory.
const CHAIN: &str = "chain.pem";
const KEY: &str = "key.pem";

/// A server on 127.0.0.1 that keeps nothing on disk.
pub(crate) struct Redis {
    program: &'static str,
    port: FreePort,
    process: Child,
    directory: tempfile::TempDir,
    tls: bool,
}

impl Redis {
    /// Starts one. `None` where there is none to start, which is an error with `CI=true`.
    pub(crate) async fn start() -> Option<Self> {
        Self::start_as(None).await
    }

    /// Starts one that speaks TLS only and shows this certificate (chain and key in PEM).
    pub(crate) async fn start_with_tls(certificate: &(String, String)) -> Option<Self> {
        Self::start_as(Some(certificate)).await
    }

    async fn start_as(certificate: Option<&(String, String)>) -> Option<Self> {
        let installed = |program: &&str| {
            let version = Command::new(program).arg("--version").output();
            version.is_ok_and(|output| output.status.success())
        };
        let Some(program) = ["valkey-server", "redis-server"]
            .into_iter()
            .find(installed)
        else {
            let text = "SKIPPED: neither valkey-server nor redis-server is installed";
            assert!(std::env::var("CI").as_deref() != Ok("true"), "{text}");
            eprintln!("{text}");
            return None;
        };
        let directory = tempfile::tempdir().unwrap();
        let port = FreePort::new();
        if let Some((chain, key)) = certificate {
            std::fs::write(directory.path().join(CHAIN), chain).unwrap();
            std::fs::write(directory.path().join(KEY), key).unwrap();
        }
        let tls = certificate.is_some();
        let process = run(program, port.number(), directory.path(), tls);
        let redis = Self {
            tls,
            program,
            port,
            process,
            directory,
        };
        redis.answering().await;
        Some(redis)
    }

    pub(crate) fn url(&self) -> String {
        match self.tls {
            true => format!("rediss://localhost:{}", self.port.number()),
            false => format!("redis://127.0.0.1:{}", self.port.number()),
        }
    }

    /// As a crash.
    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// After a crash; empty.
    pub(crate) async fn restart(&mut self) {
        self.process = run(
            self.program,
            self.port.number(),
            self.directory.path(),
            self.tls,
        );
        self.answering().await;
    }

    /// What a command says.
    pub(crate) async fn command<T: redis::FromRedisValue>(&self, words: &[&str]) -> T {
        let client = redis::Client::open(self.url()).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]);
        command.query_async(&mut connection).await.unwrap()
    }

    async fn answering(&self) {
        let connected = async {
            while tokio::net::TcpStream::connect(("127.0.0.1", self.port.number()))
                .await
                .is_err()
            {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        within("the Redis server", connected).await;
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn run(program: &str, port: u16, directory: &std::path::Path, tls: bool) -> Child {
    let port = port.to_string();
    let listening: &[&str] = match tls {
        true => &[
            "--port",
            "0",
            "--tls-port",
            &port,
            "--tls-cert-file",
            CHAIN,
            "--tls-key-file",
            KEY,
            "--tls-auth-clients",
            "no",
        ],
        false => &["--port", &port],
    };
    Command::new(program)
        .current_dir(directory)
        .args(["--bind", "127.0.0.1"])
        .args(listening)
        .args(["--save", "", "--appendonly", "no", "--dir"])
        .arg(directory)
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

/// What a Gateway says to count there.
pub(crate) fn counters(url: &str, on_failure: OnFailure) -> tidegate_config::CountersConfig {
    tidegate_config::CountersConfig {
        url: tidegate_config::ResolvedValue::Plain(url.to_owned()),
        authorities: Vec::new(),
        on_failure,
    }
}
