//! log and trace: a line of the gateway's log. `docs/logs.md` describes its fields.

#[cfg(test)]
mod tests;

use serde_json::{Map, Value};
use tidegate_config::policy::{self, LogField, Severity};

use super::Services;
use super::action::{Action, Compile, Now};
use super::compile::{Compiler, InvalidPolicy};
use super::expression::Text;
use crate::exchange::Exchange;
use crate::refusal::Refusal;

/// Longest text of a line, in bytes: clients choose part of it, and 17 of them must not fill disks.
const LONGEST_TEXT: usize = 1024;

/// The policy, compiled.
#[derive(Debug)]
pub(super) struct Log {
    message: Text,
    severity: Severity,
    fields: Vec<(String, Text)>,
    /// Name of the step.
    step: String,
    /// Is it trace? Then it costs nothing if it is not recorded.
    trace: bool,
}

impl Log {
    fn compile(policy: &policy::Log, compiler: &Compiler<'_>) -> Result<Self, InvalidPolicy> {
        let mut line = Self::line("log", &policy.message, &policy.fields, compiler)?;
        line.severity = policy.severity;
        Ok(line)
    }

    pub(super) fn tracing(
        policy: &policy::Trace,
        compiler: &Compiler<'_>,
    ) -> Result<Self, InvalidPolicy> {
        let mut line = Self::line("trace", &policy.message, &policy.fields, compiler)?;
        line.severity = policy.severity;
        line.trace = true;
        Ok(line)
    }

    fn line(
        policy: &str,
        message: &str,
        fields: &[LogField],
        compiler: &Compiler<'_>,
    ) -> Result<Self, InvalidPolicy> {
        let fields = fields.iter().enumerate().map(|(i, field)| {
            let value = compiler.text(&format!("{policy}.fields[{i}].value"), &field.value)?;
            Ok((field.name.clone(), value))
        });
        Ok(Self {
            message: compiler.text(&format!("{policy}.message"), message)?,
            severity: Severity::default(),
            fields: fields.collect::<Result<_, _>>()?,
            step: compiler.label.clone(),
            trace: false,
        })
    }

    fn write(&self, exchange: &Exchange, message: &str, fields: Option<&str>) {
        macro_rules! write {
            ($level:ident) => {
                tracing::$level!(
                    target: "tidegate::policy",
                    event = if self.trace { "trace" } else { "log" },
                    id = exchange.id,
                    step = self.step,
                    api = %exchange.api.key,
                    fields,
                    message,
                )
            };
        }
        match self.severity {
            Severity::Debug => write!(debug),
            Severity::Info => write!(info),
            Severity::Warn => write!(warn),
            Severity::Error => write!(error),
        }
    }
}

impl Compile for policy::Log {
    fn compile(&self, compiler: &Compiler<'_>) -> Result<Action, InvalidPolicy> {
        Log::compile(self, compiler).map(Action::now)
    }
}

impl Now for Log {
    fn run(&self, exchange: &mut Exchange, _: &Services) -> Result<(), Refusal> {
        let noted = self.trace && exchange.evaluation.trace.is_some();
        let read = is_read(self.severity);
        if self.trace && !noted && !read {
            return Ok(());
        }
        exchange.add_credentials();
        let message = shown(&self.message, exchange)?;
        let mut fields = Map::new();
        for (name, value) in &self.fields {
            fields.insert(name.clone(), Value::String(shown(value, exchange)?));
        }
        let fields = (!fields.is_empty()).then(|| Value::Object(fields).to_string());
        if read {
            self.write(exchange, &message, fields.as_deref());
        }
        if noted {
            exchange.note(message);
            fields.into_iter().for_each(|fields| exchange.note(fields));
        }
        Ok(())
    }
}

/// Are lines of this severity written?
fn is_read(severity: Severity) -> bool {
    macro_rules! is_read {
        ($level:ident) => {
            tracing::enabled!(target: "tidegate::policy", tracing::Level::$level)
        };
    }
    match severity {
        Severity::Debug => is_read!(DEBUG),
        Severity::Info => is_read!(INFO),
        Severity::Warn => is_read!(WARN),
        Severity::Error => is_read!(ERROR),
    }
}

/// The text as the log may show it: masked before it is cut, since half a secret is no match.
fn shown(text: &Text, exchange: &mut Exchange) -> Result<String, Refusal> {
    let text = text.render(exchange)?;
    let text = exchange.masked_beginning(&text, LONGEST_TEXT);
    // Where lines are written as plain text, a line end would start a line of the client's.
    Ok(text.replace(char::is_control, " "))
}
