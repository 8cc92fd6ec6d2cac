//! The examples of `docs/policies.md` compile.

use super::*;

const PAGE: &str = include_str!("../../../../docs/policies.md");

#[tokio::test]
async fn examples_compile() {
    let services = services();
    let users = b"pilot:{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M=";
    let key = rcgen::KeyPair::generate().expect("a P-256 key");
    let key = key.serialize_pem();
    let secret_data = secret_data(&[
        ("harbour-users", "htpasswd", users),
        ("signing", "tls.key", key.as_bytes()),
    ]);
    let mut compiled = 0;
    for (number, block) in PAGE.split("```yaml\n").skip(1).enumerate() {
        let yaml = block.split("```").next().unwrap_or_default();
        let mut spec: Value = serde_saphyr::from_str(yaml).expect("an example is YAML");
        if spec["kind"] == "PolicyFragment" {
            // Its steps are compiled where they are included.
            spec = json!({"onHandshake": {"inbound": spec["spec"]["steps"]}});
        }
        let declared = Declared {
            scope: Scope::Api,
            on: spec["onHandshake"].take(),
            values: &[],
            secret_data: &secret_data,
        };
        let result = declared.compile(&services);
        assert!(result.is_ok(), "example {number}: {result:?}\n{yaml}");
        compiled += 1;
    }
    assert!(compiled >= 10, "only {compiled} examples found");
}
