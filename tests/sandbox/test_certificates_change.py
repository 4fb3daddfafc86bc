"""Certificates renewed and made anew: what openssl, docker and curl say afterwards, and that a way back leads all the way back."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest
import snapshot
from cli import runbook

from conftest import https
from runbook.changes.plan import Step
from runbook.checks import renewal
from runbook.connection import Connection
from runbook.errors import EXIT_REFUSED
from runbook.facts import Facts, gather
from runbook.facts.lineage import lineages
from runbook.facts.renewal_dry_run import dry_run
from runbook.verdict import State, Verdict
from sandbox.faults import injection
from sandbox.inside import execute

if TYPE_CHECKING:
    from collections.abc import Iterator

    from changes import Change, Desk

    from conftest import Host
    from runbook.parameters import Parameters

pytestmark = [pytest.mark.sandbox, pytest.mark.timeout(600)]
RENEW, INTERNAL = "05-certificates/renew", "05-certificates/internal"
LIVE = "/etc/letsencrypt/live/pazpaz.test"
CERTS = "/opt/pazpaz/backend/certs"
PRINT = "openssl x509 -noout -fingerprint -sha256"
SETS = {
    "postgres": ("regenerate-ssl-certs-v2.sh", f"{CERTS}/server.crt", f"{CERTS}/ca.crt"),
    "minio": ("generate-minio-certs.sh", f"{CERTS}/minio/public.crt", f"{CERTS}/minio/ca.crt"),
}


@pytest.fixture
def mended(host: Host) -> Iterator[Host]:
    """The server, with every fault taken out again afterwards."""
    yield host
    injection.mend_all(host.name)


@pytest.fixture(autouse=True)
def as_issued(host: Host) -> Iterator[None]:
    """Certbot's folders are afterwards what they were: renewals of a week are counted by what lies there."""
    kept = "/var/cache/letsencrypt-kept"
    host.sh(f"rm -rf {kept}; cp -a /etc/letsencrypt {kept}")
    yield
    host.sh(f"""set -e; cd /etc/letsencrypt
        rm -rf live archive renewal /var/lib/runbook/*/replaced
        cp -a {kept}/live {kept}/archive {kept}/renewal .
        docker exec pazpaz-nginx nginx -s reload""")


def on_disk(host: Host, path: str = f"{LIVE}/fullchain.pem") -> str:
    return host.sh(f"{PRINT} -in {path}").strip()


def live_number(host: Host) -> int:
    """Return the number that all four live links end with."""
    (number,) = set(host.sh(f"readlink {LIVE}/*.pem | grep -oE '[0-9]+\\.pem$' | cut -d. -f1").split())
    return int(number)


def seen_by_users(settings: Parameters) -> str:
    """Return the fingerprint that a client on this machine is shown at the published port."""
    asked = ["openssl", "s_client", "-connect", str(settings.web.connect_to), "-servername", "pazpaz.test"]
    shown = subprocess.run(asked, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True).stdout
    return subprocess.run(PRINT.split(), input=shown, capture_output=True, text=True, check=True).stdout.strip()


def seen_inside(host: Host, which: str) -> str:
    """Return the fingerprint that the database or the object store shows to a client that trusts only its authority file."""
    name, port, more = {"postgres": ("db", 5432, "-starttls postgres"), "minio": ("minio", 9000, "")}[which]
    authority = SETS[which][2]
    return host.sh(f"""
        address=$(docker inspect -f '{{{{range .NetworkSettings.Networks}}}}{{{{.IPAddress}}}}{{{{end}}}}' pazpaz-{name})
        openssl s_client -connect $address:{port} {more} -CAfile {authority} -no-CApath -no-CAstore -verify_return_error \
            -verify_hostname {name} </dev/null 2>/dev/null | {PRINT}""").strip()


def went_well(done: Change, state: str = "applied") -> None:
    """It did what it should; what a busy machine's slow answers are taken for afterwards is not asked here."""
    assert done.code < EXIT_REFUSED, done
    assert done.applied["state"] == state, done


def ready(settings: Parameters) -> None:
    """Readiness of all parts, as a user's client sees it."""
    done = https(settings, "/api/v1/ready", "--fail")
    assert done.returncode == 0, done.stderr + done.stdout


def test_a_renewal_is_served_and_taken_back(host: Host, desk: Desk, settings: Parameters) -> None:
    before, old, number = snapshot.take(host), on_disk(host), live_number(host)
    done = desk.apply(RENEW, force=True)
    went_well(done)
    new = on_disk(host)
    assert new != old
    assert seen_by_users(settings) == new
    assert https(settings, "/", "--fail").returncode == 0  # with the authority's certificate: it is trusted
    assert snapshot.take(host).topic("started") == before.topic("started")  # reloaded, not restarted
    assert live_number(host) == number + 1
    undone = desk.undo(done)
    went_well(undone)
    assert seen_by_users(settings) == old
    assert before.differences(snapshot.take(host), ignore=snapshot.UNDONE) == []


def test_a_dry_run_changes_nothing_and_many_days_left_are_refused(host: Host, desk: Desk) -> None:
    before = snapshot.take(host)
    dry = desk.dry_run(RENEW, force=True)
    went_well(dry, "dry run")
    assert [step["name"] for step in dry.plan["steps"]] == ["keep-lineage", "renew", "test-nginx", "reload-nginx", "prove-served"]  # fmt: skip
    refused = desk.apply(RENEW, rehearse=False)
    assert refused.code == 4, refused
    assert "days are left, and it is renewed when 30 days are left" in refused.text
    assert before.differences(snapshot.take(host)) == []


def judged(settings: Parameters) -> tuple[Facts, Verdict]:
    """Rehearse a renewal and judge it."""
    with Connection(settings) as connection:
        facts = gather(connection, settings, [lineages, dry_run({"certificate": "public"})])
    (row,) = renewal.dry_run(facts, settings)
    return facts, row


def test_a_broken_challenge_is_told_in_words_with_its_evidence(mended: Host, settings: Parameters) -> None:
    injection.inject(mended.name, injection.find("renewal-broken"))
    before = snapshot.take(mended)
    facts, row = judged(settings)
    assert row.state is State.CRITICAL
    assert "404 under /.well-known/acme-challenge/: certbot puts its file into /var/www/elsewhere" in row.reason
    assert "nginx answered 404" in row.evidence
    assert facts.dry_run.seconds < 60, "the authority's silence is not waited for to its end"
    assert before.differences(snapshot.take(mended)) == [], "certbot took its challenge away"


def test_an_authority_that_is_down_is_told_in_words(host: Host, settings: Parameters) -> None:
    host.sh("systemctl stop practice-acme")
    try:
        _, row = judged(settings)
    finally:
        host.sh("systemctl start practice-acme")
    assert (row.state, row.reason) == (
        State.CRITICAL,
        "it would not be renewed: the server cannot reach the authority https://localhost:14443/acme/local/directory: Connection refused",
    )


def test_a_script_that_fails_half_way_leaves_the_old_set_and_spares_the_services(
    host: Host, desk: Desk, settings: Parameters
) -> None:
    script = f"/opt/pazpaz/scripts/production/{SETS['postgres'][0]}"
    before, old = snapshot.take(host), on_disk(host, SETS["postgres"][1])
    host.sh(f"""cp -p {script} /root/script
        sed -i '/^for name in/a if [ $name = ca.crt ]; then echo "no space left" >&2; exit 1; fi' {script}""")
    try:
        done = desk.apply(INTERNAL, which="postgres")
    finally:
        host.sh(f"cp -p /root/script {script}; rm /root/script")
    assert done.applied["state"] == "rolled back", done
    assert done.code == 5, done
    assert "no space left" in done.text
    assert seen_inside(host, "postgres") == old == on_disk(host, SETS["postgres"][1])
    assert before.differences(snapshot.take(host), ignore=("file /var/lib/runbook",)) == [], "not even a restart"
    ready(settings)


@pytest.mark.matrix
@pytest.mark.parametrize("which", sorted(SETS))
def test_an_internal_set_is_made_anew_used_and_taken_back(
    host: Host, desk: Desk, settings: Parameters, which: str
) -> None:
    _, certificate, authority = SETS[which]
    before, old = snapshot.take(host), on_disk(host, certificate)
    done = desk.apply(INTERNAL, which=which)
    went_well(done)
    new = on_disk(host, certificate)
    assert new != old
    assert seen_inside(host, which) == new
    inside = "/certs/ca.crt" if which == "postgres" else "/certs/minio/ca.crt"
    for container in ("pazpaz-api", "pazpaz-arq-worker"):
        assert host.sh(f"docker exec {container} cat {inside}") == host.sh(f"cat {authority}")
    ready(settings)
    proof = next(Step.from_json(step) for step in done.plan["steps"] if step["name"] == "prove-tls").command.argv
    other = SETS["minio" if which == "postgres" else "postgres"][2]
    assert execute(host.name, list(proof)).ok
    assert not execute(host.name, [other if word == authority else word for word in proof]).ok, "it proves something"
    undone = desk.undo(done)
    went_well(undone)
    assert seen_inside(host, which) == old
    ready(settings)
    assert before.differences(snapshot.take(host), ignore=snapshot.UNDONE) == []


@pytest.mark.matrix
def test_a_certificate_that_its_authority_did_not_issue_is_found_before_anything_is_restarted(
    host: Host, desk: Desk
) -> None:
    script = f"/opt/pazpaz/scripts/production/{SETS['minio'][0]}"
    before = snapshot.take(host)
    host.sh(f"""cp -p {script} /root/script
        sed -i 's/^for name in private.key public.crt ca.crt/for name in private.key public.crt/' {script}""")
    try:
        done = desk.apply(INTERNAL, which="minio")
    finally:
        host.sh(f"cp -p /root/script {script}; rm /root/script")
    assert done.applied["state"] == "rolled back", done
    assert "step prove-chains" in done.text
    assert before.differences(snapshot.take(host), ignore=("file /var/lib/runbook",)) == []


@pytest.mark.matrix
def test_the_plan_as_shell_text_renews_alike(host: Host, settings: Parameters) -> None:
    old = on_disk(host)
    printed = runbook("run", RENEW, "--target", f"sandbox@{host.name}", "--instructions", "-p", "force", "true", "-p", "rehearse", "false")  # fmt: skip
    assert printed.returncode == 0, printed.stderr
    host.sh(f"cat > /root/paste <<'PASTED_TEXT'\n{printed.stdout}\nPASTED_TEXT")
    said = host.sh("bash -i < /root/paste 2>&1; rm /root/paste")
    assert "all 5 steps are done" in said, said
    new = on_disk(host)
    assert new != old
    assert seen_by_users(settings) == new


@pytest.mark.matrix
@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("renewal-broken", "certbot could not renew it: its webroot"),
        ("renewal-link-lost", "is no link"),
        ("proxy-config-broken", "nginx would not reload"),
    ],
)
def test_a_renewal_that_would_fail_is_refused(mended: Host, desk: Desk, fault: str, told: str) -> None:
    injection.inject(mended.name, injection.find(fault))
    before = snapshot.take(mended)
    refused = desk.apply(RENEW, force=True)
    assert refused.code == 4, refused
    assert told in refused.text
    dry = desk.dry_run(RENEW, force=True)
    assert dry.code == State.CRITICAL.value, dry
    assert dry.plan["steps"] == []
    assert before.differences(snapshot.take(mended), ignore=("file /var/lib/runbook",)) == []  # where the lock was


@pytest.mark.matrix
def test_a_failed_renewal_leaves_the_old_certificate_served(mended: Host, desk: Desk, settings: Parameters) -> None:
    """Without a rehearsal the renewal itself fails: the way back finds nothing to take back."""
    before, old = snapshot.take(mended), on_disk(mended)
    mended.sh("systemctl stop practice-acme")
    try:
        done = desk.apply(RENEW, force=True, rehearse=False)
    finally:
        mended.sh("systemctl start practice-acme")
    assert done.applied["state"] == "rolled back", done
    assert "Connection refused" in done.text
    assert seen_by_users(settings) == old == on_disk(mended)
    assert before.differences(snapshot.take(mended), ignore=snapshot.UNDONE) == []


@pytest.mark.matrix
def test_what_the_timer_renewed_and_nobody_reloaded_is_only_reloaded(
    mended: Host, desk: Desk, settings: Parameters
) -> None:
    injection.inject(mended.name, injection.find("certificate-not-served"))
    assert seen_by_users(settings) != on_disk(mended)
    done = desk.apply(RENEW)
    assert done.applied["state"] == "applied", done
    assert [name for _, name, _ in done.steps] == ["test-nginx", "reload-nginx", "prove-served"]
    assert seen_by_users(settings) == on_disk(mended)


@pytest.mark.matrix
def test_renewals_of_a_week_are_counted_until_the_limit(host: Host, desk: Desk) -> None:
    for _ in range(4):  # the first one was issued when the server was made
        host.sh("certbot renew --cert-name pazpaz.test --force-renewal --no-random-sleep-on-renew -n -q")
    refused = desk.apply(RENEW, force=True, rehearse=False)
    assert refused.code == 4, refused
    assert "5 certificates for public were issued within the last 7 days, and the authority allows 5" in refused.text


@pytest.mark.matrix
@pytest.mark.parametrize("marks", [["live"], ["archive"]])
def test_a_certbot_that_was_killed_half_way_is_run_again(
    host: Host, desk: Desk, settings: Parameters, marks: list[str]
) -> None:
    """What a cut-off renewal leaves: a lone key in the archive, or links that do not agree. certbot goes on from there."""
    old = on_disk(host)
    number = live_number(host)
    if marks == ["archive"]:
        host.sh(f"cd /etc/letsencrypt/archive/pazpaz.test; cp -p privkey{number}.pem privkey{number + 1}.pem")
    else:
        host.sh(f"""set -e; cd /etc/letsencrypt/archive/pazpaz.test
            for kind in cert chain fullchain privkey; do cp -p ${{kind}}{number}.pem ${{kind}}{number + 1}.pem; done
            ln -sf ../../archive/pazpaz.test/cert{number + 1}.pem {LIVE}/cert.pem""")
    done = desk.apply(RENEW, force=True, rehearse=False)
    went_well(done)
    assert on_disk(host) != old
    assert seen_by_users(settings) == on_disk(host)
