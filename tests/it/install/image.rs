//! The image, by the Dockerfile that it is built from, and the workflows that build and push it. Neither is run here: that takes a
//! container engine, and GitHub.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{rendered, the};

const MAKEFILE: &str = include_str!("../../../Makefile");
const DOCKERFILE: &str = include_str!("../../../Dockerfile");

/// The instructions of the last stage, which is all that the image has.
fn image() -> Vec<&'static str> {
    let lines = DOCKERFILE.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut lines: Vec<_> = lines.collect();
    let from = lines.iter().rposition(|line| line.starts_with("FROM ")).expect("a stage");
    lines.split_off(from)
}

#[test]
fn the_image_is_the_program_and_the_ca_certificates_on_nothing() {
    let expected = [
        "FROM scratch",
        "COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt",
        "COPY --from=build /tradewind /tradewind",
        "USER 65532:65532",
        "EXPOSE 8080",
        "ARG VERSION=unknown",
        "ARG REVISION=unknown",
        "LABEL org.opencontainers.image.title=tradewind",
        concat!("LABEL org.opencontainers.image.source=", env!("CARGO_PKG_REPOSITORY")),
        concat!("LABEL org.opencontainers.image.licenses=", env!("CARGO_PKG_LICENSE")),
        "LABEL org.opencontainers.image.version=$VERSION",
        "LABEL org.opencontainers.image.revision=$REVISION",
        "ENTRYPOINT [\"/tradewind\"]",
        "CMD [\"run\"]",
    ];
    assert_eq!(image(), expected);
}

/// Which the file by itself does not know.
#[test]
fn an_image_is_told_its_version_and_revision_and_is_asked_for_them() {
    let recipe = |target: &str| {
        let (_, rest) = MAKEFILE.split_once(&format!("\n{target}: ## ")).expect("a target");
        rest.split_once("\n\n").expect("its end").0
    };
    for argument in ["VERSION=$(IMAGE_VERSION)", "REVISION=\"$$(git rev-parse HEAD"] {
        assert!(recipe("image").contains(&format!("--build-arg {argument}")), "{argument}");
    }
    assert!(recipe("image-check").contains("org.opencontainers.image.version"));
}

#[tokio::test]
async fn the_user_of_the_image_is_that_of_the_pod_and_the_one_that_is_checked() {
    let objects = rendered("tradewind", "").await;
    let context = &the(&objects, "Deployment")["spec"]["template"]["spec"]["securityContext"];
    let user = format!("{}:{}", context["runAsUser"], context["runAsGroup"]);
    assert!(image().contains(&format!("USER {user}").as_str()), "{user}");
    assert!(MAKEFILE.contains(&format!("'{{{{.Config.User}}}}' $(IMAGE))\" = {user} ]")), "make image-check");
}

/// What each job of a workflow runs, a line at a time.
fn jobs(workflow: &Path) -> Vec<Vec<String>> {
    let workflow = std::fs::read_to_string(workflow).expect("a workflow");
    let workflow: Value = serde_yaml::from_str(&workflow).expect("YAML");
    let jobs = workflow["jobs"].as_object().expect("jobs").values();
    let lines =
        |step: &Value| step["run"].as_str().into_iter().flat_map(str::lines).map(str::to_owned).collect::<Vec<_>>();
    jobs.map(|job| job["steps"].as_array().expect("steps").iter().flat_map(lines).collect()).collect()
}

fn workflows() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(".github/workflows");
    std::fs::read_dir(folder).expect("workflows").map(|file| file.expect("a file").path()).collect()
}

/// The targets of make in a line of a script; variables come after them.
fn targets(line: &str) -> Vec<&str> {
    let words = line.strip_prefix("make ").into_iter().flat_map(|rest| rest.split(' '));
    words.take_while(|word| !word.contains('=')).collect()
}

#[test]
fn every_target_of_make_in_a_workflow_is_one() {
    let lines: Vec<String> = workflows().iter().flat_map(|file| jobs(file)).flatten().collect();
    let named: Vec<_> = lines.iter().flat_map(|line| targets(line)).collect();
    assert!(named.len() > 8, "{named:?}");
    let missing = |target: &&&str| !MAKEFILE.contains(&format!("\n.PHONY: {target}\n{target}:"));
    assert_eq!(named.iter().filter(missing).collect::<Vec<_>>(), [&""; 0]);
    assert_eq!(targets("make release-files image VERSION=\"${GITHUB_REF_NAME#v}\""), ["release-files", "image"]);
}

/// By what it is, and not by a tag, which can be moved before it is signed.
#[test]
fn what_is_pushed_is_signed_by_its_digest() {
    let pushes = |line: &str| line.starts_with("docker push") || line.starts_with("helm push");
    let mut count = 0;
    for lines in workflows().iter().flat_map(|file| jobs(file)) {
        let last = lines.iter().rposition(|line| pushes(line));
        count += lines.iter().filter(|line| pushes(line)).count();
        let after = last.map_or(&[][..], |last| &lines[last..]);
        let signed: Vec<_> = after.iter().filter(|line| line.starts_with("cosign sign --yes ")).collect();
        assert_eq!(signed.len(), lines.iter().filter(|line| pushes(line)).count(), "{lines:?}");
        assert!(signed.iter().all(|line| line.contains("RepoDigests") || line.contains("tradewind@")), "{signed:?}");
    }
    assert_eq!(count, 2, "the image and the chart");
}

/// Built twice, there would be two, and nobody would know whether what was checked is what runs.
#[test]
fn the_binary_of_the_image_is_the_one_that_is_checked_and_released() {
    let release: Vec<_> = workflows().iter().flat_map(|file| jobs(file)).filter(|lines| pushes(lines)).collect();
    let [lines] = &release[..] else { panic!("one job releases: {release:?}") };
    let at = |begin: &str| lines.iter().position(|line| line.starts_with(begin)).unwrap_or_else(|| panic!("{begin}"));
    let order = [
        "make image",
        "make image-check",
        "make image-binary",
        "make release-check ",
        "make release-files ",
        "docker push ",
    ];
    let places = order.map(at);
    assert!(places.is_sorted(), "{lines:?}");
    let (_, taken) = MAKEFILE.split_once("\nimage-binary: ").expect("a target");
    let to = "target/image/tradewind";
    assert!(taken.split_once("\n\n").expect("its end").0.contains(&format!("docker cp \"$$id:/tradewind\" {to} ")));
    for begin in ["make release-check ", "make release-files "] {
        assert!(lines[at(begin)].ends_with(&format!(" BINARY={to}")), "{}", lines[at(begin)]);
    }
    let alone = ["size", "resident", "release-files"];
    for target in alone {
        // With another binary nothing else is built, and that one is looked at.
        let (_, rest) = MAKEFILE.split_once(&format!("\n{target}: $(BUILT) ")).unwrap_or_else(|| panic!("{target}"));
        assert!(rest.split_once("\n\n").expect("its end").0.contains("$(BINARY)"), "{target}");
    }
    assert!(!lines.iter().any(|line| line.contains("make static")), "{lines:?}");
}

/// What is beside the release can be traced to the workflow, too: the bill of materials by the image, all else by its checksums.
#[test]
fn the_bill_of_materials_and_the_checksums_are_signed_before_they_are_released() {
    let release = workflows().iter().flat_map(|file| jobs(file)).find(|lines| pushes(lines)).expect("a release");
    let the = |begin: &str| {
        let found: Vec<_> = release.iter().enumerate().filter(|(_, line)| line.starts_with(begin)).collect();
        assert_eq!(found.len(), 1, "{begin}: {release:?}");
        (found[0].0, found[0].1.as_str())
    };
    let (files, _) = the("make release-files");
    let (pushed, _) = the("docker push");
    let (attested, bill) = the("cosign attest --yes --type cyclonedx ");
    let (signed, sums) = the("cosign sign-blob --yes ");
    let (released, assets) = the("gh release create");
    assert!(
        bill.contains("--predicate target/release-files/tradewind.cdx.json ") && bill.contains("RepoDigests"),
        "{bill}"
    );
    assert!(
        sums.ends_with(" target/release-files/SHA256SUMS") && sums.contains("--bundle target/release-files/"),
        "{sums}"
    );
    assert!(assets.ends_with(" target/release-files/*"), "{assets}");
    assert!(files < pushed && pushed < attested && files < signed && attested < released && signed < released);
}

/// Whether a job pushes an image.
fn pushes(lines: &[String]) -> bool {
    lines.iter().any(|line| line.starts_with("docker push"))
}

#[test]
fn every_image_that_is_built_is_checked_before_it_is_pushed() {
    let builds = |lines: &Vec<String>| lines.iter().any(|line| line == "make image");
    let jobs: Vec<_> = workflows().iter().flat_map(|file| jobs(file)).filter(builds).collect();
    assert_eq!(jobs.len(), 2, "one tries it, one releases it");
    for built in jobs {
        let at = |begin: &str| built.iter().position(|line| line.starts_with(begin));
        let (image, check, push) = (at("make image"), at("make image-check"), at("docker push"));
        assert!(image < check && push.is_none_or(|push| check < Some(push)), "{built:?}");
    }
}
