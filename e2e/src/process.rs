//! A program as a process: its logs are kept and shown when the test fails.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, bail};

use crate::keeper;
use crate::wait::{WAIT_TIMEOUT, eventually};

/// Lines of each log that are shown.
const SHOWN: usize = 60;

/// A running program. Dropping it kills it.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    stdout: PathBuf,
    stderr: PathBuf,
}

impl Process {
    /// Starts `command`; `name` stands in errors and names the log files.
    pub fn spawn(name: &str, mut command: Command) -> anyhow::Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let base = keeper::directory()?.join(format!("{name}-{number}"));
        let (stdout, stderr) = (base.with_extension("out"), base.with_extension("err"));
        let child = command
            .stdin(Stdio::piped())
            .stdout(File::create(&stdout)?)
            .stderr(File::create(&stderr)?)
            .spawn()
            .with_context(|| format!("failed to start {}", command.get_program().display()))?;
        keeper::record(name, child.id())?;
        Ok(Self {
            name: name.to_owned(),
            child,
            stdout,
            stderr,
        })
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it printed so far.
    pub fn stdout(&self) -> String {
        read(&self.stdout)
    }

    /// What it printed to standard error so far.
    pub fn stderr(&self) -> String {
        read(&self.stderr)
    }

    /// The first line of its output or its log in which `find` finds something.
    pub async fn line<T>(
        &mut self,
        what: &str,
        find: impl Fn(&str) -> Option<T>,
    ) -> anyhow::Result<T> {
        let awaited = format!("{}: a line with {what}", self.name);
        eventually(&awaited, WAIT_TIMEOUT, async || {
            let ended = self.child.try_wait()?;
            let printed = self.stdout() + &self.stderr();
            match (printed.lines().find_map(&find), ended) {
                (Some(found), _) => Ok(found),
                (None, Some(status)) => bail!("it ended with {status}:\n{}", tail(&printed)),
                (None, None) => bail!("{}", tail(&printed)),
            }
        })
        .await
    }

    /// Ends its standard input.
    pub fn end_input(&mut self) {
        self.child.stdin = None;
    }

    /// Is it still there?
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Asks it to end (SIGTERM).
    pub fn terminate(&self) -> anyhow::Result<()> {
        self.signal("TERM")
    }

    /// Makes it hang (SIGSTOP).
    pub fn suspend(&self) -> anyhow::Result<()> {
        self.signal("STOP")
    }

    /// Lets it go on (SIGCONT).
    pub fn resume(&self) -> anyhow::Result<()> {
        self.signal("CONT")
    }

    fn signal(&self, signal: &str) -> anyhow::Result<()> {
        let pid = self.id().to_string();
        let status = Command::new("kill")
            .args([&format!("-{signal}"), &pid])
            .status()?;
        anyhow::ensure!(status.success(), "failed to signal {}", self.name);
        Ok(())
    }

    /// Waits for its end.
    pub async fn ended(&mut self, limit: Duration) -> anyhow::Result<ExitStatus> {
        eventually(&format!("{} ends", self.name), limit, async || {
            self.child.try_wait()?.context("still running")
        })
        .await
    }

    /// Kills it at once (SIGKILL), as a crash would.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.kill();
        // The test runner shows this only when the test failed.
        for (kind, log) in [("output", self.stdout()), ("log", self.stderr())] {
            if !log.is_empty() {
                println!("==> end of the {kind} of {}\n{}", self.name, tail(&log));
            }
        }
    }
}

fn read(path: &PathBuf) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}

fn tail(log: &str) -> String {
    let lines: Vec<_> = log.lines().collect();
    lines[lines.len().saturating_sub(SHOWN)..].join("\n")
}
