"""What people are told about a refused field, by its code; docs/problems.md says the same.

Refuses to know submitted values. Invariant: every code has its words.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from vault.errors import FieldCode

FIELD_MEANINGS: Final[Mapping[FieldCode, str]] = MappingProxyType(
    {
        FieldCode.INVALID_TYPE: "another JSON type is expected",
        FieldCode.MISSING: "the field is required",
        FieldCode.UNKNOWN_FIELD: "a field in this object is unknown, and not repeated: compare with `/openapi.json`",
        FieldCode.INVALID_VALUE: "the value does not have the form or range that is expected: `/openapi.json` has it",
        FieldCode.TOO_LONG: "the text or list is too long",
        FieldCode.TOO_SHORT: "the text or list is too short",
        FieldCode.AMOUNT_INVALID: 'not a whole positive number of the currency\'s smallest unit, as text: `"2590"`',
        FieldCode.CURRENCY_INVALID: "not a currency code of ISO 4217",
        FieldCode.CARD_NUMBER_INVALID: "not a card number of 12 to 19 digits with the right check digit",
        FieldCode.CARD_NUMBER_REFUSED: "a number that the card policy does not take",
        FieldCode.CVV_INVALID: "not a CVV of this card's brand",
        FieldCode.CVV_NOT_STORABLE: "a CVV where nothing is authorised",
        FieldCode.PIN_DIGITS_INVALID: "not the first two digits of a card password",
        FieldCode.EXPIRY_INVALID: 'not month and year of two digits as text (`"03"`, `"39"`), or one that cannot be',
        FieldCode.EXPIRY_INCOMPLETE: "month and year have to come together",
        FieldCode.PAN_IN_FREE_TEXT: "the text contains a card number",
        FieldCode.GATEWAY_STORAGE_ONLY: "a field that only `storage` `GATEWAY` has a use for",
        FieldCode.BUYER_REQUIRED: "a card cannot be stored without `order.buyer.referenceBuyerId`",
        FieldCode.BUYER_MISMATCH: "another buyer than the card's",
        FieldCode.BUYER_ABSENT: "a CVV, PIN, 3-D Secure flag or `mpiData` in a charge without the buyer",
        FieldCode.REGION_EXCLUDED: "cards of this region cannot use it",
        FieldCode.INSTALLMENTS_NOT_OFFERED: "a number of installments that the gateway does not offer for the amount",
        FieldCode.CONTRADICTORY: "the field excludes another one that was sent",
        FieldCode.CARD_DATA_REQUIRED: "something that needs the card's data, which is not in the request",
        FieldCode.MANDATE_SOURCE: "not exactly one of `initialPaymentId`, `vaultingCardId` and `imported`",
    }
)
