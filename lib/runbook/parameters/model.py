"""What all models of a params file share: strictness, thresholds, and the kinds of values."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

TARGET_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}(@[a-z0-9][a-z0-9-]{0,62})?", re.ASCII)
SECRET_REFERENCE = re.compile(r"(env:[A-Za-z_][A-Za-z0-9_]*|file:.+|keyring:[^/]+/.+|prompt)")

Seconds = Annotated[float, Field(gt=0, le=86_400)]
Percent = Annotated[float, Field(ge=0, le=100)]
Port = Annotated[int, Field(ge=1, le=65_535)]
SecretReference = Annotated[str, Field(pattern=SECRET_REFERENCE.pattern)]
ServerPath = Annotated[str, Field(pattern=r"^/[^\x00\n]*$")]


class Model(BaseModel):
    """Unknown settings are errors, and a read file does not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Threshold(Model):
    """A limit with its two steps: WARNING at `warning`, CRITICAL at `critical`."""

    warning: float
    critical: float
