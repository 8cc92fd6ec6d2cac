//! The proxies that are compared: one thread each for connections, on the same core, without an
//! access log.

use std::fmt::Write as _;
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::time::sleep;

use crate::client::{self, Target};
use crate::credentials::Credentials;

/// Where all proxies run. Two threads of a proxy would make CPU per message depend on the machine.
const CORE: &str = "1";

/// Tries of 100 ms each until a proxy must serve.
const TRIES: usize = 200;

/// Who is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Tidegate,
    Nginx,
    Haproxy,
    Envoy,
}

impl Kind {
    pub(crate) const ALL: [Self; 4] = [Self::Tidegate, Self::Nginx, Self::Haproxy, Self::Envoy];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Tidegate => "Tidegate",
            Self::Nginx => "nginx",
            Self::Haproxy => "HAProxy",
            Self::Envoy => "Envoy",
        }
    }

    const fn template(self) -> &'static str {
        match self {
            Self::Tidegate => include_str!("peer/tidegate.yaml"),
            Self::Nginx => include_str!("peer/nginx.conf"),
            Self::Haproxy => include_str!("peer/haproxy.cfg"),
            Self::Envoy => include_str!("peer/envoy.yaml"),
        }
    }
}

/// Where the programs are.
#[derive(Debug, clap::Args)]
pub(crate) struct Programs {
    /// Tidegate's command line, a release build.
    #[arg(long, default_value = "target/release/tidegate")]
    tidegate: PathBuf,
    /// nginx.
    #[arg(long, default_value = "nginx")]
    nginx: PathBuf,
    /// HAProxy.
    #[arg(long, default_value = "haproxy")]
    haproxy: PathBuf,
    /// Envoy.
    #[arg(long, default_value = "envoy")]
    envoy: PathBuf,
}

impl Programs {
    fn path(&self, kind: Kind) -> &Path {
        match kind {
            Kind::Tidegate => &self.tidegate,
            Kind::Nginx => &self.nginx,
            Kind::Haproxy => &self.haproxy,
            Kind::Envoy => &self.envoy,
        }
    }

    /// What a program says about its version.
    pub(crate) fn version(&self, kind: Kind) -> anyhow::Result<String> {
        let flag = match kind {
            Kind::Tidegate | Kind::Envoy => "--version",
            Kind::Nginx | Kind::Haproxy => "-v",
        };
        let output = Command::new(self.path(kind)).arg(flag).output();
        let output = output.with_context(|| format!("{} cannot be run", kind.name()))?;
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text);
        let is_version =
            |word: &&str| word.contains('.') && word.starts_with(|c: char| c.is_ascii_digit());
        let word = text.split([' ', '/', '\n']).find(is_version);
        Ok(word.unwrap_or("of unknown version").to_owned())
    }
}

/// What all of them serve.
pub(crate) struct Scene<'a> {
    pub(crate) programs: &'a Programs,
    pub(crate) backend: SocketAddr,
    pub(crate) credentials: &'a Credentials,
    pub(crate) dir: &'a Path,
}

/// A running proxy; killed when dropped.
pub(crate) struct Peer {
    pub(crate) kind: Kind,
    child: Child,
    config: PathBuf,
    /// Without TLS, with the subscription key.
    pub(crate) plain: Target,
    /// The same through TLS.
    pub(crate) secure: Target,
}

impl Peer {
    /// Starts one, and waits until it serves.
    pub(crate) async fn start(kind: Kind, scene: &Scene<'_>) -> anyhow::Result<Self> {
        let dir = tempfile::Builder::new()
            .prefix(kind.name())
            .tempdir_in(scene.dir)?
            .keep();
        let (plain, secure) = (free_port()?, free_port()?);
        let config = dir.join("config.yaml");
        let mut text = kind
            .template()
            .replace("PLAIN", &plain.port().to_string())
            .replace("SECURE", &secure.port().to_string())
            .replace("BACKEND", &scene.backend.to_string())
            .replace("HOST", &scene.backend.ip().to_string())
            .replace(
                "port_value: PORT",
                &format!("port_value: {}", scene.backend.port()),
            )
            .replace("DIR", &dir.display().to_string());
        if kind == Kind::Tidegate {
            write!(text, "\n{}", scene.credentials.manifests())?;
        }
        fs::write(&config, text)?;
        scene.credentials.write(&dir)?;
        let program = scene.programs.path(kind);
        // It is started in a directory of its own; a bare name is looked up in PATH.
        let program = match program.parent() {
            Some(parent) if parent != Path::new("") => std::path::absolute(program)?,
            _ => program.to_owned(),
        };
        let child = command(kind, &program, &dir, &config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .with_context(|| format!("failed to start {}", kind.name()))?;
        let plain = Target {
            headers: scene.credentials.key_header(),
            ..Target::plain(plain)
        };
        let secure = Target {
            address: secure,
            tls: Some(Arc::clone(&scene.credentials.client)),
            ..plain.clone()
        };
        let peer = Self {
            kind,
            child,
            config,
            plain,
            secure,
        };
        peer.ready().await?;
        Ok(peer)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Takes the access of all subscribers, as an edit of Tidegate's manifests.
    pub(crate) fn suspend(&self) -> anyhow::Result<()> {
        let text = fs::read_to_string(&self.config)?;
        let active = "kind: Subscription\nmetadata:\n  name: bench\nspec:\n";
        anyhow::ensure!(text.contains(active), "no subscription to suspend");
        let suspended = text.replace(active, &format!("{active}  state: Suspended\n"));
        // Renamed into place: a half-written file is not what is measured.
        let next = self.config.with_extension("next");
        fs::write(&next, suspended)?;
        fs::rename(next, &self.config)?;
        Ok(())
    }

    /// Asks it to end: SIGTERM.
    pub(crate) fn terminate(&self) -> anyhow::Result<()> {
        let status = Command::new("kill").arg(self.pid().to_string()).status()?;
        anyhow::ensure!(status.success(), "{} is gone already", self.kind.name());
        Ok(())
    }

    async fn ready(&self) -> anyhow::Result<()> {
        let mut last = None;
        for _ in 0..TRIES {
            match self.plain.open(64).await {
                Ok(stream) => return client::close(stream).await,
                Err(error) => last = Some(error),
            }
            sleep(Duration::from_millis(100)).await;
        }
        let error = last.context("not tried")?;
        Err(error.context(format!("{} does not serve", self.kind.name())))
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // nginx's master does not take its workers along when it is killed: asked, it does.
        let _ = self.terminate();
        for _ in 0..50 {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(kind: Kind, program: &Path, dir: &Path, config: &Path) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", CORE]).arg(program).current_dir(dir);
    match kind {
        Kind::Tidegate => command
            .args(["run", "--bind-address", "127.0.0.1"])
            .arg(dir),
        Kind::Nginx => command.arg("-p").arg(dir).arg("-c").arg(config),
        Kind::Haproxy => command.arg("-f").arg(config),
        Kind::Envoy => command
            .args([
                "--concurrency",
                "1",
                "--disable-hot-restart",
                "-l",
                "critical",
                "-c",
            ])
            .arg(config),
    };
    command
}

fn free_port() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?)
}
