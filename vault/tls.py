"""How a server speaks TLS: versions, suites, its own certificate, and whose certificates it verifies.

It refuses to know routes and sockets. Invariants: nothing older than TLS 1.2, no suite without forward secrecy and
AEAD, no renegotiation; a certificate that a caller shows is verified, or the handshake fails (controls.md NET-1).
"""

import ssl
from typing import Final

from vault.settings import Settings, SettingsInvalid

_SUITES: Final = "ECDHE+AESGCM:ECDHE+CHACHA20"


def server_context(settings: Settings) -> ssl.SSLContext | None:
    """Make the context of a server's listener, None where the settings name no certificate; `SettingsInvalid`."""
    if settings.tls_certificate_file is None:
        return None
    # Not ssl.create_default_context: with SSLKEYLOGFILE in the environment it writes the session keys to a file.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_SUITES)
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION | ssl.OP_CIPHER_SERVER_PREFERENCE
    try:
        # A key with a passphrase is refused: nobody is there to be asked for it.
        context.load_cert_chain(settings.tls_certificate_file, settings.tls_key_file, password="")
    except (OSError, ValueError):
        mend = "give a certificate chain and its key, both PEM, the key without a passphrase"
        raise SettingsInvalid([f"CARDVAULT_TLS_CERTIFICATE_FILE: cannot be used; {mend}"]) from None
    if settings.tls_client_ca_file is not None:
        _verify_callers(context, settings)
    return context


def _verify_callers(context: ssl.SSLContext, settings: Settings) -> None:
    """Ask callers for a certificate; those whose API client needs none may come without."""
    try:
        context.load_verify_locations(cafile=settings.tls_client_ca_file)
    except (OSError, ValueError):
        raise SettingsInvalid(
            ["CARDVAULT_TLS_CLIENT_CA_FILE: cannot be used; give certificates of authorities as PEM"]
        ) from None
    context.verify_mode = ssl.CERT_OPTIONAL
