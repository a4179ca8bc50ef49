"""What an installation is told from outside: the `CARDVAULT_*` environment variables, read once into a frozen value.

Refuses to know who uses a setting and to open anything but the files that hold secrets; no module keeps settings of
its own. Invariants: no secret has a default, an unsafe combination does not start, and an error names the variable and
the mend, never a value.
"""

import difflib
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from enum import StrEnum
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Final, Self, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from keys.seals.address import AwsKmsAddress, LocalAddress, SealAddress, address, addresses
from vault import setting_kinds
from vault.card_policy import CardPolicy
from vault.setting_kinds import Network, SyslogAddress

PREFIX: Final = "CARDVAULT_"
_FILE_SUFFIX: Final = "_FILE"
_RETRIES: Final = (5.0, 300.0, 1800.0, 7200.0, 18_000.0, 36_000.0, 50_400.0, 72_000.0, 86_400.0)  # WHK-3
_LOOPBACK: Final = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
_VARIABLE: Final = re.compile(r"CARDVAULT_[A-Z0-9_]{1,64}")


class Environment(StrEnum):
    """Whether real cards are expected here."""

    DEVELOPMENT = "development"
    PRODUCTION = "production"


class LogFormat(StrEnum):
    """How a log line is written."""

    JSON = "json"
    CONSOLE = "console"


class SettingsInvalid(Exception):
    """The environment does not make valid settings; the text has one line for each variable and how to mend it."""

    def __init__(self, complaints: list[str]) -> None:
        super().__init__("\n".join(complaints))


Seconds: TypeAlias = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]
Networks: TypeAlias = Annotated[tuple[Network, ...], BeforeValidator(setting_kinds.networks)]
Pauses: TypeAlias = Annotated[tuple[float, ...], BeforeValidator(setting_kinds.pauses)]
DatabaseUrl: TypeAlias = Annotated[SecretStr, AfterValidator(setting_kinds.database_url)]


class Settings(BaseSettings):
    """All settings, checked one by one and together; built by `load_settings`, or from keywords in tests.

    Durations are in seconds. Each field's description is the mend that an operator reads. Source: design, commands and
    settings; controls NET-2, STO-7.
    """

    model_config = SettingsConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    environment: Environment = Field(Environment.PRODUCTION, description="development or production")
    database_url: DatabaseUrl = Field(description="postgresql://user:password@host:5432/database")
    admin_database_url: DatabaseUrl | None = Field(None, description="the same, for a role that may migrate")
    auditor_database_url: DatabaseUrl | None = Field(
        None, description="the same, for a role that may read the audit log"
    )
    seal: Annotated[str, AfterValidator(setting_kinds.seals)] = Field(description="local:/path/to/keystore")
    seal_passphrase_file: Path | None = Field(
        None, description="the path of a file that holds the keystore's passphrase"
    )
    kms_networks: Networks = Field((), description="CIDR blocks separated by commas that the KMS is in")
    approval_policy_file: Path | None = Field(None, description="the path of a policy of approvals in TOML")
    operator_key_file: Path | None = Field(None, description="the path of the operator's own key file")
    operator_passphrase_file: Path | None = Field(None, description="the path of a file with that key's passphrase")
    gateway_url: Annotated[str, AfterValidator(setting_kinds.gateway_url)] = Field(
        description="https://host of the payment gateway"
    )
    gateway_ca_file: Path | None = Field(None, description="the path of a PEM file of certificate authorities")
    gateway_networks: Networks = Field((), description="CIDR blocks separated by commas that the gateway is in")
    public_url: Annotated[str, AfterValidator(setting_kinds.web_url)] = Field(
        description="https://host under which the gateway reaches this vault"
    )
    log_format: LogFormat = Field(LogFormat.JSON, description="json or console")
    card_policy: CardPolicy = Field(CardPolicy.ANY, description="any, test-only or live-only")
    audit_anchor: Annotated[str, AfterValidator(setting_kinds.anchors)] | None = Field(
        None, max_length=2048, description="file:/path/to/a/file outside the database, or syslog+tls://host:6514"
    )
    audit_stream: Annotated[str, AfterValidator(setting_kinds.streams)] | None = Field(
        None, max_length=2048, description="syslog+tls://host:6514 of a SIEM"
    )
    audit_syslog_ca_file: Path | None = Field(None, description="the path of a PEM file of certificate authorities")
    audit_checkpoint_interval: Seconds = Field(10.0, description="seconds until growth of the audit log is signed")
    audit_heartbeat: Seconds = Field(300.0, description="seconds that the audit log may be silent")
    audit_online_days: int = Field(366, ge=92, le=3660, description="a number of days from 92 to 3660")
    limits: bool = Field(False, description="on or off")
    trusted_proxies: Networks = Field((), description="CIDR blocks separated by commas")
    pool_size: int = Field(10, ge=1, le=200, description="a number of database connections from 1 to 200")
    tls_certificate_file: Path | None = Field(None, description="the path of a PEM file with the server's chain")
    tls_key_file: Path | None = Field(None, description="the path of a PEM file with the key of that certificate")
    tls_client_ca_file: Path | None = Field(None, description="the path of a PEM file of callers' authorities")
    max_connections: int = Field(1_000, ge=10, le=100_000, description="a number of connections, 10 to 100000")
    max_body_bytes: int = Field(1_048_576, ge=1_024, le=16_777_216, description="a number of bytes, 1024 to 16777216")
    request_deadline: Seconds = Field(30.0, description="seconds, longer than CARDVAULT_SENDER_DEADLINE")
    sender_deadline: Seconds = Field(20.0, description="seconds that a payment call may take until it is written")
    gateway_timeout: Seconds = Field(15.0, description="seconds that an answer of the gateway may take")
    not_sent_grace: Seconds = Field(60.0, description="seconds after a sender's deadline")
    inquiry_first: Seconds = Field(2.0, description="seconds until the first inquiry")
    inquiry_max: Seconds = Field(900.0, description="seconds, at least CARDVAULT_INQUIRY_FIRST")
    webhook_networks: Networks = Field((), description="CIDR blocks separated by commas, not public, for webhooks")
    webhook_ca_file: Path | None = Field(None, description="the path of a PEM file of certificate authorities")
    metrics_networks: Networks = Field(_LOOPBACK, description="CIDR blocks, separated by commas, of monitoring")
    otlp_url: Annotated[str, AfterValidator(setting_kinds.gateway_url)] | None = Field(
        None, description="https://host:4318 of an OpenTelemetry collector"
    )
    otlp_share: float = Field(0.01, ge=0, le=1, description="a share of traces from 0 to 1")
    webhook_timeout: Seconds = Field(15.0, description="seconds that an answer to a webhook may take")
    webhook_retries: Pauses = Field(_RETRIES, description="seconds between attempts, separated by commas")
    key_max_age_days: int = Field(365, ge=1, le=730, description="a number of days from 1 to 730")
    retry_guard: bool = Field(True, description="on or off: whether the networks' rules for declined cards are kept to")
    retry_rules_file: Path | None = Field(None, description="the path of a JSON file with rules for declined cards")
    retention_interval: Seconds = Field(86_400.0, description="seconds from one purge of cards to the next")
    key_destruction_days: int = Field(7, ge=0, le=365, description="a number of days from 1 to 365")
    event_retention_days: int = Field(30, ge=7, le=3650, description="a number of days from 7 to 3650")

    @classmethod
    def settings_customise_sources(  # type: ignore[override]  # the sources that are not listed are not taken either
        cls,
        _settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        **_: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take values from `load_settings` alone, so that nothing depends on the process's environment by surprise."""
        return (init_settings,)

    @model_validator(mode="before")
    @classmethod
    def _defaults_of_production(cls, values: dict[str, object]) -> dict[str, object]:
        if values.get("environment", Environment.PRODUCTION) == Environment.PRODUCTION:
            return {"card_policy": CardPolicy.LIVE_ONLY, "limits": True, **values}
        return values

    @model_validator(mode="after")
    def _safe_together(self) -> Self:
        complaints = [f"{PREFIX}{name.upper()}: {mend}" for name, mend in self._complaints()]
        if complaints:
            raise SettingsInvalid(complaints)
        return self

    def _complaints(self) -> Iterator[tuple[str, str]]:
        yield from self._complaints_about_addresses()
        yield from self._complaints_about_tls()
        if self.request_deadline <= self.sender_deadline:
            yield "request_deadline", "has to be longer than CARDVAULT_SENDER_DEADLINE"
        if self.in_production and self.key_destruction_days < 1:
            yield "key_destruction_days", "has to be at least 1 in production"
        if self.in_production and any(each.is_loopback for each in self.webhook_networks):
            yield "webhook_networks", "must not hold this machine's own addresses in production"
        for name, value in {"audit_anchor": self.audit_anchor, "audit_stream": self.audit_stream}.items():
            if any(not each.tls and not setting_kinds.is_loopback(str(each)) for each in setting_kinds.syslogs(value)):
                yield name, "may be syslog+tcp only for a receiver on this machine (127.0.0.1): use syslog+tls"
        if self.inquiry_max < self.inquiry_first:
            yield "inquiry_max", "has to be at least CARDVAULT_INQUIRY_FIRST"

    def _complaints_about_addresses(self) -> Iterator[tuple[str, str]]:
        if self.admin_database_url and "pgbouncer=true" in self.admin_database_url.get_secret_value():
            yield "admin_database_url", "has to lead to PostgreSQL itself, without pgbouncer=true"
        plain_gateway = self.gateway_url.startswith("http:")
        if plain_gateway and self.in_production:
            yield "gateway_url", "has to be https in production"
        elif plain_gateway and not setting_kinds.is_loopback(self.gateway_url):
            yield "gateway_url", "may be http only for a gateway on this machine (127.0.0.1)"
        if self.otlp_url and self.otlp_url.startswith("http:") and not setting_kinds.is_loopback(self.otlp_url):
            yield "otlp_url", "may be http only for a collector on this machine (127.0.0.1): use https"
        if self.public_url.startswith("http:") and self.in_production:
            yield "public_url", "has to be https in production"
        if any(isinstance(each, LocalAddress) and each.passphrase_file is None for each in self.seals):
            mend = type(self).model_fields["seal_passphrase_file"].description
            yield "seal_passphrase_file", f"is not set; set it to {mend}"

    def _complaints_about_tls(self) -> Iterator[tuple[str, str]]:
        if (self.tls_certificate_file is None) is not (self.tls_key_file is None):
            missing = "tls_key_file" if self.tls_key_file is None else "tls_certificate_file"
            yield missing, f"is not set; set it to {type(self).model_fields[missing].description}"
        if self.tls_client_ca_file is not None and self.tls_certificate_file is None:
            yield "tls_client_ca_file", "needs CARDVAULT_TLS_CERTIFICATE_FILE: callers show certificates over TLS alone"

    @property
    def in_production(self) -> bool:
        """Whether real cards are expected; also what hides the documentation page."""
        return self.environment is Environment.PRODUCTION

    @property
    def operator_database_url(self) -> SecretStr:
        """The database URL of operators' commands and migrations."""
        return self.admin_database_url or self.database_url

    @property
    def anchor_path(self) -> Path | None:
        """The file that checkpoints are copied to."""
        return setting_kinds.anchor_file(self.audit_anchor) if self.audit_anchor else None

    @property
    def anchor_receivers(self) -> tuple[SyslogAddress, ...]:
        """The receivers of syslog that checkpoints are sent to."""
        return setting_kinds.syslogs(self.audit_anchor)

    @property
    def stream_receivers(self) -> tuple[SyslogAddress, ...]:
        """The receivers of syslog that events are sent to."""
        return setting_kinds.syslogs(self.audit_stream)

    @property
    def seals(self) -> tuple[SealAddress, ...]:
        """The seals, each keystore with the file that its passphrase is in, each service with its networks."""
        return tuple(self._completed(each) for each in addresses(self.seal))

    def seal_at(self, uri: str) -> SealAddress:
        """Read the address of a seal that an operator names; SealAddressInvalid."""
        return self._completed(address(uri))

    def _completed(self, each: SealAddress) -> SealAddress:
        match each:
            case LocalAddress(passphrase_file=None):
                return replace(each, passphrase_file=self.seal_passphrase_file)
            case AwsKmsAddress():
                return replace(each, networks=self.kms_networks)
            case _:
                return each


_SECRETS: Final = ("database_url", "admin_database_url", "auditor_database_url")


def load_settings(environ: Mapping[str, str] = os.environ) -> Settings:
    """Read the `CARDVAULT_*` variables, or for secrets the file that the same name with `_FILE` points at.

    An empty variable counts as not set. Raises `SettingsInvalid` for an unknown variable, a missing or unacceptable
    value and an unsafe combination.
    """
    complaints: list[str] = []
    given = {name: value for name, value in environ.items() if name.startswith(PREFIX)}
    values: dict[str, object] = dict(_secrets_in_files(given, complaints))
    for name, value in given.items():
        field = name.removeprefix(PREFIX).lower()
        if name != name.upper() or field not in Settings.model_fields:
            complaints.append(_unknown(name))
        elif field in values:
            complaints.append(f"{name}: is set beside {name}{_FILE_SUFFIX}; keep one of the two")
        elif value:
            values[field] = value
    if complaints:
        raise SettingsInvalid(sorted(complaints))
    try:
        return Settings(**values)  # type: ignore[arg-type]  # pydantic checks what came from the environment
    except ValidationError as error:
        raise SettingsInvalid(sorted(set(_mends(error)))) from None


def _secrets_in_files(given: dict[str, str], complaints: list[str]) -> Iterator[tuple[str, str]]:
    """Take the `_FILE` variables of secrets out of `given` and read what they point at, without the last newline."""
    for field in _SECRETS:
        name = f"{PREFIX}{field.upper()}{_FILE_SUFFIX}"
        if not (path := given.pop(name, "")):
            continue
        try:
            yield field, setting_kinds.secret_in(Path(path))
        except PydanticCustomError as error:
            complaints.append(f"{name}: {error.message()}")


def _unknown(name: str) -> str:
    """Say that a variable is not a setting and, where it looks like a slip, which one is meant."""
    if not _VARIABLE.fullmatch(name):
        return f"{PREFIX}…: a variable is set that is not a setting; remove it"
    known = [f"{PREFIX}{field.upper()}" for field in Settings.model_fields]
    close = difflib.get_close_matches(name, known, n=1)
    return f"{name}: is not a setting; " + (f"did you mean {close[0]}?" if close else "remove it")


def _mends(error: ValidationError) -> Iterator[str]:
    """Give one line for each refused variable, made of texts of this module only."""
    for fault in error.errors(include_url=False, include_context=False, include_input=False):
        field = str(fault["loc"][0])
        name = f"{PREFIX}{field.upper()}"
        match fault["type"]:
            case "setting":
                yield f"{name}: {fault['msg']}"
            case "missing":
                yield f"{name}: is not set; set it to {Settings.model_fields[field].description}"
            case _:
                yield f"{name}: is not acceptable; set it to {Settings.model_fields[field].description}"
