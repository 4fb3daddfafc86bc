"""What this machine needs to reach package sources, handed on to builder stages and to nothing that is kept.

A certificate authority of its own, an index of its own or a proxy: taken from where pip, OpenSSL and apt keep them.
"""

import os
import ssl
from collections.abc import Mapping
from configparser import ConfigParser
from io import StringIO
from pathlib import Path

CA_VARIABLES = ("PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")
CA_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
)
PROXY_VARIABLES = ("http_proxy", "https_proxy", "no_proxy")
INSIDE = "/build/machine"
"""Where the files of `build_files` stand inside a builder stage."""


def ca_bundle() -> str:
    """Return the authorities that this machine trusts, in PEM form; empty where none are found."""
    chosen = (os.environ.get(variable, "") for variable in CA_VARIABLES)
    default = ssl.get_default_verify_paths().cafile or ""
    for place in (*chosen, *CA_BUNDLES, default):
        if place and Path(place).is_file():
            return Path(place).read_text(errors="replace")
    return ""


def pip_settings(environment: Mapping[str, str], home: Path) -> dict[str, str]:
    """Return pip's settings of this machine, from its files and then the environment, as pip itself reads them.

    pip is not asked: where uv made the environment there is none.
    """
    places = [
        Path("/etc/xdg/pip/pip.conf"),
        Path("/etc/pip.conf"),
        home / ".pip/pip.conf",
        home / ".config/pip/pip.conf",
    ]
    files = ConfigParser(interpolation=None)
    files.read([*places, Path(environment.get("PIP_CONFIG_FILE") or os.devnull)])
    settings = dict(files["global"]) if files.has_section("global") else {}
    settings |= {
        name.removeprefix("PIP_").lower().replace("_", "-"): value
        for name, value in environment.items()
        if name.startswith("PIP_") and value
    }
    return settings


def pip_config(settings: dict[str, str], *, with_ca: bool) -> str:
    """Given this machine's pip settings, return a pip.conf that works inside a builder stage.

    Only what a container can reach is kept: indexes by URL, not folders of this machine.
    """
    config = ConfigParser(interpolation=None)
    config["global"] = {"disable-pip-version-check": "1", "root-user-action": "ignore"}
    for name in ("index-url", "extra-index-url", "trusted-host", "timeout", "default-timeout", "proxy"):
        value = settings.get(name, "")
        kept = [
            part for part in value.split() if name not in {"index-url", "extra-index-url"} or part.startswith("http")
        ]
        if kept:
            config["global"][name] = " ".join(kept)
    if with_ca:
        config["global"]["cert"] = f"{INSIDE}/ca.crt"
    text = StringIO()
    config.write(text)
    return text.getvalue()


def build_files() -> dict[str, bytes]:
    """Return the files for the folder `machine/` of a build context: ca.crt and pip.conf."""
    bundle = ca_bundle()
    return {
        "machine/ca.crt": bundle.encode(),
        "machine/pip.conf": pip_config(pip_settings(os.environ, Path.home()), with_ca=bool(bundle)).encode(),
    }


def proxy_arguments() -> list[str]:
    """Return --build-arg options for proxies; docker knows these names and keeps them out of the image."""
    return [
        f"--build-arg={name}={value}"
        for name in PROXY_VARIABLES
        if (value := os.environ.get(name) or os.environ.get(name.upper()))
    ]
