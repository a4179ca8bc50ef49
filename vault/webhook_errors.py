"""What the vault refuses about webhooks; part of the tree that `vault.errors` draws.

It refuses to know endpoints and events. Invariant as there: no status is chosen where an error is raised.
"""

from vault.errors import Conflict, RequestInvalid


class WebhookUrlRefused(RequestInvalid):
    """Webhooks are not sent to this kind of URL: not https, with a user or a fragment, or a host that is not public."""

    code, title = "webhook_url_refused", "Webhooks go to public https addresses only, without user or fragment"


class TooManyEndpoints(Conflict):
    """The merchant has as many webhook endpoints as one may have."""

    code, title = "too_many_endpoints", "There are too many webhook endpoints"


class EndpointDisabled(Conflict):
    """The endpoint said that it is gone, and is told of nothing any more."""

    code, title = "endpoint_disabled", "The webhook endpoint is disabled"
