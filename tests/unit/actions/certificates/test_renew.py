"""Plans of renewals and of internal sets: what they refuse, in which order they go, and that a cut-off way back can be repeated."""

from __future__ import annotations

import dataclasses
import datetime as dt
import itertools
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from captured import Captured

from runbook.actions.certificates import scripts
from runbook.actions.certificates.internal import internal
from runbook.actions.certificates.renew import renew
from runbook.changes.plan import Context, Plan
from runbook.errors import ParametersError, PreflightError
from runbook.facts import Facts, gather
from runbook.facts.certificates import certificates
from runbook.facts.lineage import lineages
from runbook.facts.proxy import proxy_config
from runbook.facts.renewal_configs import renewal_configs
from runbook.facts.renewal_dry_run import dry_run
from runbook.verdict import Verdicts

if TYPE_CHECKING:
    from runbook.parameters import Parameters

NOON = 1795521600.0  # 2026-11-24 12:00 UTC
DAYS = 86_400.0
STAMP = "20261124T120000Z"
BEFORE = "20261124T112000Z"  # earlier than the newest certificate was written
RENEWAL = ["keep-lineage", "renew", "test-nginx", "reload-nginx", "prove-served"]


def context(
    parameters: Parameters, *, later: float = 0, rehearsal: str = "good", proxy: str = "healthy", stamp: str = STAMP,
    case: str = "healthy", **values: Any,
) -> Context:  # fmt: skip
    """Return what the planner sees of captured answers, `later` days after that noon."""
    gate = Captured(
        Path("lineage/lineages-renewed-and-taken-back.out"), Path(f"renewal_dry_run/dry_run-{rehearsal}.out"),
        Path(f"proxy/proxy_config-{proxy}.out"), Path(f"certificates/certificates-{case}.out"),
    )  # fmt: skip
    asked = {"certificate": "public", "force": False, "rehearse": True, "which": "postgres"} | values
    at = NOON + later * DAYS
    facts = gather(gate, parameters, [certificates, lineages, proxy_config, dry_run(asked)], clock=lambda: at)
    return Context(facts, Verdicts(()), parameters, asked, stamp)


def names(plan: Plan) -> list[str]:
    return [step.name for step in plan.steps]


def test_what_is_not_due_is_nothing_to_do_and_refused_where_it_is_insisted_on(parameters: Parameters) -> None:
    plan = renew(context(parameters))
    assert plan.steps == ()
    assert "it is not due: 90 days are left" in plan.nothing
    with pytest.raises(PreflightError, match="it is not due"):
        renew(context(parameters, apply=True))


@pytest.mark.parametrize("options", [{"force": True}, {"later": 60.5}, {"later": 95}])
def test_what_is_due_or_forced_is_renewed_alone(parameters: Parameters, options: dict[str, Any]) -> None:
    plan = renew(context(parameters, apply=True, **options))
    assert names(plan) == RENEWAL
    argv = plan.steps[1].command.argv
    assert argv == ("certbot", "renew", "--cert-name", "pazpaz.test", "--force-renewal", "--no-random-sleep-on-renew", "--non-interactive")  # fmt: skip
    assert plan.automatic_undo


def test_nginx_is_tested_before_it_is_reloaded_and_every_undo_ends_with_a_proof(parameters: Parameters) -> None:
    plan = renew(context(parameters, force=True))
    test, reload = plan.steps[2:4]
    assert test.command.argv[-2:] == ("nginx", "-t")
    assert not test.changes
    assert reload.command.argv[-3:] == ("nginx", "-s", "reload")
    assert [step.kind for step in plan.steps[1].undo] == ["change", "change", "wait"]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"rehearsal": "not-found"}, "the rehearsal failed, so a renewal would fail too: pazpaz.test answers 404"),
        ({"rehearsal": "authority-down"}, "cannot reach the authority"),
        ({"rehearsal": "cut-off"}, "the rehearsal gave no answer"),
        ({"proxy": "broken"}, 'nginx would not reload, its configuration has an error: unknown directive "htttp"'),
        ({"proxy": "stopped"}, "nginx could not be asked"),
    ],
)
def test_what_would_fail_is_refused_before_anything_is_changed(
    parameters: Parameters, options: dict[str, Any], reason: str
) -> None:
    assert reason in renew(context(parameters, force=True, **options)).nothing
    with pytest.raises(PreflightError, match="public is not renewed"):
        renew(context(parameters, force=True, apply=True, **options))


def limited(parameters: Parameters, most: int) -> Parameters:
    settings = parameters.certificates.model_copy(update={"renewals_per_week": most})
    return parameters.model_copy(update={"certificates": settings})


def test_the_limit_of_a_week_holds_whatever_is_forced(parameters: Parameters) -> None:
    assert names(renew(context(limited(parameters, 4), force=True))) == RENEWAL
    with pytest.raises(PreflightError, match="3 certificates for public were issued within the last 7 days"):
        renew(context(limited(parameters, 3), force=True, apply=True))
    assert names(renew(context(limited(parameters, 3), later=61))) == RENEWAL  # they are older than a week by then


def test_a_name_that_certbot_does_not_renew_is_refused_with_those_it_does(parameters: Parameters) -> None:
    for name in ("nosuch", "postgres", "", "../public"):
        with pytest.raises(ParametersError, match=r"there are: public \(certbot's pazpaz.test\)"):
            renew(context(parameters, certificate=name))
    assert names(renew(context(parameters, certificate="pazpaz.test", force=True))) == RENEWAL


def test_a_resumed_renewal_goes_on_whatever_the_rehearsal_and_the_count_say_now(parameters: Parameters) -> None:
    plan = renew(context(limited(parameters, 1), stamp=BEFORE, rehearsal="not-found", apply=True, force=True))
    assert names(plan) == RENEWAL


@pytest.mark.parametrize(
    ("case", "reason"),
    [("plain-file", "cert.pem is no link"), ("hook", "its renew_hook /usr/local/bin/reload-nginx does not exist"), ("healthy", ""), ("older", ""), ("autorenew", "")],
)  # fmt: skip
def test_a_renewal_that_certbot_cannot_start_from_is_not_planned(
    parameters: Parameters, case: str, reason: str
) -> None:
    given = context(parameters, force=True, rehearse=False)
    seen = gather(Captured(Path(f"renewal_configs/renewal_configs-{case}.out")), parameters, [renewal_configs])
    known = {name: given.facts[name] for name in given.facts} | {"renewal_configs": seen["renewal_configs"]}
    plan = renew(dataclasses.replace(given, facts=Facts(known, {}, seconds=0, begun=NOON)))
    assert names(plan) == ([] if reason else RENEWAL)
    assert reason in plan.nothing


@pytest.mark.parametrize(
    ("days", "force", "expected"),
    [(-60, False, ["test-nginx", "reload-nginx", "prove-served"]), (1, False, []), (-60, True, RENEWAL)],
)
def test_only_a_later_certificate_on_disk_than_the_served_one_is_merely_reloaded(
    parameters: Parameters, days: int, force: bool, expected: list[str]
) -> None:
    given = context(parameters, force=force)
    public, *others = given.facts["certificates"]
    begins = public.disk.not_before + dt.timedelta(days=days)
    served = dataclasses.replace(public.served, sha256="of another one", not_before=begins)
    changed = {"certificates": (dataclasses.replace(public, served=served), *others)}
    facts = Facts({name: given.facts[name] for name in given.facts} | changed, {}, seconds=0, begun=NOON)
    assert names(renew(dataclasses.replace(given, facts=facts))) == expected


def test_no_step_of_a_first_run_is_taken_for_done_by_what_is_served_already(parameters: Parameters) -> None:
    """Before the renewal the old one is on disk and served: that must not count as reloaded."""
    plan = renew(context(parameters, force=True))
    reload = plan.steps[3]
    assert reload.done is not None
    done = subprocess.run([*reload.done.argv[:4], "/nowhere", *reload.done.argv[5:]], capture_output=True, check=False)
    assert done.returncode != 0


def test_the_plan_is_the_same_plan_a_minute_later(parameters: Parameters) -> None:
    first = renew(context(parameters, force=True))
    assert first.digest == renew(context(parameters, force=True, stamp="20261124T120100Z")).digest
    made = internal(context(parameters))
    assert made.digest == internal(context(parameters, stamp="20261124T120100Z")).digest


@pytest.mark.parametrize(("which", "first"), [("postgres", "db"), ("minio", "minio")])
def test_an_internal_set_is_kept_made_proven_and_then_used_in_order(
    parameters: Parameters, which: str, first: str
) -> None:
    plan = internal(context(parameters, which=which))
    order = names(plan)
    assert order[:4] == ["keep-set", "make-set", "prove-chains", f"restart-{first}"]
    assert [name for name in order if name.startswith("restart-")] == [f"restart-{first}", "restart-api", "restart-arq-worker"]  # fmt: skip
    assert order.index("prove-tls") > order.index("wait-arq-worker")
    assert order[-2:] == ["prove-health", "prove-ready"]
    assert plan.automatic_undo
    assert plan.steps[1].undo[0].name == "put-back-set"
    assert plan.steps[1].undo[-1].kind == "wait"
    assert ("prove-store" in order) == (which == "minio")


def test_an_unknown_set_is_refused_with_the_known_ones(parameters: Parameters) -> None:
    with pytest.raises(ParametersError, match="there are: postgres, minio"):
        internal(context(parameters, which="redis"))


def test_a_shared_authority_is_said(parameters: Parameters) -> None:
    assert internal(context(parameters)).notes == ()
    items = tuple(
        item.model_copy(update={"chain": "/opt/pazpaz/backend/certs/ca.crt"}) if item.name == "minio" else item
        for item in parameters.certificates.items
    )
    shared = parameters.model_copy(update={"certificates": parameters.certificates.model_copy(update={"items": items})})
    (note,) = internal(context(shared)).notes
    assert "minio is issued by the same authority" in note


def bash(script: str, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["bash", "-c", script, "runbook", *words], capture_output=True, text=True, check=False)


def tree(folder: Path) -> dict[str, tuple[str, int]]:
    return {
        str(path.relative_to(folder)): (str(path.readlink()) if path.is_symlink() else path.read_text(), path.lstat().st_mode)
        for path in sorted(folder.rglob("*"))
        if path.is_symlink() or path.is_file()
    }  # fmt: skip


SET = ("ca.key", "server.key", "ca.crt", "server.crt")


@pytest.mark.parametrize("replaced", range(len(SET) + 1))
def test_the_set_from_before_comes_back_wherever_the_script_was_cut_off(tmp_path: Path, replaced: int) -> None:
    folder, kept = tmp_path / "certs", tmp_path / "kept"
    (folder / "minio").mkdir(parents=True)
    for name in SET:
        (folder / name).write_text(f"old {name}")
        (folder / name).chmod(0o600 if name.endswith("key") else 0o644)
    (folder / "minio" / "public.crt").write_text("not of this set")
    before, place = tree(folder), (folder / "minio").stat().st_ino
    subprocess.run(["bash", "-c", 'mkdir -p "$1$2"; cp -a "$2/." "$1$2"', "x", kept, folder], check=True)
    (folder / ".new.Ab12Cd").mkdir()
    (folder / ".new.Ab12Cd" / "server.csr").write_text("half")
    for name in SET[:replaced]:
        (folder / f"{name}.old").write_text(f"old {name}")
        (folder / name).write_text(f"new {name}")
    for _ in range(2):
        done = bash(scripts.PUT_BACK_SET, str(kept), str(folder))
        assert done.returncode == 0, done.stderr
        assert tree(folder) == before
    assert (folder / "minio").stat().st_ino == place, "a folder that is mounted must stay the same folder"


def test_nothing_is_put_back_where_nothing_was_kept(tmp_path: Path) -> None:
    (tmp_path / "ca.crt").write_text("old")
    assert bash(scripts.PUT_BACK_SET, str(tmp_path / "kept"), str(tmp_path)).returncode == 0
    assert bash(scripts.PUT_BACK_LINEAGE, str(tmp_path / "kept"), str(tmp_path / "ca.crt")).returncode == 0
    assert (tmp_path / "ca.crt").read_text() == "old"


def lineage(root: Path, number: int) -> list[Path]:
    """Lay down a lineage whose newest certificate has this number."""
    archive, live, conf = root / "archive" / "a.test", root / "live" / "a.test", root / "renewal" / "a.test.conf"
    for folder in (archive, live, conf.parent):
        folder.mkdir(parents=True, exist_ok=True)
    for kind, one in itertools.product(("cert", "chain", "fullchain", "privkey"), range(1, number + 1)):
        (archive / f"{kind}{one}.pem").write_text(f"{kind} {one}")
        (live / f"{kind}.pem").unlink(missing_ok=True)
        (live / f"{kind}.pem").symlink_to(f"../../archive/a.test/{kind}{number}.pem")
    conf.write_text(f"number {number}")
    return [archive, conf, live]


@pytest.mark.parametrize("gone", ["", "live/a.test", "archive/a.test", "renewal/a.test.conf"])
def test_a_lineage_comes_back_whole_also_where_the_way_back_was_cut_off(tmp_path: Path, gone: str) -> None:
    root, kept = tmp_path / "letsencrypt", tmp_path / "run" / "kept"
    lineage(root, 1)
    before = tree(root)
    subprocess.run(["bash", "-c", 'mkdir -p "$1$2"; cp -a "$2/." "$1$2"', "x", kept, root], check=True)
    places = lineage(root, 2)
    after = tree(root)
    done = bash(scripts.PUT_BACK_LINEAGE, str(kept), *map(str, places))
    assert done.returncode == 0, done.stderr
    if gone:
        subprocess.run(["rm", "-r", root / gone], check=True)
    assert bash(scripts.PUT_BACK_LINEAGE, str(kept), *map(str, places)).returncode == 0
    assert tree(root) == before
    assert tree(Path(f"{kept.parent}/replaced{root}")) == after, "what it replaced is kept"


def pair(folder: Path, name: str, authority: str) -> None:
    """Make a key and a certificate signed by the authority (by itself where it is the authority)."""
    made = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "9",
    ]
    signed: list[str | Path] = [] if authority == name else ["-CA", folder / f"{authority}.crt", "-CAkey", folder / f"{authority}.key", "-addext", "basicConstraints=critical,CA:FALSE", "-addext", "authorityKeyIdentifier=keyid"]  # fmt: skip
    usage = ["-addext", "keyUsage=critical,keyCertSign,cRLSign"] if authority == name else []
    subprocess.run(
        [*made, *signed, *usage, "-subj", f"/CN={name}", "-keyout", folder / f"{name}.key", "-out", folder / f"{name}.crt"],
        check=True, capture_output=True,
    )  # fmt: skip


def test_a_set_counts_as_made_only_when_it_is_new_and_whole(tmp_path: Path) -> None:
    folder, kept = tmp_path / "certs", tmp_path / "kept"
    folder.mkdir()
    words = (str(kept), str(folder / "server.crt"), str(folder / "server.key"), str(folder / "ca.crt"))
    for name, authority in (("ca", "ca"), ("server", "ca")):
        pair(folder, name, authority)
    assert bash(scripts.MADE, *words).returncode != 0, "nothing was kept, so nothing was begun"
    subprocess.run(["bash", "-c", 'mkdir -p "$1$2"; cp -a "$2/." "$1$2"', "x", kept, folder], check=True)
    assert bash(scripts.MADE, *words).returncode != 0, "it is still the old one"
    pair(folder, "server", "ca")
    assert bash(scripts.MADE, *words).returncode == 0
    pair(folder, "ca", "ca")
    assert bash(scripts.MADE, *words).returncode != 0, "its authority was made anew, and it was not"
    pair(folder, "server", "ca")
    pair(folder, "other", "ca")
    (folder / "other.key").rename(folder / "server.key")
    assert bash(scripts.MADE, *words).returncode != 0, "the key is another one's"
