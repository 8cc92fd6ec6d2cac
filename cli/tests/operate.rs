//! The commands of those who run Tidegate, on the manifests that `tidegate run` serves: tables, JSON, exit statuses.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};

const MANIFESTS: &str = "apiVersion: tidegate.dev/v1alpha1
kind: Gateway
metadata: {name: edge}
spec: {listeners: [{name: plain, port: 8080, protocol: WS}]}
---
apiVersion: tidegate.dev/v1alpha1
kind: WebSocketApi
metadata: {name: chat}
spec: {gateways: [{name: edge}], path: /chat, backend: {url: 'ws://127.0.0.1:1/'}, approvalRequired: false}
---
apiVersion: tidegate.dev/v1alpha1
kind: Product
metadata: {name: gold}
spec: {apis: [{name: chat}], approvalRequired: true}
---
apiVersion: tidegate.dev/v1alpha1
kind: Subscription
metadata: {name: ann}
spec:
  # Ann asked on Monday.
  scope: {product: gold}
  owner: ann@example.com
  state: Active
---
apiVersion: tidegate.dev/v1alpha1
kind: Subscription
metadata: {name: bob}
spec: {scope: {api: chat}, state: Suspended}
---
apiVersion: v1
kind: Secret
metadata: {name: bob-keys}
stringData: {primaryKey: bobs-own-primary-key, secondaryKey: bobs-own-secondary-key}
";

/// Ann's generated keys, as `tidegate run` keeps them.
const KEYS: &str = r#"{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "ann-keys", "namespace": "default"},
 "stringData": {"primaryKey": "anns-primary-key-0123", "secondaryKey": "anns-secondary-key-0123"}}"#;

struct Place(tempfile::TempDir);

impl Place {
    fn new(manifests: &str) -> Self {
        let place = Self(tempfile::tempdir().expect("a directory"));
        let keys = place.0.path().join("state/keys");
        std::fs::create_dir_all(&keys).expect("the files");
        std::fs::write(keys.join("default.ann-keys.yaml"), KEYS).expect("the files");
        std::fs::create_dir(place.path("m")).expect("the files");
        std::fs::write(place.path("m").join("all.yaml"), manifests).expect("the files");
        place
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    fn tidegate(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_tidegate"))
            .args(arguments)
            .args([Path::new("--dir"), &self.path("m")])
            .args([Path::new("--state-dir"), &self.path("state")])
            .output()
            .expect("the program starts")
    }

    /// What it prints, with its exit status checked; the directory's name is shortened.
    fn says(&self, arguments: &[&str], status: i32) -> String {
        let output = self.tidegate(arguments);
        assert_eq!(
            output.status.code(),
            Some(status),
            "{arguments:?}: {output:?}"
        );
        let text = String::from_utf8(output.stdout).expect("it prints text");
        text.replace(&*self.0.path().to_string_lossy(), "")
    }

    fn json(&self, arguments: &[&str], status: i32) -> Value {
        let text = self.says(&[arguments, &["-o", "json"]].concat(), status);
        serde_json::from_str(&text).expect("it is JSON")
    }
}

/// Columns may be wider than they are here.
fn words(text: &str) -> Vec<String> {
    let line = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    text.lines().map(line).collect()
}

/// The command ended with this status, and said this on either stream.
fn ended(arguments: &[&str], output: Output, status: i32, says: &str) {
    assert_eq!(
        output.status.code(),
        Some(status),
        "{arguments:?}: {output:?}"
    );
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(said.contains(says), "{arguments:?}: {said}");
}

#[test]
fn subscriptions_are_listed_and_chosen() {
    let place = Place::new(MANIFESTS);
    let listed = place.says(&["subscriptions", "list"], 0);
    let head = "NAMESPACE NAME STATE SCOPE OWNER APPROVAL EXPIRES REASON";
    let ann = "default ann Submitted product gold ann@example.com - - -";
    let bob = "default bob Suspended api chat - - - -";
    assert_eq!(words(&listed), [head, ann, bob]);
    for (filter, rows) in [
        (&["--state", "submitted"][..], &[head, ann][..]),
        (&["--product", "gold"], &[head, ann]),
        (&["--owner", "ann@example.com"], &[head, ann]),
        (&["--state", "Active"], &[]),
    ] {
        let listed = place.says(&[&["subscriptions", "list"], filter].concat(), 0);
        assert_eq!(words(&listed), rows, "{filter:?}");
    }
    let expected = json!([
        {"namespace": "default", "name": "ann", "state": "Submitted", "scope": "product gold",
            "owner": "ann@example.com"},
        {"namespace": "default", "name": "bob", "state": "Suspended", "scope": "api chat"},
    ]);
    assert_eq!(place.json(&["subscriptions", "list"], 0), expected);
    let names = place.says(&["subscriptions", "list", "-o", "name"], 0);
    assert_eq!(
        names,
        "subscription.tidegate.dev/ann\nsubscription.tidegate.dev/bob\n"
    );
    let yaml = place.says(
        &[
            "subscriptions",
            "list",
            "-o",
            "yaml",
            "--owner",
            "ann@example.com",
        ],
        0,
    );
    assert!(
        yaml.starts_with("- namespace: default\n  name: ann\n"),
        "{yaml}"
    );
}

#[test]
fn of_manifests_a_change_says_what_to_edit_and_touches_nothing() {
    let place = Place::new(MANIFESTS);
    // Ann's keys are yet to be generated.
    std::fs::remove_dir_all(place.path("state")).unwrap();
    for (arguments, expected) in [
        (
            &["subscriptions", "approve", "ann"][..],
            "/m/all.yaml:19 Subscription default/ann spec.approval Approved",
        ),
        (
            &["subscriptions", "suspend", "ann"],
            "/m/all.yaml:23 Subscription default/ann spec.state Suspended",
        ),
        (
            &["subscriptions", "resume", "default/bob"],
            "/m/all.yaml:28 Subscription default/bob spec.state Active",
        ),
        (
            &["keys", "rotate", "ann", "--primary"],
            "/m/all.yaml:19 Subscription default/ann spec.keys.primaryGeneration 2",
        ),
    ] {
        let said = words(&place.says(arguments, 1));
        assert_eq!(said, ["FILE OBJECT FIELD VALUE", expected], "{arguments:?}");
    }
    let edit = place.json(&["subscriptions", "cancel", "ann"], 1);
    assert_eq!(edit[0]["field"], "spec.state");
    assert_eq!(edit[0]["value"], "Cancelled");
    let found = std::fs::read_to_string(place.path("m/all.yaml")).unwrap();
    assert_eq!(found, MANIFESTS);
}

#[test]
fn what_cannot_be_changed_has_its_own_exit_status() {
    let place = Place::new(MANIFESTS);
    for (arguments, status, says) in [
        (
            &["subscriptions", "suspend", "bob"][..],
            0,
            "is Suspended already",
        ),
        (
            &["keys", "rotate", "bob", "--primary"],
            1,
            "has keys that you supply, in Secret bob-keys",
        ),
        (
            &["subscriptions", "suspend", "eve"],
            2,
            "there is no Subscription eve",
        ),
        (&["keys", "rotate", "ann"], 2, "--primary"),
        (
            &["subscriptions", "list", "--state", "Waiting"],
            2,
            "write Submitted, Active",
        ),
        (
            &["subscriptions", "list", "--namespace", "x"],
            2,
            "cannot be used",
        ),
    ] {
        let output = place.tidegate(arguments);
        ended(arguments, output, status, says);
    }
}

#[test]
fn keys_are_listed_without_being_shown_and_shown_alone() {
    let place = Place::new(MANIFESTS);
    let listed = place.says(&["keys", "list"], 0);
    assert!(!listed.contains("primary-key-0123"), "{listed}");
    let rows = words(&listed);
    assert_eq!(
        rows[0],
        "NAMESPACE SUBSCRIPTION KEY STATE GENERATION SHA-256 SECRET"
    );
    assert!(
        rows[1].starts_with("default ann primary Submitted - "),
        "{rows:?}"
    );
    assert!(
        rows[4].starts_with("default bob secondary Suspended - "),
        "{rows:?}"
    );
    assert_eq!(
        place.says(&["keys", "show", "ann"], 0),
        "anns-primary-key-0123\n"
    );
    assert_eq!(
        place.says(&["keys", "show", "bob", "--secondary"], 0),
        "bobs-own-secondary-key\n"
    );
    let expected = json!({"namespace": "default", "subscription": "ann", "secret": "ann-keys", "key": "primary",
        "value": "anns-primary-key-0123"});
    assert_eq!(place.json(&["keys", "show", "ann"], 0), expected);
    let output = Place::new(&MANIFESTS.replace(", secondaryKey: bobs-own-secondary-key", ""));
    let output = output.tidegate(&["keys", "show", "bob", "--secondary"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
}

#[test]
fn the_status_shows_what_is_not_well_and_what_to_change() {
    let place = Place::new(MANIFESTS);
    // Nobody has approved Ann, and Bob is suspended: that is as it is meant to be.
    let well = words(&place.says(&["status"], 0));
    let table = [
        "NAMESPACE GATEWAY REVISION PODS READY APIS STATE",
        "default edge - - - 1 OK",
        "",
        "every object is well",
    ];
    assert_eq!(well, table);

    let place = Place::new(
        &MANIFESTS.replace("apis: [{name: chat}]", "apis: [{name: chat}, {name: news}]"),
    );
    let status = place.json(&["status"], 1);
    assert_eq!(status["gateways"][0]["name"], "edge");
    let object = &status["objects"][0];
    assert_eq!(object["kind"], "Product");
    assert_eq!(object["condition"], "ResolvedRefs");
    assert_eq!(object["reason"], "ApiNotFound");
    assert!(
        object["message"].as_str().unwrap().contains("news"),
        "{object}"
    );
    assert_eq!(
        place.says(&["status", "-o", "name"], 1),
        "product.tidegate.dev/gold\n"
    );

    let place = Place::new(&MANIFESTS.replace("path: /chat", "path: chat"));
    let status = place.json(&["status"], 1);
    let objects = status["objects"].as_array().unwrap();
    let invalid = objects
        .iter()
        .find(|object| object["kind"] == "WebSocketApi")
        .unwrap();
    assert_eq!(invalid["reason"], "Invalid");
    let message = invalid["message"].as_str().unwrap();
    assert!(
        message.contains("all.yaml:9: WebSocketApi default/chat: spec.path"),
        "{message}"
    );
}

#[test]
fn what_hides_keys_is_named() {
    let place = Place::new(MANIFESTS);
    let file = place.path("state/keys/default.ann-keys.yaml");
    std::fs::write(&file, "{{{").expect("the files");
    for (arguments, status) in [(&["keys", "show", "ann"][..], 1), (&["keys", "list"], 0)] {
        let output = place.tidegate(arguments);
        assert_eq!(output.status.code(), Some(status), "{output:?}");
        let said = String::from_utf8_lossy(&output.stderr);
        let place = format!("{}:1: ", file.display());
        assert!(said.contains(&place), "{arguments:?}: {said}");
        assert!(!said.contains("has no primaryKey"), "{arguments:?}: {said}");
    }
}

#[test]
fn manifests_that_do_not_exist_are_named() {
    for command in [
        &["keys", "show", "ann"][..],
        &["keys", "list"],
        &["subscriptions", "list"],
        &["status"],
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_tidegate"))
            .args(command)
            .args(["--dir", "nodir"])
            .output()
            .expect("the program starts");
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        let said = String::from_utf8_lossy(&output.stderr);
        let wanted = "failed to read nodir: No such file or directory";
        assert!(said.contains(wanted), "{command:?}: {said}");
    }
}

#[test]
fn a_check_of_manifests_names_the_problems() {
    let place = Place::new(MANIFESTS);
    let well = words(&place.says(&["check"], 0));
    let table = [
        "CHECK RESULT PROBLEM WHAT",
        "manifests ok - 7 objects were read",
        "objects ok - every object is well",
    ];
    assert_eq!(well, table);
    let missing = "spec: {listeners: [{name: tls, port: 8443, protocol: WSS, tls: {certificateRefs: [{name: absent}]}}]}";
    let before = "spec: {listeners: [{name: plain, port: 8080, protocol: WS}]}";
    let place = Place::new(&MANIFESTS.replace(before, missing));
    let names = place.says(&["check", "-o", "name"], 1);
    assert!(
        names.lines().any(|name| name == "unreadable-secret"),
        "{names}"
    );
    let rows = place.json(&["check"], 1);
    let rows = rows.as_array().unwrap();
    let row = rows
        .iter()
        .find(|row| row["problem"] == "unreadable-secret")
        .unwrap();
    assert_eq!(row["outcome"], "failed");
    assert!(row["message"].as_str().unwrap().contains("absent"), "{row}");
}

#[test]
fn without_an_api_server_the_check_says_so_and_the_others_cannot_run() {
    let config = json!({"apiVersion": "v1", "kind": "Config", "current-context": "it",
        "clusters": [{"name": "it", "cluster": {"server": "http://127.0.0.1:1"}}],
        "users": [{"name": "it", "user": {}}],
        "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}]});
    let place = tempfile::tempdir().unwrap();
    let kubeconfig = place.path().join("kubeconfig");
    std::fs::write(&kubeconfig, config.to_string()).unwrap();
    for (arguments, status, says) in [
        (&["check", "-o", "name"][..], 1, "api-server-away"),
        (&["status"], 2, "the API server does not answer"),
        (
            &["subscriptions", "list"],
            2,
            "the API server does not answer",
        ),
        (
            &["keys", "show", "ann"],
            2,
            "the API server does not answer",
        ),
        (&["tunnels", "list"], 2, "the API server does not answer"),
        (
            &["explain", "ws://edge/chat"],
            2,
            "the API server does not answer",
        ),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_tidegate"))
            .args(arguments)
            .arg("--kubeconfig")
            .arg(&kubeconfig)
            .output()
            .unwrap();
        ended(arguments, output, status, says);
    }
}

#[test]
fn as_a_plugin_of_kubectl_it_is_known_by_that_name_and_completes() {
    let place = tempfile::tempdir().unwrap();
    let run = |name: &str, arguments: &[&str]| {
        let link = place.path().join(name);
        let _ = std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_tidegate"), &link);
        let output = Command::new(link).args(arguments).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let help = run("kubectl-tidegate", &["keys", "--help"]);
    assert!(help.contains("Usage: kubectl tidegate keys"), "{help}");
    let candidates = run("kubectl_complete-tidegate", &["subscriptions", "a"]);
    assert_eq!(
        candidates,
        "approve\tApproves subscriptions to a product that asks for approval\n:4\n"
    );
    let values = run("kubectl_complete-tidegate", &["keys", "list", "-o", "j"]);
    assert!(values.starts_with("json\t"), "{values}");
}

#[test]
fn a_watch_prints_what_changes() {
    use std::io::{BufRead as _, BufReader};
    let place = Place::new(MANIFESTS);
    let mut watch = Command::new(env!("CARGO_BIN_EXE_tidegate"))
        .args(["subscriptions", "list", "-w", "-o", "json", "--dir"])
        .arg(place.path("m"))
        .arg("--state-dir")
        .arg(place.path("state"))
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    let mut next = || -> Value { serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap() };
    assert_eq!(next()["name"], "ann");
    assert_eq!(next()["state"], "Suspended");
    let active = MANIFESTS.replace("state: Suspended", "state: Active");
    std::fs::write(place.path("m/all.yaml"), active).unwrap();
    let row = next();
    assert_eq!(
        (&row["name"], &row["state"]),
        (&json!("bob"), &json!("Active"))
    );
    watch.kill().unwrap();
    watch.wait().unwrap();
}
