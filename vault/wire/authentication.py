"""What merchants say about the buyer's authentication: flags for the gateway's 3-D Secure, or the result of their own.

It refuses to know what it is for. Invariant: authentication is done once, by the gateway or by the merchant.
"""

from typing import Annotated, Any, Literal

from pydantic import AliasChoices, Field, ValidationInfo, field_validator, model_validator

from vault.wire.fields import Code, Flag, PinDigitsField, Typed, Wire, refusal


class MpiDataField(Wire):
    """A 3-D Secure result that the merchant obtained elsewhere; `caav` is accepted for `cavv`."""

    three_ds_version: Annotated[str, Field(alias="threeDSVersion", pattern=r"^[12](\.[0-9]{1,2}){1,3}$")]
    eci: Literal["00", "01", "02", "04", "05", "06", "07"]
    cavv: Annotated[Typed, Field(validation_alias=AliasChoices("cavv", "caav"), serialization_alias="cavv")]
    ds_transaction_id: Code | None = None
    credential_type: Literal["PAN", "NETWORK_TOKEN"] | None = None

    @model_validator(mode="before")
    @classmethod
    def _says_what_is_absent(cls, sent: Any) -> Any:
        # A default that a validator refuses would not be named as the API names it.
        return {"dsTransactionId": None, **sent} if isinstance(sent, dict) else sent

    @field_validator("ds_transaction_id")
    @classmethod
    def _comes_with_version_2(cls, value: str | None, sent: ValidationInfo) -> str | None:
        if value is None and str(sent.data.get("three_ds_version")).startswith("2"):
            raise refusal("missing")
        return value


class ExtraVerificationField(Wire):
    """What some regions ask for beside the card. It is sent and not stored."""

    cpf: Annotated[str, Field(pattern=r"^[0-9.\-/]{11,14}$")] | None = None
    payer_email: Typed | None = None
    date_of_birth: Annotated[str, Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")] | None = None
    business_no: Annotated[str, Field(pattern=r"^[0-9]{10}$")] | None = None
    card_password_digest: PinDigitsField | None = None


class AuthenticationFields(Wire):
    """The flags of the gateway's 3-D Secure, and the merchant's own; a flag that is left out stays out."""

    is_3ds_authentication: Annotated[Flag | None, Field(alias="is3DSAuthentication")] = None
    enable_authentication_upgrade: Flag | None = None
    mpi_data: MpiDataField | None = None

    @field_validator("mpi_data")
    @classmethod
    def _authenticates_once(cls, value: MpiDataField | None, sent: ValidationInfo) -> MpiDataField | None:
        flags = ("is_3ds_authentication", "enable_authentication_upgrade")
        if value is not None and any(sent.data.get(flag) for flag in flags):
            raise refusal("contradictory")
        return value

    @property
    def authentication(self) -> dict[str, Any] | None:
        """Give what is kept of what was asked for or brought along; never its secret value (controls.md SCA-3)."""
        asked: dict[str, Any] = {"requested": True} if self.is_3ds_authentication else {}
        if self.mpi_data is not None:
            asked["mpi"] = self.mpi_data.wire("three_ds_version", "eci", "ds_transaction_id")
        return asked or None
