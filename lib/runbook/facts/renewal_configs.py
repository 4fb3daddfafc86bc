"""What certbot would renew from: its renewal configuration files, and whether what they name is there.

certbot's guide, "Where are my certificates?": renewal/NAME.conf says how a certificate was obtained and names the links
in live/NAME, which point at the newest generation in archive/NAME (cert1.pem, cert2.pem, ...). Only read here.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from runbook.commands import Command
from runbook.errors import ParseError
from runbook.facts import Fact
from runbook.facts.lineage import KINDS, NUMBERED, Places, renewable
from runbook.facts.proxy import container

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runbook.commands import Result
    from runbook.parameters import Parameters

# $1 certbot's folder, $2 the web server's container or nothing, then the lineages expected in the folder. Every path that a configuration names is looked at, whatever its key: a webroot, a hook, a link.
READ = r"""root=$1 web=$2; shift 2
looked_at() {
  while read -r path; do
    kind=other; [ -f "$path" ] && kind=file; [ -d "$path" ] && kind=directory; [ -e "$path" ] || kind=missing
    program=-; [ -f "$path" ] && [ -x "$path" ] && program=executable
    echo "path $kind $program $path"
    [ -L "$path" ] && echo "link $(readlink "$path")"
  done
}
for conf in "$root"/renewal/*.conf; do
  [ -e "$conf" ] || [ -L "$conf" ] || continue
  name=${conf##*/}; name=${name%.conf}
  echo "config $name"
  sed 's/^/text /' "$conf"
  values=$(sed -nE "s/^[[:space:]]*[^#=[]+=[[:space:]]*//p" "$conf")
  { echo "$values" | tr ',' '\n'; echo "$values" | awk '{print $1}'; } | tr -d "\"'" | sed 's/^ *//; s/[ ,]*$//' | grep '^/' | sort -u | looked_at
  sed -nE "s/^[[:space:]]*[a-z_]+_hook[[:space:]]*=[[:space:]]*[\"']?([^[:space:]\"'/]+)([[:space:]\"'].*)?$/\1/p" "$conf" | sort -u | while read -r word; do
    command -v "$word" >/dev/null && echo "path file executable $word" || echo "path missing - $word"
  done
  archive=$(sed -nE 's/^archive_dir *= *//p' "$conf")
  for file in "${archive:-$root/archive/$name}"/*.pem; do [ -e "$file" ] && echo "archive ${file##*/}"; done
  cert=$(sed -nE 's/^cert *= *//p' "$conf")
  openssl x509 -noout -enddate -in "${cert:-$root/live/$name/cert.pem}" 2>/dev/null
done
for name in "$@"; do
  [ -e "$root/renewal/$name.conf" ] && continue
  echo "config $name"; echo absent
  openssl x509 -noout -enddate -in "$root/live/$name/cert.pem" 2>/dev/null
done
find "$root/accounts" -name private_key.json 2>/dev/null | sed 's/^/account /'
find -L "$root"/renewal-hooks/pre "$root"/renewal-hooks/deploy "$root"/renewal-hooks/post -maxdepth 1 -type f ! -name '*~' ! -perm -u+x 2>/dev/null | sed 's/^/idle /'
if [ -n "$web" ]; then
  docker inspect --format '{{range .Mounts}}mount {{.Source}}|{{.Destination}}
{{end}}' -- "$web" 2>/dev/null
  docker exec "$web" nginx -T </dev/null 2>/dev/null | sed -nE 's/^[[:space:]]*(root|alias)[[:space:]]+"?([^;"]+)"?[[:space:]]*;.*/served \2/p'
fi
certbot=$(command -v certbot) && echo "certbot $certbot"
python=$(LC_ALL=C sed -nE '1s/^#! *([^ ]*python[0-9.]*).*/\1/p' "$certbot" 2>/dev/null | tr -d '\0')
[ -z "$python" ] || "$python" -c 'from importlib.metadata import entry_points
for one in entry_points(group="certbot.plugins"): print("plugin", one.name)' 2>/dev/null
true"""
CERTBOT_SECONDS = 20
# certbot moves its older logs on at each start, and drops the oldest: a look must not push out what a renewal has said
ASK = r"""logs=$(mktemp -d); trap 'rm -rf "$logs"' EXIT
certbot certificates --non-interactive --logs-dir "$logs" 2>&1"""
INVALID = "The following renewal configurations were invalid:"
HOOKS = ("pre_hook", "post_hook", "renew_hook", "deploy_hook", "manual_auth_hook", "manual_cleanup_hook")


@dataclass(frozen=True, slots=True)
class NamedPath:
    """A path that a configuration names. `kind` is missing, file, directory or other; `target` that of a link, else empty."""

    kind: str
    executable: bool
    target: str

    @property
    def generation(self) -> int | None:
        """The number of the archive's file that a live link points at; None where it is no such link."""
        found = NUMBERED.fullmatch(self.target.rpartition("/")[2])
        return int(found[2]) if found else None


@dataclass(frozen=True, slots=True)
class RenewalConfig:
    """One renewal configuration. `unreadable` is why it does not parse; `generations` those that are whole in archive/.

    `certificate` is the name in the params file, empty for one that stands only on the server. `ends` is UTC.
    """

    name: str
    certificate: str
    exists: bool
    unreadable: str
    links: dict[str, str]
    settings: dict[str, str]
    webroots: tuple[str, ...]
    hooks: dict[str, str]
    paths: dict[str, NamedPath]
    generations: tuple[int, ...]
    ends: dt.datetime | None


@dataclass(frozen=True, slots=True)
class RenewalConfigs:
    """All of them. `plugins` is None where certbot's own list cannot be read; `accounts` are the folders with a key.

    `mounts` are the server's folders that the web server's container sees, by where it sees them; `served` its roots.
    """

    configs: tuple[RenewalConfig, ...]
    certbot: str
    plugins: tuple[str, ...] | None
    accounts: tuple[str, ...]
    idle_hooks: tuple[str, ...]
    mounts: dict[str, str]
    served: tuple[str, ...]

    def within(self, folder: str) -> str | None:
        """Return where the web server's container sees a folder of the server; None where it does not see it."""
        path = PurePosixPath(folder)
        for place, source in self.mounts.items():
            if path.is_relative_to(source):
                return str(PurePosixPath(place) / path.relative_to(source))
        return None

    def serves(self, folder: str) -> bool:
        """Whether nginx has a folder (as its container sees it) as a root, or as the alias of the challenges' path."""
        roots = {root.rstrip("/") for root in self.served}
        return bool(roots & {folder.rstrip("/"), f"{folder.rstrip('/')}/.well-known/acme-challenge"})

    def has_account(self, server: str, account: str) -> bool:
        """Whether the key of an account at an authority (its directory's URL) lies where certbot looks for it."""
        place = urlsplit(server)
        return any(path.endswith(f"/{place.netloc}{place.path}/{account}") for path in self.accounts)


def renewal_configs_commands(parameters: Parameters) -> dict[str, Command]:
    """Read each of certbot's folders that the params file's certificates lie in."""
    return {
        root: Command(("sh", "-c", READ, "sh", root, container(parameters), *expected), sudo=True, timeout=20)
        for root, expected in _roots(parameters).items()
    }


def _roots(parameters: Parameters) -> dict[str, dict[str, str]]:
    """Return certbot's folders, and for each the lineages that are expected there with their names in the params file."""
    roots: dict[str, dict[str, str]] = {}
    for item in renewable(parameters).values():
        places = Places.of(item)
        roots.setdefault(str(PurePosixPath(places.conf).parent.parent), {})[places.name] = item.name
    return roots


def parse_renewal_configs(results: Mapping[str, Result], parameters: Parameters) -> RenewalConfigs:
    """Read what was found. The format is the one that certbot itself reads with the same library (its storage.py)."""
    configs: list[RenewalConfig] = []
    told: dict[str, list[str]] = {}
    for root, expected in _roots(parameters).items():
        general, *parts = re.split(r"^config ", results[root].stdout, flags=re.MULTILINE)
        configs += [_config(part, expected) for part in parts]
        for line in (general + (parts[-1] if parts else "")).splitlines():
            word, _, rest = line.partition(" ")
            told.setdefault(word, []).append(rest)
    return RenewalConfigs(
        configs=tuple(configs),
        certbot=next(iter(told.get("certbot", ())), ""),
        plugins=tuple(sorted(set(told["plugin"]))) if "plugin" in told else None,
        accounts=tuple(sorted(str(PurePosixPath(path).parent) for path in told.get("account", ()))),
        idle_hooks=tuple(sorted(told.get("idle", ()))),
        mounts={place: source for source, _, place in (line.partition("|") for line in told.get("mount", ()))},
        served=tuple(sorted(set(told.get("served", ())))),
    )


def _config(part: str, expected: Mapping[str, str]) -> RenewalConfig:
    from configobj import ConfigObj, ConfigObjError, Section  # noqa: PLC0415 (only this fact needs it)

    name, _, body = part.partition("\n")
    text: list[str] = []
    paths: dict[str, NamedPath] = {}
    files: dict[int, set[str]] = {}
    ends = None
    last = ""
    for line in body.splitlines():
        word, _, rest = line.partition(" ")
        if word == "text":
            text.append(rest)
        elif word == "path":
            kind, executable, last = rest.split(" ", 2)
            paths[last] = NamedPath(kind, executable == "executable", "")
        elif word == "link":
            paths[last] = NamedPath(paths[last].kind, paths[last].executable, rest)
        elif word == "archive" and (numbered := NUMBERED.fullmatch(rest)):
            files.setdefault(int(numbered[2]), set()).add(numbered[1])
        elif line.startswith("notAfter="):
            ends = dt.datetime.strptime(line, "notAfter=%b %d %H:%M:%S %Y %Z").replace(tzinfo=dt.UTC)
    unreadable = ""
    exists = "absent" not in body.splitlines()
    try:
        content = ConfigObj(text, interpolation=False, raise_errors=True)
    except ConfigObjError as error:
        content, unreadable = ConfigObj(), str(error).rstrip(".")
    parameters = content.get("renewalparams")
    if exists and not unreadable and not isinstance(parameters, Section):
        unreadable = "it has no part [renewalparams]"
    settings = dict(parameters) if isinstance(parameters, Section) else {}
    webroot_map = settings.get("webroot_map")
    roots = [*_words(settings.get("webroot_path")), *(webroot_map.values() if isinstance(webroot_map, Section) else ())]
    plain = {key: ", ".join(_words(value)) for key, value in settings.items() if not isinstance(value, Section)}
    return RenewalConfig(
        name=name,
        certificate=expected.get(name, ""),
        exists=exists,
        unreadable=unreadable,
        links={kind: str(content[kind]) for kind in KINDS if content.get(kind)},
        settings={key: plain[key] for key in ("authenticator", "account", "server", "autorenew") if key in plain},
        webroots=tuple(dict.fromkeys(str(item) for item in roots if str(item).strip())),
        hooks={key: plain[key].split()[0] for key in HOOKS if plain.get(key, "").split()},
        paths=paths,
        generations=tuple(sorted(number for number, kinds in files.items() if kinds == set(KINDS))),
        ends=ends,
    )


def _words(value: object) -> tuple[str, ...]:
    """Return a value of the file as its parts: the format makes a list of what has a comma in it."""
    if value is None:
        return ()
    return tuple(str(item) for item in value) if isinstance(value, list) else (str(value),)


renewal_configs = Fact("renewal_configs", renewal_configs_commands, parse_renewal_configs)


@dataclass(frozen=True, slots=True)
class CertbotVerdict:
    """What `certbot certificates` says: the configurations that it calls invalid and why; `error` where it did not get so far."""

    invalid: tuple[str, ...]
    reasons: tuple[str, ...]
    error: str


def certbot_verdict_commands(_parameters: Parameters) -> dict[str, Command]:
    """Ask certbot itself."""
    return {"certbot": Command(("sh", "-c", ASK), sudo=True, timeout=CERTBOT_SECONDS)}


def parse_certbot_verdict(results: Mapping[str, Result], _parameters: Parameters) -> CertbotVerdict:
    """Read its list."""
    result = results["certbot"]
    _, stated, rest = result.stdout.partition(INVALID)
    invalid = tuple(PurePosixPath(line.strip()).stem for line in rest.splitlines() if line.startswith("  /"))
    if stated and not invalid:
        raise ParseError("certbot certificates", rest[:200])
    told = [line for line in result.stdout.splitlines() if line.strip(" -")]
    reasons = tuple(line for line in told if line.startswith("Renewal configuration file "))
    return CertbotVerdict(invalid, reasons, "" if result.ok else (told[-1] if told else result.meaning)[:200])


certbot_verdict = Fact("certbot_verdict", certbot_verdict_commands, parse_certbot_verdict, optional=frozenset({"*"}))
