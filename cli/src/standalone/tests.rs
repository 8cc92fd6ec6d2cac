use std::fs;
use std::path::Path;

use tidegate_api::{PRIMARY_KEY, SECONDARY_KEY};

use super::*;

/// A directory with manifests, and a state directory that outlives each [`Standalone`].
struct Place {
    manifests: tempfile::TempDir,
    state: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self {
            manifests: tempfile::tempdir().unwrap(),
            state: tempfile::tempdir().unwrap(),
        }
    }

    fn path(&self) -> &Path {
        self.manifests.path()
    }

    fn store(&self) -> KeyStore {
        KeyStore::new(self.state.path())
    }

    fn start(&self) -> Standalone {
        self.start_at(vec![self.path().to_owned()])
    }

    fn start_at(&self, paths: Vec<PathBuf>) -> Standalone {
        Standalone::new(Settings {
            input: Input::of_paths(paths, false),
            echo: None,
            bind_address: IpAddr::V4(std::net::Ipv4Addr::LOCALHOST),
            ports: Ports::Ephemeral,
            admin: AdminAddress::Nowhere,
            admin_token: None,
            keys: self.store(),
            quotas: None,
            tokens: None,
        })
    }

    /// Writes a Subscription with this rest of its spec into `NAME.yaml`.
    fn write(&self, name: &str, more: &str) {
        let text = format!(
            "apiVersion: tidegate.dev/v1alpha1\nkind: Subscription\nmetadata: {{name: {name}}}\n\
             spec: {{scope: {{api: a}}{more}}}\n"
        );
        fs::write(self.file(name), text).unwrap();
    }

    fn file(&self, name: &str) -> PathBuf {
        self.path().join(format!("{name}.yaml"))
    }

    fn remove(&self, name: &str) {
        fs::remove_file(self.file(name)).unwrap();
    }

    fn key_file(&self, name: &str) -> PathBuf {
        self.store()
            .path(&ObjectKey::new("default", format!("{name}-keys")))
    }

    /// Both keys of a Subscription, if it has any.
    fn keys(&self, name: &str) -> Option<(String, String)> {
        let text = fs::read_to_string(self.key_file(name)).ok()?;
        let secret: serde_json::Value = serde_json::from_str(&text).unwrap();
        let key = |slot: &str| secret["stringData"][slot].as_str().unwrap().to_owned();
        Some((key(PRIMARY_KEY), key(SECONDARY_KEY)))
    }
}

fn texts(report: &Report) -> String {
    let lines = report.findings.iter().map(ToString::to_string);
    lines.collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn a_raised_generation_renews_its_key_while_running_and_after_a_restart() {
    let place = Place::new();
    place.write("s", "");
    let mut running = place.start();
    running.reload().await.unwrap();
    let first = place.keys("s").unwrap();
    place.write("s", ", keys: {primaryGeneration: 2}");
    let report = running.reload().await.unwrap();
    let request = &report.generated[0];
    assert_eq!((request.primary, request.secondary), (Some(2), None));
    let second = place.keys("s").unwrap();
    assert_ne!(second.0, first.0);
    assert_eq!(second.1, first.1);
    drop(running);

    let report = place.start().reload().await.unwrap();
    assert_eq!(report.generated, []);
    assert_eq!(place.keys("s").unwrap(), second);
    let more = ", keys: {primaryGeneration: 2, secondaryGeneration: 5}";
    place.write("s", more);
    place.start().reload().await.unwrap();
    let third = place.keys("s").unwrap();
    assert_eq!(third.0, second.0);
    assert_ne!(third.1, second.1);
}

#[tokio::test]
async fn keys_of_earlier_versions_stay_and_can_be_renewed() {
    let place = Place::new();
    place.write("s", "");
    let old = r#"{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s-keys", "namespace": "default",
        "labels": {"app.kubernetes.io/managed-by": "tidegate"},
        "annotations": {"tidegate.dev/primary-generation": "1", "tidegate.dev/secondary-generation": "1"}},
        "stringData": {"primaryKey": "an-old-primary-key", "secondaryKey": "an-old-secondary-key"}}"#;
    place.store().ensure().unwrap();
    fs::write(place.key_file("s"), old).unwrap();
    let mut running = place.start();
    let report = running.reload().await.unwrap();
    assert_eq!(report.generated, []);
    place.write("s", ", keys: {primaryGeneration: 2}");
    running.reload().await.unwrap();
    let (primary, secondary) = place.keys("s").unwrap();
    assert_eq!(primary.len(), 64, "{primary}");
    assert_eq!(secondary, "an-old-secondary-key");
}

#[tokio::test(start_paused = true)]
async fn a_subscription_that_was_removed_and_written_again_gets_new_keys() {
    let place = Place::new();
    place.write("s", "");
    place.write("other", "");
    let mut running = place.start();
    running.reload().await.unwrap();
    let (old, other) = (place.keys("s").unwrap(), place.keys("other"));
    place.remove("s");
    let report = running.reload().await.unwrap();
    assert!(
        report.removed.is_empty(),
        "a tool may be replacing the file"
    );
    tokio::time::sleep_until(report.next.unwrap()).await;
    let report = running.reload().await.unwrap();
    assert_eq!(report.removed, [ObjectKey::new("default", "s-keys")]);
    assert_eq!(place.keys("s"), None);
    place.write("s", "");
    running.reload().await.unwrap();
    let new = place.keys("s").unwrap();
    assert!(new.0 != old.0 && new.1 != old.1);
    assert_eq!(place.keys("other"), other);
}

#[tokio::test(start_paused = true)]
async fn a_file_that_a_tool_replaces_keeps_its_keys() {
    let place = Place::new();
    place.write("s", "");
    let mut running = place.start();
    running.reload().await.unwrap();
    let keys = place.keys("s");
    fs::rename(place.file("s"), place.path().join("s.yaml~")).unwrap();
    running.reload().await.unwrap();
    fs::rename(place.path().join("s.yaml~"), place.file("moved")).unwrap();
    tokio::time::advance(Duration::from_secs(2)).await;
    let report = running.reload().await.unwrap();
    assert!(report.removed.is_empty() && report.generated.is_empty());
    assert_eq!(place.keys("s"), keys);
}

#[tokio::test(start_paused = true)]
async fn a_start_without_the_subscription_removes_its_keys_if_it_reads_where_it_was() {
    for (case, is_elsewhere, wanted) in [
        ("its directory", false, false),
        ("another directory", true, true),
    ] {
        let place = Place::new();
        place.write("s", "");
        place.start().reload().await.unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        let read = match is_elsewhere {
            true => elsewhere.path().to_owned(),
            false => {
                place.remove("s");
                place.path().to_owned()
            }
        };
        let mut running = place.start_at(vec![read]);
        running.reload().await.unwrap();
        tokio::time::advance(Duration::from_secs(2)).await;
        running.reload().await.unwrap();
        assert_eq!(place.keys("s").is_some(), wanted, "{case}");
    }
}

#[tokio::test(start_paused = true)]
async fn keys_stay_while_a_manifest_cannot_be_read() {
    for (case, text) in [
        ("no YAML", "kind: [".to_owned()),
        (
            "an unknown field",
            "apiVersion: tidegate.dev/v1alpha1\nkind: Subscription\nmetadata: {name: s}\n\
             spec: {scope: {api: a}, colour: red}\n"
                .to_owned(),
        ),
    ] {
        let place = Place::new();
        place.write("s", "");
        place.start().reload().await.unwrap();
        let keys = place.keys("s");
        fs::write(place.file("s"), text).unwrap();
        let mut running = place.start();
        running.reload().await.unwrap();
        tokio::time::advance(Duration::from_secs(2)).await;
        running.reload().await.unwrap();
        assert_eq!(place.keys("s"), keys, "{case}");
    }
}

#[tokio::test]
async fn another_uid_in_the_manifest_is_another_subscription() {
    let place = Place::new();
    let with_uid = |uid: &str| {
        place.write("s", "");
        let text = fs::read_to_string(place.file("s")).unwrap();
        let text = text.replace("{name: s}", &format!("{{name: s, uid: {uid}}}"));
        fs::write(place.file("s"), text).unwrap();
    };
    with_uid("one");
    place.start().reload().await.unwrap();
    let one = place.keys("s");
    place.start().reload().await.unwrap();
    assert_eq!(place.keys("s"), one);
    with_uid("two");
    let report = place.start().reload().await.unwrap();
    assert_eq!(report.removed.len(), 1);
    assert!(place.keys("s").is_some() && place.keys("s") != one);
}

#[tokio::test]
async fn a_key_file_that_is_removed_is_made_anew_and_a_broken_one_is_named() {
    let place = Place::new();
    place.write("s", "");
    place.write("other", "");
    let mut running = place.start();
    running.reload().await.unwrap();
    let (old, other) = (place.keys("s"), place.keys("other"));
    fs::remove_file(place.key_file("s")).unwrap();
    let report = running.reload().await.unwrap();
    assert_eq!(report.generated.len(), 1);
    assert!(place.keys("s").is_some() && place.keys("s") != old);

    fs::write(place.key_file("s"), "{").unwrap();
    for mut standalone in [running, place.start()] {
        let report = standalone.reload().await.unwrap();
        assert!(report.generated.is_empty());
        let said = texts(&report);
        assert!(said.contains("default.s-keys.yaml"), "{said}");
        assert_eq!(fs::read_to_string(place.key_file("s")).unwrap(), "{");
    }
    assert_eq!(place.keys("other"), other);
}

#[tokio::test]
async fn a_key_that_cannot_be_saved_is_named_and_the_others_are_saved() {
    let place = Place::new();
    place.write("s", "");
    place.write("other", "");
    fs::create_dir_all(place.key_file("s").join("x")).unwrap();
    let report = place.start().reload().await.unwrap();
    let said = texts(&report);
    assert!(said.contains("failed to write"), "{said}");
    assert!(place.keys("other").is_some());
}

#[tokio::test]
async fn a_key_that_is_replaced_because_it_cannot_be_used_is_named() {
    let place = Place::new();
    place.write("s", "");
    let mut running = place.start();
    running.reload().await.unwrap();
    let (primary, secondary) = place.keys("s").unwrap();
    let text = fs::read_to_string(place.key_file("s")).unwrap();
    fs::write(place.key_file("s"), text.replace(&primary, "too-short")).unwrap();
    let report = running.reload().await.unwrap();
    let said = texts(&report);
    let wanted = "Secret default/s-keys: stringData.primaryKey: warning: must have at least 16 characters: \
                  it is replaced by a generated key";
    assert!(said.contains(wanted), "{said}");
    let now = place.keys("s").unwrap();
    assert!(now.0.len() == 64 && now.1 == secondary);
    let said = texts(&running.reload().await.unwrap());
    assert!(!said.contains("is replaced"), "{said}");
}

#[tokio::test]
async fn an_admin_port_that_is_taken_is_tried_by_one_gateway_only() {
    let other = std::net::TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).unwrap();
    let taken = other.local_addr().unwrap();
    let place = Place::new();
    for name in ["a", "b"] {
        let text = format!(
            "apiVersion: tidegate.dev/v1alpha1\nkind: Gateway\nmetadata: {{name: {name}}}\n\
             spec: {{listeners: [{{name: ws, port: 8080, protocol: WS}}]}}\n"
        );
        fs::write(place.file(name), text).unwrap();
    }
    let mut running = place.start();
    running.settings.admin = AdminAddress::Preferred(taken);
    let report = running.reload().await.unwrap();
    let because = format!("because {taken} cannot be bound");
    let notes = report.notes.iter().filter(|note| note.contains(&because));
    assert_eq!(notes.count(), 1, "{:?}", report.notes);
    running.shutdown().await;
}
