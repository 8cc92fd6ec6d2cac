//! What objects name: Secrets, ConfigMaps, and what is in them.

use k8s_openapi::api::core::v1::Secret;
use serde_json::{Value, json};
use tidegate_config::{ResolvedValue, SecretDataId};

use crate::support::{
    Builder, api_reasons, api_verdict, certificate, edge, empty, key, pair, public_key, reasons,
    served, text_map,
};

/// Made with `openssl genrsa 1024 | openssl rsa -pubout`.
const WEAK_RSA_KEY: &str = "\
-----BEGIN PUBLIC KEY-----
MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQC3O4VqQ705FhAZs36+OF4jbzr3
5qOdHe7GsxrMZxgPLYl8w0UoIKbW+MdoXbtTgmKiscN9ie4d2LvbZpn4CCJH/xjL
tLMRua6TQ2uGXVAAiIvVuEgmApTfQWI/DqdnlErCa4i0yMt/pxqXovHXPPiwZuDb
qVO7Vka2hyKZ4KbikQIDAQAB
-----END PUBLIC KEY-----
";

fn proxy(credentials: &str) -> Value {
    json!({"backend": {"url": "ws://chat", "proxy": {
        "url": "http://proxy:3128", "credentialsRef": credentials,
    }}})
}

fn jwt(secret_key_ref: Value) -> Value {
    json!({"onHandshake": {"inbound": [{"validateJwt": {"keys": [{"secretKeyRef": secret_key_ref}]}}]}})
}

#[test]
fn requests_of_policies_take_their_secrets_along() {
    let (certificate, private_key) = certificate();
    let step = |auth: Value| {
        json!({"sendRequest": {
            "as": "x", "url": "https://a", "auth": auth,
            "tls": {"caRefs": [{"kind": "ConfigMap", "name": "roots", "key": "bundle"}]},
        }})
    };
    let oauth2 = |key: &str| {
        step(json!({"oauth2": {
            "tokenUrl": "https://id", "clientId": "c", "secretRef": {"name": "idp", "key": key},
        }}))
    };
    let chat = |steps: &[Value]| {
        edge()
            .secret(
                "idp",
                &[
                    (
                        "secret",
                        b"a secret that has as many bytes as HS512 demands of it, and more"
                            .as_slice(),
                    ),
                    ("short", b"s"),
                    (
                        "echo",
                        b"a secret that has as many bytes as HS512 demands of it, and more\n",
                    ),
                    ("jwk", br#"{"kty":"RSA","n":"vvvv","e":"AQAB"}"#),
                    ("bytes", b"\xff".as_slice()),
                ],
            )
            .secret(
                "client",
                &[
                    ("tls.crt", certificate.as_bytes()),
                    ("tls.key", private_key.as_bytes()),
                ],
            )
            .config_map("roots", &[("bundle", &certificate)])
            .api("chat", json!({"onHandshake": {"inbound": steps}}))
            .plan()
    };
    let certified = step(json!({"clientCertificate": {"name": "client"}}));
    let plan = chat(&[oauth2("secret"), certified]);
    assert_eq!(api_reasons(&plan, "chat"), pair("Accepted", "ResolvedRefs"));
    let secret_data = &plan.gateways[&key("edge")].secret_data;
    let ids: Vec<_> = secret_data.iter().map(|(id, _)| id.as_str()).collect();
    assert_eq!(
        ids,
        [
            "configmap/shop/roots/bundle",
            "secret/shop/client/tls.crt",
            "secret/shop/client/tls.key",
            "secret/shop/idp/secret",
        ]
    );
    for (name, step, reason, place) in [
        (
            "missing",
            oauth2("nothing"),
            "SecretNotFound",
            "auth.oauth2.secretRef: ",
        ),
        (
            "no text",
            oauth2("bytes"),
            "InvalidMaterial",
            "auth.oauth2.secretRef: ",
        ),
        (
            "no pair",
            step(json!({"clientCertificate": {"name": "idp"}})),
            "SecretNotFound",
            "auth.clientCertificate: ",
        ),
    ] {
        let plan = chat(&[step]);
        assert_eq!(
            api_reasons(&plan, "chat"),
            pair("Accepted", reason),
            "{name}"
        );
        let said = &api_verdict(&plan, "chat").conditions.resolved.message;
        assert!(said.contains(place), "{name}: {said}");
    }
}

#[test]
fn credentials_for_backends_take_their_secrets_along() {
    let (certificate, private_key) = certificate();
    let chat = |steps: &[Value]| {
        edge()
            .secret(
                "keys",
                &[
                    (
                        "secret",
                        b"a secret that has as many bytes as HS512 demands of it, and more"
                            .as_slice(),
                    ),
                    ("short", b"s"),
                    (
                        "echo",
                        b"a secret that has as many bytes as HS512 demands of it, and more\n",
                    ),
                    ("jwk", br#"{"kty":"RSA","n":"vvvv","e":"AQAB"}"#),
                    ("pem", private_key.as_bytes()),
                    ("public", certificate.as_bytes()),
                    ("empty", b"".as_slice()),
                ],
            )
            .config_map("roots", &[("bundle", &certificate)])
            .api("chat", json!({"onHandshake": {"inbound": steps}}))
            .plan()
    };
    let signed = |algorithm: &str, key: &str| {
        json!({"backendAuth": {"signedJwt": {
            "algorithm": algorithm, "secretRef": {"name": "keys", "key": key},
        }}})
    };
    let token = |key: &str| {
        json!({"backendAuth": {
            "oauth2ClientCredentials": {
                "tokenUrl": "https://id", "clientId": "c", "secretRef": {"name": "keys", "key": key},
            },
            "tls": {"caRefs": [{"kind": "ConfigMap", "name": "roots", "key": "bundle"}]},
        }})
    };
    let plan = chat(&[signed("ES256", "pem"), token("secret")]);
    assert_eq!(api_reasons(&plan, "chat"), pair("Accepted", "ResolvedRefs"));
    let secret_data = &plan.gateways[&key("edge")].secret_data;
    let ids: Vec<_> = secret_data.iter().map(|(id, _)| id.as_str()).collect();
    assert_eq!(
        ids,
        [
            "configmap/shop/roots/bundle",
            "secret/shop/keys/pem",
            "secret/shop/keys/secret",
        ]
    );
    let hmac = signed("HS512", "secret");
    assert_eq!(
        api_reasons(&chat(&[hmac]), "chat"),
        pair("Accepted", "ResolvedRefs")
    );
    for (name, step, reason, place) in [
        (
            "no secret",
            token("nothing"),
            "SecretNotFound",
            "oauth2ClientCredentials.secretRef: ",
        ),
        (
            "no key",
            signed("HS256", "nothing"),
            "SecretNotFound",
            "signedJwt.secretRef: ",
        ),
        (
            "an empty key",
            signed("HS256", "empty"),
            "InvalidMaterial",
            "it is empty",
        ),
        (
            "PEM as a secret",
            signed("HS256", "pem"),
            "InvalidMaterial",
            "it looks like PEM",
        ),
        (
            "a public key as JSON",
            signed("HS256", "jwk"),
            "InvalidMaterial",
            "it looks like JSON, such as a JSON Web Key",
        ),
        (
            "a short secret",
            signed("HS256", "short"),
            "InvalidMaterial",
            "key \"short\" of Secret shop/keys cannot be used: it has 1 bytes, and HS256 needs 32",
        ),
        (
            "a line end",
            signed("HS256", "echo"),
            "InvalidMaterial",
            "it ends with a line end, as echo and editors write it",
        ),
        (
            "another curve",
            signed("ES384", "pem"),
            "InvalidMaterial",
            "a P-384 private key",
        ),
        (
            "another kind",
            signed("RS256", "pem"),
            "InvalidMaterial",
            "an RSA private key",
        ),
        (
            "no private key",
            signed("ES256", "public"),
            "InvalidMaterial",
            "a P-256 private key",
        ),
        (
            "no PEM",
            signed("EdDSA", "secret"),
            "InvalidMaterial",
            "an Ed25519 private key",
        ),
    ] {
        let plan = chat(&[step]);
        assert_eq!(
            api_reasons(&plan, "chat"),
            pair("Accepted", reason),
            "{name}"
        );
        let said = &api_verdict(&plan, "chat").conditions.resolved.message;
        assert!(said.contains(place), "{name}: {said}");
    }
}

#[test]
fn secret_data_of_every_kind_is_found() {
    let (certificate, private_key) = certificate();
    let public_key = public_key();
    let plan = edge()
        .secret("jwt", &[("hmac", b"a secret of thirty-two bytes....".as_slice()), ("pem", public_key.as_bytes())])
        .secret("ca", &[("ca.crt", certificate.as_bytes())])
        .secret("client", &[("tls.crt", certificate.as_bytes()), ("tls.key", private_key.as_bytes())])
        .secret("proxy", &[("username", b"gate".as_slice()), ("password", b"word")])
        .config_map("roots", &[("bundle", &certificate)])
        .config_map("settings", &[("region", "eu")])
        .api("chat", json!({
            "onHandshake": {"inbound": [{"validateJwt": {"keys": [
                {"secretKeyRef": {"name": "jwt", "key": "hmac"}},
                {"secretKeyRef": {"name": "jwt", "key": "pem"}},
            ]}}]},
            "backend": {"url": "wss://chat", "tls": {
                "caRefs": [{"kind": "Secret", "name": "ca"}, {"kind": "ConfigMap", "name": "roots", "key": "bundle"}],
                "clientCertificateRef": "client",
            }, "proxy": {"url": "http://proxy:3128", "credentialsRef": "proxy"}},
            "values": [
                {"name": "secret", "secretKeyRef": {"name": "jwt", "key": "hmac"}},
                {"name": "region", "configMapKeyRef": {"name": "settings", "key": "region"}},
                {"name": "plain", "value": "text"},
            ],
        }))
        .plan();
    assert_eq!(api_reasons(&plan, "chat"), pair("Accepted", "ResolvedRefs"));
    let ids: Vec<_> = plan.gateways[&key("edge")]
        .secret_data
        .iter()
        .map(|(id, _)| id.as_str())
        .collect();
    assert_eq!(
        ids,
        [
            "configmap/shop/roots/bundle",
            "secret/shop/ca/ca.crt",
            "secret/shop/client/tls.crt",
            "secret/shop/client/tls.key",
            "secret/shop/jwt/hmac",
            "secret/shop/jwt/pem",
            "secret/shop/proxy/password",
            "secret/shop/proxy/username",
        ]
    );
    let values = &served(&plan, "edge", "chat").unwrap().values;
    assert_eq!(values["region"], ResolvedValue::Plain("eu".to_owned()));
    assert_eq!(values["plain"], ResolvedValue::Plain("text".to_owned()));
    assert_eq!(
        values["secret"],
        ResolvedValue::Secret(SecretDataId::secret("shop", "jwt", "hmac"))
    );
    let secrets: Vec<_> = plan
        .wanted_secrets
        .iter()
        .map(|key| key.name.as_str())
        .collect();
    assert_eq!(secrets, ["ca", "client", "jwt", "proxy"]);
    let config_maps: Vec<_> = plan
        .wanted_config_maps
        .iter()
        .map(|key| key.name.as_str())
        .collect();
    assert_eq!(config_maps, ["roots", "settings"]);
}

#[test]
fn what_is_missing_or_unusable_is_named() {
    let tls = |tls: Value| json!({"backend": {"url": "wss://chat", "tls": tls}});
    let value = |value: Value| json!({"values": [value]});
    let cases = [
        (
            "no Secret",
            jwt(json!({"name": "gone", "key": "hmac"})),
            "SecretNotFound",
            "spec.onHandshake.inbound[0].validateJwt.keys[0]: Secret shop/gone does not exist",
        ),
        (
            "no credentials for the proxy",
            proxy("gone"),
            "SecretNotFound",
            "spec.backend.proxy.credentialsRef: Secret shop/gone does not exist",
        ),
        (
            "credentials without a password",
            proxy("lone"),
            "SecretNotFound",
            "spec.backend.proxy.credentialsRef: Secret shop/lone has no key \"password\"",
        ),
        (
            "a user name that cannot be sent",
            proxy("colon"),
            "InvalidMaterial",
            "spec.backend.proxy.credentialsRef: key \"username\" of Secret shop/colon cannot be sent",
        ),
        (
            "no key in the Secret",
            jwt(json!({"name": "odd", "key": "gone"})),
            "SecretNotFound",
            "spec.onHandshake.inbound[0].validateJwt.keys[0]: Secret shop/odd has no key \"gone\"",
        ),
        (
            "no key material",
            jwt(json!({"name": "odd", "key": "empty"})),
            "InvalidMaterial",
            "",
        ),
        (
            "a public key as JSON",
            jwt(json!({"name": "odd", "key": "jwk"})),
            "InvalidMaterial",
            "spec.onHandshake.inbound[0].validateJwt.keys[0]: key \"jwk\" of Secret shop/odd cannot be used: it looks like JSON",
        ),
        (
            "a short secret",
            jwt(json!({"name": "odd", "key": "short"})),
            "InvalidMaterial",
            "spec.onHandshake.inbound[0].validateJwt.keys[0]: key \"short\" of Secret shop/odd cannot be used: it has 5 bytes",
        ),
        (
            "a line end",
            jwt(json!({"name": "odd", "key": "echo"})),
            "InvalidMaterial",
            "spec.onHandshake.inbound[0].validateJwt.keys[0]: key \"echo\" of Secret shop/odd cannot be used: it ends with a line end",
        ),
        (
            "a broken PEM",
            jwt(json!({"name": "odd", "key": "pem"})),
            "InvalidMaterial",
            "",
        ),
        (
            "a private key",
            jwt(json!({"name": "client", "key": "tls.key"})),
            "InvalidMaterial",
            "",
        ),
        (
            "no ConfigMap",
            tls(json!({"caRefs": [{"kind": "ConfigMap", "name": "gone"}]})),
            "ConfigMapNotFound",
            "spec.backend.tls.caRefs[0]: ConfigMap shop/gone does not exist",
        ),
        (
            "not a certificate",
            tls(json!({"caRefs": [{"kind": "Secret", "name": "odd", "key": "pem"}]})),
            "InvalidMaterial",
            "spec.backend.tls.caRefs[0]: key \"pem\" of Secret shop/odd is not a certificate in PEM",
        ),
        (
            "not a private key",
            tls(json!({"clientCertificateRef": "halfway"})),
            "InvalidMaterial",
            "spec.backend.tls.clientCertificateRef: key \"tls.key\" of Secret shop/halfway is not a private key in PEM",
        ),
        (
            "a value that is not text",
            value(json!({"name": "v", "secretKeyRef": {"name": "odd", "key": "bytes"}})),
            "InvalidMaterial",
            "spec.values[0]: key \"bytes\" of Secret shop/odd is not UTF-8 text",
        ),
        (
            "a value that is too large",
            value(json!({"name": "v", "configMapKeyRef": {"name": "big", "key": "text"}})),
            "TooLarge",
            "",
        ),
    ];
    let (certificate, private_key) = certificate();
    let world = edge()
        .secret(
            "odd",
            &[
                ("empty", b"".as_slice()),
                ("weak", WEAK_RSA_KEY.as_bytes()),
                ("jwk", br#"{"kty":"EC","x":"vvvv"}"#),
                ("short", b"short"),
                ("echo", b"thirty-two bytes, as HS256 needs\n"),
                (
                    "pem",
                    b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n".as_slice(),
                ),
                ("bytes", &[0xff, 0xfe]),
            ],
        )
        .secret("lone", &[("username", b"gate".as_slice())])
        .secret(
            "colon",
            &[("username", b"a:b".as_slice()), ("password", b"c")],
        )
        .secret("client", &[("tls.key", private_key.as_bytes())])
        .secret(
            "halfway",
            &[
                ("tls.crt", certificate.as_bytes()),
                ("tls.key", b"no key".as_slice()),
            ],
        )
        .config_map("big", &[("text", &"x".repeat(400_000))]);
    for (name, patch, reason, message) in cases {
        let plan = world
            .clone()
            .api("chat", patch)
            .api("other", json!({}))
            .plan();
        assert_eq!(
            api_reasons(&plan, "chat"),
            pair("Accepted", reason),
            "{name}"
        );
        let said = &api_verdict(&plan, "chat").conditions.resolved.message;
        assert!(said.starts_with(message), "{name}: {said}");
        assert_eq!(
            api_reasons(&plan, "other"),
            pair("Accepted", "ResolvedRefs"),
            "{name}"
        );
        // It never worked, so nobody passes; its path is not free for others.
        assert!(
            served(&plan, "edge", "chat").unwrap().blocked.is_some(),
            "{name}"
        );
    }
}

#[test]
fn text_of_files_is_read_like_data_of_clusters() {
    let secret = Secret {
        string_data: Some(text_map(&[("hmac", "a secret of thirty-two bytes....")])),
        ..Secret::default()
    };
    let patch = jwt(json!({"name": "jwt", "key": "hmac"}));
    let plan = edge().whole_secret("jwt", secret).api("chat", patch).plan();
    let secret_data = &plan.gateways[&key("edge")].secret_data;
    let id = SecretDataId::secret("shop", "jwt", "hmac");
    assert_eq!(
        secret_data.get(&id),
        Some(b"a secret of thirty-two bytes....".as_slice())
    );
}

fn secure(references: &[&str]) -> Builder {
    let references: Vec<_> = references
        .iter()
        .map(|name| json!({"name": name}))
        .collect();
    empty().gateway("edge", json!({"listeners": [
        {"name": "plain", "port": 8081, "protocol": "WS"},
        {"name": "secure", "port": 8443, "protocol": "WSS", "tls": {"certificateRefs": references, "minVersion": "1.3"}},
    ]}))
}

#[test]
fn a_missing_certificate_takes_only_itself_out_of_service() {
    let (certificate, private_key) = certificate();
    let pair_of = [
        ("tls.crt", certificate.as_bytes()),
        ("tls.key", private_key.as_bytes()),
    ];
    for (name, references, listeners, certificates, resolved) in [
        ("both there", vec!["one", "two"], 2, 2, true),
        ("one missing", vec!["one", "gone"], 2, 1, false),
        ("all missing", vec!["gone"], 1, 0, false),
    ] {
        let plan = secure(&references)
            .secret("one", &pair_of)
            .secret("two", &pair_of)
            .api("chat", json!({}))
            .plan();
        let settings = &plan.gateways[&key("edge")].config.settings;
        assert_eq!(settings.listeners.len(), listeners, "{name}");
        let tls = settings
            .listeners
            .get(1)
            .and_then(|listener| listener.tls.as_ref());
        assert_eq!(
            tls.map_or(0, |tls| tls.certificates.len()),
            certificates,
            "{name}"
        );
        let verdict = &plan.gateway_verdicts[&key("edge")];
        assert_eq!(verdict.conditions.resolved.status, resolved, "{name}");
        assert_eq!(
            verdict.listeners[1].conditions.resolved.status, resolved,
            "{name}"
        );
        assert!(verdict.listeners[0].conditions.resolved.status, "{name}");
        assert_eq!(
            served(&plan, "edge", "chat").unwrap().listeners.len(),
            listeners,
            "{name}"
        );
    }
}

#[test]
fn a_certificate_that_goes_missing_stays_as_it_was() {
    let (certificate, private_key) = certificate();
    let pair_of = [
        ("tls.crt", certificate.as_bytes()),
        ("tls.key", private_key.as_bytes()),
    ];
    let before = secure(&["one"]).secret("one", &pair_of).served();
    let plan = before.without_secret("one").plan();
    let gateway = &plan.gateways[&key("edge")];
    assert_eq!(gateway.config.settings.listeners.len(), 2);
    let id = SecretDataId::secret("shop", "one", "tls.key");
    assert_eq!(gateway.secret_data.get(&id), Some(private_key.as_bytes()));
    let verdict = &plan.gateway_verdicts[&key("edge")].conditions;
    assert_eq!(
        reasons(&verdict.accepted, &verdict.resolved),
        pair("Accepted", "SecretNotFound")
    );
    assert_eq!(
        verdict.resolved.message,
        "spec.listeners[1]: tls.certificateRefs[0]: Secret shop/one does not exist"
    );
}

fn mutual(mode: &str) -> Builder {
    let (certificate, private_key) = certificate();
    empty()
        .gateway(
            "edge",
            json!({"listeners": [
                {"name": "plain", "port": 8081, "protocol": "WS"},
                {"name": "mutual", "port": 8443, "protocol": "WSS", "tls": {
                    "certificateRefs": [{"name": "one"}],
                    "clientCertificates": mode,
                    "clientCaRef": {"kind": "Secret", "name": "partners"},
                }},
            ]}),
        )
        .secret(
            "one",
            &[
                ("tls.crt", certificate.as_bytes()),
                ("tls.key", private_key.as_bytes()),
            ],
        )
}

#[test]
fn authorities_of_clients_are_found_or_nobody_is_let_in() {
    let (authority, _) = certificate();
    let id = SecretDataId::secret("shop", "partners", "ca.crt");
    for mode in ["Optional", "Required"] {
        for (name, content, resolved) in [
            ("there", Some(authority.as_bytes()), true),
            ("no PEM", Some(b"nothing".as_slice()), false),
            ("missing", None, false),
        ] {
            let mut builder = mutual(mode);
            if let Some(content) = content {
                builder = builder.secret("partners", &[("ca.crt", content)]);
            }
            let plan = builder.plan();
            let gateway = &plan.gateways[&key("edge")];
            let listener = gateway.config.settings.listeners.get(1);
            let auth = listener.map(|l| l.tls.as_ref().unwrap().client_auth.as_ref().unwrap());
            assert_eq!(auth.is_some(), resolved, "{mode}, {name}");
            assert_eq!(auth.map(|auth| &auth.ca), resolved.then_some(&id));
            assert_eq!(gateway.secret_data.get(&id).is_some(), resolved);
            let verdict = &plan.gateway_verdicts[&key("edge")].conditions;
            assert_eq!(verdict.resolved.status, resolved, "{mode}, {name}");
            let at = "spec.listeners[1]: tls.clientCaRef: ";
            assert!(
                resolved || verdict.resolved.message.starts_with(at),
                "{name}"
            );
        }
    }
}

#[test]
fn authorities_of_clients_that_go_missing_stay_as_they_were() {
    let (authority, _) = certificate();
    let before = mutual("Required").secret("partners", &[("ca.crt", authority.as_bytes())]);
    let plan = before.served().without_secret("partners").plan();
    let gateway = &plan.gateways[&key("edge")];
    assert_eq!(gateway.config.settings.listeners.len(), 2);
    let id = SecretDataId::secret("shop", "partners", "ca.crt");
    assert_eq!(gateway.secret_data.get(&id), Some(authority.as_bytes()));
    assert!(
        !plan.gateway_verdicts[&key("edge")]
            .conditions
            .resolved
            .status
    );
}

#[test]
fn a_gateway_without_any_listener_says_so() {
    let plan = empty()
        .gateway(
            "edge",
            json!({"listeners": [{"name": "s", "port": 8443, "protocol": "WSS",
            "tls": {"certificateRefs": [{"name": "gone"}]}}]}),
        )
        .api("chat", json!({}))
        .plan();
    let verdict = &plan.gateway_verdicts[&key("edge")].conditions;
    assert_eq!(
        reasons(&verdict.accepted, &verdict.resolved),
        pair("NoListener", "SecretNotFound")
    );
    assert_eq!(api_reasons(&plan, "chat"), pair("Accepted", "NoListener"));
}

#[test]
fn users_with_a_hash_nobody_can_check_are_named_by_line_and_block() {
    let step = json!({"basicAuth": {"usersSecretRef": {"name": "users", "key": "htpasswd"}}});
    let patch = json!({"onHandshake": {"inbound": [step]}});
    let good = "ada:{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M=\n";
    let bad = format!("{good}bob:$apr1$lZL6V/ci$eIMz/iKDkbtys/uU7LEK00\n");
    let world = edge()
        .secret("users", &[("htpasswd", good.as_bytes())])
        .api("chat", patch)
        .served();
    let plan = world.plan();
    assert_eq!(served(&plan, "edge", "chat").unwrap().blocked, None);
    let secret_data = &plan.gateways[&key("edge")].secret_data;
    let id = SecretDataId::secret("shop", "users", "htpasswd");
    assert_eq!(secret_data.get(&id), Some(good.as_bytes()));

    let plan = world
        .clone()
        .secret("users", &[("htpasswd", bad.as_bytes())])
        .plan();
    assert_eq!(
        api_reasons(&plan, "chat"),
        pair("Accepted", "InvalidMaterial")
    );
    let said = &api_verdict(&plan, "chat").conditions.resolved.message;
    let place = "spec.onHandshake.inbound[0].basicAuth.usersSecretRef: key \"htpasswd\" of Secret shop/users: line 2: the hash is neither bcrypt";
    assert!(said.starts_with(place), "{said}");
    assert!(!said.contains("bob") && !said.contains("apr1"), "{said}");
    assert!(served(&plan, "edge", "chat").unwrap().blocked.is_some());

    let plan = world.without_secret("users").plan();
    assert_eq!(
        api_reasons(&plan, "chat"),
        pair("Accepted", "SecretNotFound")
    );
}

#[test]
fn the_url_of_shared_counters_comes_from_its_secret() {
    let counters = json!({"counters": {"redis": {
        "urlSecretRef": {"name": "counters", "key": "url"}, "onFailure": "Refuse",
    }}});
    let url = b"rediss://:word@counters.infra:6380/1".as_slice();
    let config = |builder: &Builder| {
        let plan = builder.plan();
        let gateway = &plan.gateways[&key("edge")];
        let counters = gateway.config.settings.counters.clone().unwrap();
        (counters, (*gateway.secret_data).clone())
    };
    let with = |url: &[u8]| {
        empty()
            .gateway("edge", counters.clone())
            .secret("counters", &[("url", url)])
    };
    let (found, secret_data) = config(&with(url));
    let ResolvedValue::Secret(id) = &found.url else {
        panic!("{found:?}")
    };
    assert_eq!(secret_data.get(id), Some(url));
    for (name, builder) in [
        ("no Secret", empty().gateway("edge", counters.clone())),
        ("no URL", with(b"counters.infra:6379")),
    ] {
        let (broken, _) = config(&builder);
        assert_eq!(broken.on_failure, found.on_failure, "{name}");
        assert_eq!(broken.url, ResolvedValue::Plain(String::new()), "{name}");
        let (kept, secret_data) = config(&with(url).served().secret("counters", &[("url", b"x")]));
        assert_eq!(kept, found, "{name}");
        assert_eq!(secret_data.get(id), Some(url));
    }
}

#[test]
fn who_vouches_for_shared_counters_is_taken_along() {
    let (certificate, _) = certificate();
    let counters = |url: &str, name: &str| {
        json!({"counters": {"redis": {
            "url": url, "caRefs": [{"kind": "ConfigMap", "name": name, "key": "bundle"}],
        }}})
    };
    let plan = |url: &str, name: &str| {
        let world = empty().gateway("edge", counters(url, name));
        world
            .config_map("roots", &[("bundle", &certificate)])
            .plan()
    };
    let good = plan("rediss://counters", "roots");
    let gateway = &good.gateways[&key("edge")];
    let found = gateway.config.settings.counters.clone().unwrap();
    let [id] = &found.authorities[..] else {
        panic!("{found:?}")
    };
    assert_eq!(gateway.secret_data.get(id), Some(certificate.as_bytes()));
    for (name, plan, expected) in [
        (
            "no such object",
            plan("rediss://counters", "nobody"),
            "caRefs[0]: ",
        ),
        (
            "no TLS",
            plan("redis://counters", "roots"),
            "caRefs: caRefs need a rediss:// URL",
        ),
    ] {
        let verdict = &plan.gateway_verdicts[&key("edge")].conditions;
        let said = format!("{} {}", verdict.accepted.message, verdict.resolved.message);
        let expected = format!("spec.counters.redis.{expected}");
        assert!(said.contains(&expected), "{name}: {said}");
        let gateway = &plan.gateways[&key("edge")];
        let counters = gateway.config.settings.counters.as_ref().unwrap();
        assert_eq!(
            counters.authorities.len(),
            1,
            "{name}: the system's are not trusted instead"
        );
    }
}
