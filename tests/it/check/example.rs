//! `examples/check` as a program.

use std::process::Output;

use codehost_oauth::testing::{FakeApplication, FakeGitLab};
use tokio::process::Command;

use crate::support::free_address;
use crate::support::programs::example;

async fn run(base_url: &str, secret: Option<&str>, more: &[&str]) -> Output {
    let mut command = Command::new(example("check"));
    command.args(["--platform", "gitlab", "--base-url", base_url, "--public-url", "http://127.0.0.1:9000"]);
    command.args(["--id", "demo", "--client-id", "my-id", "--access", "sign-in", "--allow-http"]).args(more);
    command.env_remove("CODEHOST_CLIENT_SECRET");
    if let Some(secret) = secret {
        command.env("CODEHOST_CLIENT_SECRET", secret);
    }
    command.output().await.unwrap()
}

fn texts(output: &Output) -> (String, String) {
    let [stdout, stderr] = [&output.stdout, &output.stderr].map(|text| String::from_utf8(text.clone()).unwrap());
    crate::secrets::leak_check::text("the output of an example", &format!("{stdout} {stderr}"));
    (stdout, stderr)
}

#[tokio::test]
async fn the_exit_status_and_the_report_show_the_findings() {
    let app =
        FakeApplication::new("my-id", "canary-right", "http://127.0.0.1:9000/oauth/callback/gitlab/demo", "read_user");
    let gitlab = FakeGitLab::builder().application(app).start().await.unwrap();

    let output = run(gitlab.base_url(), Some("canary-right"), &[]).await;
    let (stdout, stderr) = texts(&output);
    assert_eq!((output.status.code(), stderr.as_str()), (Some(0), ""), "{stdout}");
    assert!(
        stdout.contains("Everything that can be checked without a login is correct.")
            && stdout.contains("[credentials]")
            && stdout.contains("Not checked:")
    );

    let output = run(gitlab.base_url(), Some("wrong-secret"), &["--format", "json"]).await;
    let (stdout, stderr) = texts(&output);
    assert_eq!(output.status.code(), Some(1));
    let report: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(report["verdict"], "wrong");
    let finding = report["findings"].as_array().unwrap().iter().find(|row| row["level"] == "problem").unwrap();
    assert_eq!((&finding["code"], &finding["audience"]), (&"client_rejected".into(), &"administrator".into()));
    assert!(stderr.starts_with("error[client_rejected]: ") && stderr.contains("\nhint: "), "{stderr}");
    assert!(!stdout.contains("wrong-secret") && !stderr.contains("wrong-secret"));

    let closed = format!("http://{}", free_address());
    let output = run(&closed, Some("canary-right"), &[]).await;
    let (stdout, stderr) = texts(&output);
    assert_eq!(output.status.code(), Some(1));
    assert!(stdout.contains("[unreachable]") && stderr.starts_with("error[unreachable]: "), "{stdout}{stderr}");

    let output = run(gitlab.base_url(), None, &[]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(texts(&output).1.starts_with("error[client_secret_missing]: "));

    let output = run(gitlab.base_url(), Some("canary-right"), &["--format", "yaml"]).await;
    assert_eq!((output.status.code(), texts(&output).0.as_str()), (Some(2), ""));
}
