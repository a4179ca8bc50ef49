"""Whether this process's spans are collected, as its settings say.

It refuses to know OpenTelemetry. Invariant: where no collector is named, none of its libraries is loaded.
"""

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

from vault.settings import PREFIX, Settings, SettingsInvalid


@contextmanager
def spans_collected(settings: Settings) -> Iterator[None]:
    """Send spans to the collector of the settings, if there is one; `SettingsInvalid` where libraries are missing."""
    if settings.otlp_url is None:
        yield
        return
    with _exporting().exported(settings.otlp_url, settings.otlp_share):
        yield


def _exporting() -> ModuleType:
    try:
        return importlib.import_module("vault.spans")
    except ModuleNotFoundError:
        mend = "its libraries are missing; install cardvault[otel], or remove the setting"
        raise SettingsInvalid([f"{PREFIX}OTLP_URL: {mend}"]) from None
