//! The variables that expressions read, and the state that policies keep between steps.
//!
//! The variables are filled in when the first expression is evaluated: most handshakes run none.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use http::{HeaderMap, HeaderName};
use serde_json::{Map, Value as Json, json};
use tidegate_config::UrlScheme;
use tidegate_expr::{TooBig, Value, Variables, from_json, mask, mask_beginning};
use tokio::time::Instant;

use super::counted::Counted;
use super::dry_run::DryRun;
use super::steps::Step;
use super::{Exchange, decoded_pairs};
use crate::counters::quota::ByteQuota;
use crate::counters::shared_counters::Lease;
use crate::credentials::token_source::IssuedToken;
use crate::refusal::Refusal;
use crate::tls::client_certificate::ClientCertificate;
use tidegate_tunnel::session::Reservation;

/// The named values that the steps of one scope see: its own and the wider scopes'.
#[derive(Debug)]
pub(crate) struct ScopeValues {
    pub(crate) values: Value,
    pub(crate) secrets: Vec<String>,
}

impl ScopeValues {
    /// From each name's text and whether it is secret.
    pub(crate) fn new(named: &BTreeMap<String, (String, bool)>) -> Self {
        let texts = named
            .iter()
            .map(|(name, (text, _))| (name.clone(), json!(text)));
        let secrets = named.values().filter(|(_, secret)| *secret);
        Self {
            values: from_json(Json::Object(texts.collect())),
            secrets: secrets.map(|(text, _)| text.clone()).collect(),
        }
    }
}

/// What policies keep between their steps.
#[derive(Debug, Default)]
pub(crate) struct Evaluation {
    variables: Variables,
    /// Are the variables that never change filled in?
    filled: bool,
    /// The named values that steps see now.
    scope: Option<Arc<ScopeValues>>,
    /// The scopes whose values were read, so that their secrets are masked.
    read: Vec<Arc<ScopeValues>>,
    /// What limits counted and hold for this handshake.
    pub(crate) counted: Counted,
    /// The quotas that count the bytes of its tunnel.
    pub(crate) byte_quotas: Vec<ByteQuota>,
    /// Permits of limits on live tunnels; the tunnel holds them until it ends.
    pub(crate) reservations: Vec<Reservation>,
    /// Such permits that pods share.
    pub(crate) leases: Vec<Lease>,
    /// Frames of onOpen, which the backend gets before the client's.
    pub(crate) opening_messages: Vec<u8>,
    /// When the handshake must be decided; none in tests of single policies.
    pub(crate) deadline: Option<Instant>,
    /// Status and message that onError sets instead of the refusal's.
    pub(crate) status: Option<(u16, Option<String>)>,
    /// The tokens that the backend gets.
    pub(crate) issued: Vec<IssuedToken>,
    /// The least that remains, for each header that says so.
    pub(crate) remaining: Vec<(HeaderName, u32)>,
    /// Notes of steps for the trace.
    pub(crate) notes: Vec<String>,
    /// Set for a dry run: it must not count or store anything.
    pub(crate) dry_run: Option<DryRun>,
    /// What its steps did so far, if a trace was requested.
    pub(crate) trace: Option<Vec<Step>>,
}

impl Evaluation {
    /// Is this a dry run?
    pub(crate) fn is_dry_run(&self) -> bool {
        self.dry_run.is_some()
    }

    /// A variable as it is now, without filling in any.
    pub(crate) fn variable(&self, name: &str) -> Value {
        self.variables.get(name)
    }

    /// The secret texts met so far.
    pub(crate) fn secrets(&self) -> &[String] {
        self.variables.secrets()
    }
}

impl Exchange {
    /// The variables, ready to be read.
    pub(crate) fn variables(&mut self) -> &Variables {
        if !self.evaluation.filled {
            self.fill();
        }
        let Evaluation {
            variables,
            scope,
            read,
            ..
        } = &mut self.evaluation;
        if let Some(scope) = scope
            && !read.last().is_some_and(|last| Arc::ptr_eq(last, scope))
        {
            variables.set("values", scope.values.clone());
            for secret in &scope.secrets {
                variables.add_secret(secret);
            }
            read.push(Arc::clone(scope));
        }
        variables
    }

    /// From here on steps see these named values.
    pub(crate) fn enter(&mut self, scope: &Arc<ScopeValues>) {
        if !self
            .evaluation
            .scope
            .as_ref()
            .is_some_and(|now| Arc::ptr_eq(now, scope))
        {
            self.evaluation.scope = Some(Arc::clone(scope));
        }
    }

    /// Masks the secrets of the scope that is entered, whether a step reads them or not.
    pub(crate) fn add_scope_secrets(&mut self) {
        let Evaluation {
            variables, scope, ..
        } = &mut self.evaluation;
        for secret in scope.iter().flat_map(|scope| &scope.secrets) {
            variables.add_secret(secret);
        }
    }

    /// Adds a note to the trace, if there is one.
    pub(crate) fn note(&mut self, text: String) {
        if self.evaluation.trace.is_some() {
            self.evaluation.notes.push(text);
        }
    }

    /// Keeps a value as `vars.NAME`.
    ///
    /// # Errors
    /// [`TooBig`]: the variables would be too large.
    pub(crate) fn keep_var(&mut self, name: &str, value: Value) -> Result<(), TooBig> {
        self.evaluation.variables.keep_var(name, value)
    }

    /// Keeps `vars.NAME`.
    pub(crate) fn set_var(&mut self, name: &str, value: Value) {
        self.evaluation.variables.set_var(name, value);
    }

    /// Keeps a verified token: `jwt`, and `vars.NAME` where a name is given.
    pub(crate) fn set_token(
        &mut self,
        header: Map<String, Json>,
        claims: Map<String, Json>,
        name: Option<&str>,
    ) {
        let token = from_json(json!({ "header": header, "claims": claims }));
        if let Some(name) = name {
            self.set_var(name, token.clone());
        }
        self.evaluation.variables.set("jwt", token);
    }

    /// Sets or removes `response`.
    pub(crate) fn set_response(&mut self, response: Option<(u16, &HeaderMap)>) {
        let response = response.map_or(
            Json::Null,
            |(status, headers)| json!({ "status": status, "headers": header_lists(headers) }),
        );
        self.evaluation
            .variables
            .set("response", from_json(response));
    }

    /// Sets `error`.
    pub(crate) fn set_error(&mut self, refusal: &Refusal) {
        let error = json!({
            "source": refusal.origin.as_str(),
            "reason": refusal.reason.as_str(),
            "message": self.masked(&refusal.message),
            "step": refusal.step,
        });
        self.evaluation.variables.set("error", from_json(error));
    }

    /// Brings `now` up to date.
    pub(crate) fn set_now(&mut self) {
        self.evaluation.variables.set_now(SystemTime::now());
    }

    /// Masks this text in everything that leaves the gateway.
    pub(crate) fn add_secret(&mut self, secret: &str) {
        self.evaluation.variables.add_secret(secret);
    }

    /// The text without any secret that this handshake's policies met.
    pub(crate) fn masked(&self, text: &str) -> String {
        mask(text, self.evaluation.variables.secrets())
    }

    /// The beginning of such a text, with at most `longest` bytes.
    pub(crate) fn masked_beginning(&self, text: &str, longest: usize) -> String {
        let secrets = self.evaluation.variables.secrets();
        let mut text = mask_beginning(text, secrets, longest);
        text.truncate(text.floor_char_boundary(longest));
        text
    }

    fn fill(&mut self) {
        let named = |namespace: &str, name: &str, display_name: &str| json!({ "namespace": namespace, "name": name, "displayName": display_name });
        let api = &self.api;
        let product = self.product.as_ref().map(|product| {
            named(
                &product.key.namespace,
                &product.key.name,
                &product.display_name,
            )
        });
        let subscription = self.subscription.as_ref().map(|subscription| {
            let key = &subscription.key;
            let mut fields = named(&key.namespace, &key.name, &subscription.display_name);
            fields["owner"] = json!(subscription.owner);
            fields
        });
        let mut api_fields = named(&api.key.namespace, &api.key.name, &api.display_name);
        api_fields["path"] = json!(api.path);
        let gateway = json!({ "namespace": self.gateway.namespace, "name": self.gateway.name });
        let request = self.request_fields();
        let client = self.client_fields();
        let variables = &mut self.evaluation.variables;
        for (name, value) in [
            ("request", request),
            ("client", client),
            ("api", api_fields),
            ("product", product.unwrap_or(Json::Null)),
            ("subscription", subscription.unwrap_or(Json::Null)),
            ("gateway", gateway),
        ] {
            variables.set(name, from_json(value));
        }
        variables.set_now(SystemTime::now());
        self.evaluation.filled = true;
    }

    fn scheme_name(&self) -> &'static str {
        match self.scheme {
            UrlScheme::Ws => "ws",
            UrlScheme::Wss => "wss",
        }
    }

    /// The client's host, with the port that its Host field names, if it names one.
    pub(crate) fn authority(&self) -> String {
        let field = self.request.headers.get(http::header::HOST);
        let field = field.and_then(|field| field.to_str().ok());
        let after_address =
            field.map(|field| field.rsplit_once(']').map_or(field, |(_, after)| after));
        let port = after_address.and_then(|text| text.split_once(':'));
        match port {
            Some((_, port)) if !port.is_empty() => format!("{}:{port}", self.host),
            _ => self.host.clone(),
        }
    }

    /// What the client asked for, as a URL.
    pub(crate) fn url(&self) -> String {
        let request = &self.request;
        let host = request.headers.get(http::header::HOST);
        let authority = host.map_or(self.host.clone().into(), |host| {
            String::from_utf8_lossy(host.as_bytes())
        });
        let query = request.raw_query.as_deref();
        let question = if query.is_some() { "?" } else { "" };
        let scheme = self.scheme_name();
        let query = query.unwrap_or_default();
        format!("{scheme}://{authority}{}{question}{query}", request.path)
    }

    fn request_fields(&self) -> Json {
        let request = &self.request;
        let raw_query = request.raw_query.as_deref();
        let raw_query = raw_query.unwrap_or_default();
        let mut query = Map::new();
        for (name, value) in decoded_pairs(raw_query) {
            push(&mut query, &name, &value);
        }
        let params = self
            .params
            .iter()
            .map(|(name, value)| (name.clone(), json!(value)));
        json!({
            "id": self.id,
            "method": request.method.as_str(),
            "scheme": self.scheme_name(),
            "host": self.host,
            "authority": self.authority(),
            "path": self.respelled.as_deref().unwrap_or(&request.path),
            "originalUrl": self.url(),
            "rawQuery": raw_query,
            "headers": header_lists(&request.headers),
            "query": query,
            "params": params.collect::<Map<_, _>>(),
            "subprotocols": subprotocols(&request.headers),
        })
    }

    fn client_fields(&self) -> Json {
        let client = &self.client;
        let tls = client.tls.as_ref();
        json!({
            "ip": client.ip.to_string(),
            "port": client.port,
            "tls": tls.map(|tls| json!({ "version": tls.version, "sni": tls.sni })),
            "certificate": client.certificate().map(ClientCertificate::fields),
        })
    }
}

/// The subprotocols a client offers, over all header lines (RFC 6455 §11.3.4).
pub(crate) fn subprotocols(headers: &HeaderMap) -> Vec<String> {
    let lines = headers.get_all(http::header::SEC_WEBSOCKET_PROTOCOL).iter();
    let lines = lines.map(|line| String::from_utf8_lossy(line.as_bytes()).into_owned());
    let split = |line: String| -> Vec<String> {
        let offered = line.split(',').map(str::trim);
        offered
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .collect()
    };
    lines.flat_map(split).collect()
}

fn header_lists(headers: &HeaderMap) -> Map<String, Json> {
    let mut lists = Map::new();
    for (name, value) in headers {
        push(
            &mut lists,
            name.as_str(),
            &String::from_utf8_lossy(value.as_bytes()),
        );
    }
    lists
}

fn push(lists: &mut Map<String, Json>, name: &str, value: &str) {
    match lists.get_mut(name) {
        Some(Json::Array(values)) => values.push(json!(value)),
        _ => {
            lists.insert(name.to_owned(), json!([value]));
        }
    }
}
