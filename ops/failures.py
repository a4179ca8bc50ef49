"""What commands can fail with, in an operator's words: the cause, and what to do about it.

It refuses to know commands. Invariant: no message holds a secret, a submitted value or a driver's text, which could
hold either.
"""

import errno
import os
from functools import singledispatch

from keys.errors import (
    CannotOpen,
    KeysError,
    KeyUnavailable,
    RootKeyMismatch,
    SealAddressInvalid,
    SealError,
    SealFileMissing,
    WrongPassphrase,
)
from ops.connection import reason_unusable
from ops.embedded_errors import EmbeddedError
from ops.refusal import Refused
from ops.sandbox.config import ProductionRefused
from ops.sandbox.signing import KeyUnusable
from vault.approval_policy import PolicyInvalid
from vault.approvals import ApprovalNeeded, ApprovalRefused
from vault.db import StatementFailed
from vault.errors import DatabaseUnavailable, VaultError
from vault.gateway.errors import CredentialsInvalid, KeyFormatInvalid
from vault.migrations import SchemaDiffers
from vault.onboarding import OnboardingInvalid
from vault.roles import APP, AUDITOR, OPERATOR
from vault.settings import SettingsInvalid, load_settings

FORESEEN: tuple[type[Exception], ...] = (
    Refused,
    SettingsInvalid,
    KeysError,
    VaultError,
    StatementFailed,
    SchemaDiffers,
    OnboardingInvalid,
    KeyFormatInvalid,
    CredentialsInvalid,
    ApprovalNeeded,
    ApprovalRefused,
    PolicyInvalid,
    EmbeddedError,
    ProductionRefused,
    KeyUnusable,
    OSError,
)

_NO_KEYS = "there are no usable keys: run cardvault keys init, or look at cardvault keys status"
_OTHER_KEYSTORE = (
    "the keystore is not the one of this database and environment: check CARDVAULT_SEAL and CARDVAULT_ENVIRONMENT"
)
_SCHEMA_STATES = frozenset({"3F000", "42P01", "42703", "42883"})
_SERVERS_URL = "CARDVAULT_DATABASE_URL"
_RIGHTS_STATE = "42501"


def waits(error: Exception) -> bool:
    """Tell whether a command only waits for others, so that repeating it will succeed."""
    return isinstance(error, ApprovalNeeded)


@singledispatch
def explained(error: Exception) -> str:
    """Say why, and how to mend it; most errors' own text does."""
    return str(error)


@explained.register
def _(error: SettingsInvalid) -> str:
    return f"the settings are not acceptable:\n{error}"


@explained.register
def _(_error: SchemaDiffers) -> str:
    return "the database's schema is not the one of this version: run cardvault db upgrade"


@explained.register
def _(error: VaultError) -> str:
    return error.detail or error.title


@explained.register
def _(_error: DatabaseUnavailable) -> str:
    """Look again at what cannot be reached, to name the cause."""
    settings = load_settings(os.environ)
    operators = "CARDVAULT_ADMIN_DATABASE_URL" if settings.admin_database_url else _SERVERS_URL
    for name, url, role in (
        (_SERVERS_URL, settings.database_url, APP),
        (operators, settings.operator_database_url, OPERATOR),
        (operators, settings.operator_database_url, AUDITOR),
    ):
        reason = reason_unusable(url.get_secret_value(), role)
        if reason is not None:
            return f"the database of {name} cannot be used: {reason}"
    return "the database is busy or has just stopped answering: try again, and run cardvault doctor"


@explained.register
def _(error: StatementFailed) -> str:
    if error.sqlstate in _SCHEMA_STATES:
        return "the database lacks the schema of this version: run cardvault db upgrade"
    if error.sqlstate == _RIGHTS_STATE:
        return (
            "the database role may not do this: operators' commands need a login that may act as cardvault_operator "
            "in CARDVAULT_ADMIN_DATABASE_URL"
        )
    return f"the database refused a statement (SQL state {error.sqlstate})"


@explained.register
def _(error: KeysError) -> str:
    match error:
        case WrongPassphrase():
            return f"{error}: check CARDVAULT_SEAL_PASSPHRASE_FILE, or the passphrase that was given"
        case SealFileMissing():
            return f"{error}: check CARDVAULT_SEAL, or make the keys with cardvault keys init"
        case RootKeyMismatch() | CannotOpen():
            return _OTHER_KEYSTORE
        case KeyUnavailable():
            return _NO_KEYS
        case SealError():
            return str(error)
        case _:
            return f"the keys cannot be used: {error}"


@explained.register
def _(error: SealAddressInvalid) -> str:
    return f"the seal's address {error}"


@explained.register
def _(error: OSError) -> str:
    reason = os.strerror(error.errno) if error.errno is not None else type(error).__name__
    place = f": {error.filename}" if isinstance(error.filename, str) else ""
    mend = "; choose another port, or stop what uses it" if error.errno == errno.EADDRINUSE else ""
    return f"{reason}{place}{mend}"
