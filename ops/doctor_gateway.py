"""The doctor's looks at the gateway: whether it answers, and whether it and each merchant know each other's keys.

It refuses to know how findings are shown. Invariant: what the gateway is asked moves nothing.
"""

from ops.doctor_findings import Finding, Findings, Level, Patient, why
from ops.failures import FORESEEN
from ops.gateway_probe import why_distrusted, why_unreachable
from ops.operating import onboarding_of
from vault.gateway.client import GatewayClient
from vault.merchant import Merchant
from vault.onboarding import Onboarding
from vault.services import gateway_client


async def answers(patient: Patient) -> Finding:
    """Knock."""
    reason = await why_unreachable(patient.settings.gateway_url, patient.settings.gateway_ca_file)
    patient.gateway_answers = reason is None
    if reason is None:
        return Finding("gateway", Level.OK, "answers")
    return Finding("gateway", Level.WARN, reason, "check CARDVAULT_GATEWAY_URL, the network, and _GATEWAY_CA_FILE")


async def merchants(patient: Patient) -> Findings:
    """Let every active merchant ask the gateway something harmless, so that no payment finds a wrong key first."""
    if not patient.gateway_answers:
        return
    async with onboarding_of(patient.settings) as onboarding, gateway_client(patient.settings) as client:
        for merchant in await onboarding.merchants():
            if merchant.active:
                yield await _understanding(onboarding, client, merchant)


async def _understanding(onboarding: Onboarding, client: GatewayClient, merchant: Merchant) -> Finding:
    try:
        keys = await onboarding.gateway_keys(merchant)
    except FORESEEN as error:
        return Finding("gateway", Level.FAIL, f"{merchant.id}: its keys do not open", why(error))
    distrust = await why_distrusted(client, keys.credentials(merchant.gateway_client_id))
    if distrust is None:
        return Finding("gateway", Level.OK, f"{merchant.id}: both sides know each other's keys")
    level = Level.FAIL if distrust.certain else Level.WARN
    return Finding("gateway", level, f"{merchant.id}: {distrust.said}", distrust.advice)
