"""What the vault refuses because of where a key comes from or whose it is; part of the tree that `vault.errors` draws.

It refuses to know API clients. Invariant as there: no status is chosen where an error is raised.
"""

from vault.errors import Forbidden


class AddressNotAllowed(Forbidden):
    """The API key may not be used from the caller's address."""

    code, title = "address_not_allowed", "The API key may not be used from this address"


class CertificateNotAllowed(Forbidden):
    """The API key is bound to certificates, and the caller's connection showed none of them."""

    code, title = "certificate_not_allowed", "The API key may not be used without its client certificate"


class MerchantDisabled(Forbidden):
    """The merchant has been disabled by an operator."""

    code, title = "merchant_disabled", "The merchant is disabled"
