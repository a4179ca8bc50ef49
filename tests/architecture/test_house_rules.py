from collections.abc import Callable

import pytest

from tests.architecture import rules
from tests.architecture.source import Sources

# The one door of the secret types is used here and nowhere else; a new place is a decision, made in a review.
REVEALS = {
    "keys/envelope.py:Cipher.__init__",
    "keys/envelope.py:_octets",
    "keys/fingerprint.py:_keyed",
    "keys/fingerprint.py:subkey",
    "keys/keyring.py:Keyring.fingerprints",
    "keys/operatorkey.py:OperatorKey.__init__",
    "keys/rootkey.py:key_material",
    "keys/seals/keystore.py:Passphrase.__init__",
    "keys/seals/keystore.py:Stretch.key_from",
    "keys/signing.py:Signer.__init__",
    "keys/seals/awskms.py:AwsKmsSeal._wrap",
    "keys/seals/share_file.py:ShareFile.open",
    "keys/seals/shares.py:ShareWords.__init__",
    "keys/seals/shares.py:ShareWords.digest",
    "keys/seals/shares.py:_check_words",
    "keys/seals/shares.py:combine",
    "keys/seals/shares.py:split",
    "ops/cli/clients.py:create",
    "ops/cli/clients.py:rotate",
    "ops/cli/keys_shares.py:_show",
    "ops/playground_setup.py:onboard",
    "vault/auth.py:Authenticator._found",
    "vault/card_policy.py:_is_published",
    "vault/cards.py:Cards._profile",
    "vault/cards.py:Cards._sealed",
    "vault/directory.py:open_gateway_keys",
    "vault/gateway/card_messages.py:code",
    "vault/gateway/card_messages.py:extra_verification",
    "vault/gateway/messages.py:_card_details",
    "vault/gateway/messages.py:_method",
    "vault/onboarding.py:Onboarding._secret",
    "vault/payments/drafting.py:Drafter._waiting",
    "vault/payments/retry_guard.py:RetryGuard.prints",
    "vault/keeping.py:Keeper._number_prints",
    "vault/keeping.py:Keeper._seal",
    "vault/keeping.py:Keeper._token_prints",
    "vault/gateway/vaulting_messages.py:token_body",
    "vault/gateway/vaulting_messages.py:vault_body",
    "vault/payments/sessions.py:PaymentSessions._opened",
    "vault/reencryption.py:Reencryption._hashed",
    "vault/tokens.py:GatewayTokens._opened",
    "vault/tokens.py:GatewayTokens._used",
    "vault/vaultings/asking.py:Vaultings._opened",
    "vault/vaultings/recording.py:VaultingRecorder._leftover",
    "vault/payments/writing_ahead.py:WriteAhead._opened",
    "vault/routes/webhook_views.py:NewEndpointView.with_secret",
    "vault/routes/webhooks.py:rotate_webhook_secret",
    "vault/webhook.py:signed_headers",
    "vault/webhooks.py:Webhooks._with_new_secret",
}
DOCSTRING = '"""What this is for.\n\nIt refuses to know the rest.\n"""\n'
TWELVE = "\n".join(f"    value_{number} = {number}" for number in range(12))

# For each rule: a module that breaks it, and one that only looks like it.
PLANTED: list[tuple[Callable[[Sources], list[str]], str, str, str]] = [
    (rules.without_docstring, "keys/x.py", "import os\n", DOCSTRING),
    (
        rules.without_docstring,
        "keys/x.py",
        '"""One line."""\n' + "a = 1\n" * 10,
        '"""One.\n\nTwo.\n\n    a\n    ├── tree\n    │\n    └── b\n"""\n',
    ),
    (rules.long_modules, "vault/x.py", "a = 1\n" * 301, "a = 1\n" * 300),
    (rules.long_functions, "ops/x.py", "def f():\n" + "    a = 1\n" * 40, "def f():\n" + "    a = 1\n" * 39),
    (rules.repeated_runs, "keys/x.py", f"def f():\n{TWELVE}\ndef g():\n{TWELVE}\n", f"def f():\n{TWELVE}\n"),
    (rules.reveals_not_inline, "vault/x.py", "a = pan.reveal()\n", "a = f(pan.reveal())\n"),
    (rules.reveals_not_inline, "vault/x.py", "a = pan.reveal().strip()[0]\n", "a = pan.reveal() == b\n"),
    (rules.reveals_not_inline, "vault/x.py", "if a := pan.reveal(): pass\n", "body['cardNo'] = pan.reveal()\n"),
    (rules.reveals_not_inline, "vault/x.py", "for a in pan.reveal(): pass\n", "for a in f(pan.reveal()): pass\n"),
    (rules.reveals_not_inline, "vault/x.py", "f(pan.reveal)\n", "f(pan.reveal())\n"),
    (rules.reveals_not_inline, "vault/x.py", "getattr(pan, 'reveal')()\n", "getattr(pan, 'brand')\n"),
    (rules.commits, "vault/store/x.py", "session.commit()\n", "commit = 1\n"),
    (rules.prints, "vault/x.py", "print('a')\n", "printed = 1\n"),
    (
        rules.log_events_that_are_not_literal,
        "vault/x.py",
        "log.info(f'card.{a}')\n",
        "log.info('card.stored', card=a)\n",
    ),
    (rules.log_events_that_are_not_literal, "vault/x.py", "log.error('a' + b)\n", "a.append('a' + b)\n"),
    (rules.log_events_that_are_not_literal, "vault/x.py", "log.warning(str(error))\n", "log.warning(NAME)\n"),
    (rules.log_events_that_are_not_literal, "vault/x.py", "alarm(log, f'{a}')\n", "alarm(get_logger('a'), 'b')\n"),
    (rules.imports_in_functions, "vault/x.py", "def f():\n    import os\n", "import os\n"),
    (rules.dependencies_without_scope, "vault/x.py", "Depends(f)\n", "Depends(f, scope='function')\n"),
    (rules.dependencies_without_scope, "vault/x.py", "Depends(f, scope='request')\n", "depends(f)\n"),
    (rules.slow_middleware, "vault/x.py", "class A(BaseHTTPMiddleware): pass\n", "class A: pass\n"),
    (rules.slow_middleware, "vault/x.py", "@app.middleware('http')\ndef f(): pass\n", "app.add_middleware(A)\n"),
    (rules.broad_handlers, "vault/x.py", "try: f()\nexcept Exception: pass\n", "try: f()\nexcept ValueError: pass\n"),
    (rules.broad_handlers, "ops/x.py", "try: f()\nexcept: raise\n", "try: f()\nfinally: pass\n"),
    (rules.broad_handlers, "keys/x.py", "with suppress(BaseException): f()\n", "with suppress(OSError): f()\n"),
    (
        rules.ciphers_elsewhere,
        "vault/x.py",
        "from cryptography.hazmat.primitives.ciphers.aead import AESGCM\n",
        "import hmac\n",
    ),
    (rules.nonces_passed_around, "vault/x.py", "def f(nonce): pass\n", "def f(announced): pass\n"),
    (rules.nonces_passed_around, "keys/x.py", "seal(a, nonce=b)\n", "seal(a)\n"),
    (
        rules.nonces_not_drawn,
        "keys/envelope.py",
        "self._seal_with(b'0' * 12, a)\n",
        "self._seal_with(os.urandom(12), a)\n",
    ),
    (
        rules.engines_that_print_values,
        "vault/x.py",
        "create_async_engine(a)\n",
        "create_async_engine(a, hide_parameters=True)\n",
    ),
    (rules.shapeless_names, "vault/card_utils.py", "", ""),
    (rules.unfinished_remarks, "vault/x.py", "# TODO\n", "# todos\n"),
]


@pytest.fixture(scope="module")
def product() -> Sources:
    return Sources.of_product()


@pytest.mark.parametrize(("rule", "path", "breaking", "harmless"), PLANTED)
def test_every_rule_bites_what_breaks_it_and_nothing_else(
    rule: Callable[[Sources], list[str]], path: str, breaking: str, harmless: str
) -> None:
    assert rule(Sources({path: breaking}))
    assert not rule(Sources({"vault/card.py" if rule is rules.shapeless_names else path: harmless}))


def test_every_rule_is_planted() -> None:
    known = {each for each in vars(rules).values() if getattr(each, "__annotations__", {}).get("sources") is Sources}
    public = {each for each in known if not each.__name__.startswith("_")}
    assert public - {rules.reveal_sites} == {rule for rule, *_ in PLANTED}


def test_modules_open_with_what_they_are_for(product: Sources) -> None:
    assert rules.without_docstring(product) == []


def test_modules_stay_short(product: Sources) -> None:
    assert rules.long_modules(product) == []


def test_functions_stay_short(product: Sources) -> None:
    assert rules.long_functions(product) == []


def test_nothing_is_written_twice(product: Sources) -> None:
    assert rules.repeated_runs(product) == []


def test_secrets_are_revealed_where_the_list_says_and_nowhere_else(product: Sources) -> None:
    assert rules.reveal_sites(product) == REVEALS


def test_a_revealed_secret_is_never_bound_to_a_name(product: Sources) -> None:
    assert rules.reveals_not_inline(product) == []


def test_one_module_commits(product: Sources) -> None:
    assert rules.commits(product) == []


def test_only_ops_prints(product: Sources) -> None:
    assert rules.prints(product) == []


def test_log_events_are_literal(product: Sources) -> None:
    assert rules.log_events_that_are_not_literal(product) == []


def test_imports_stand_at_the_top(product: Sources) -> None:
    assert rules.imports_in_functions(product) == []


def test_dependencies_end_before_the_answer_is_sent(product: Sources) -> None:
    assert rules.dependencies_without_scope(product) == []


def test_middleware_is_plain_asgi(product: Sources) -> None:
    assert rules.slow_middleware(product) == []


def test_nobody_catches_everything(product: Sources) -> None:
    assert rules.broad_handlers(product) == []


def test_one_module_encrypts(product: Sources) -> None:
    assert rules.ciphers_elsewhere(product) == []


def test_nobody_chooses_a_nonce(product: Sources) -> None:
    assert rules.nonces_passed_around(product) == []


def test_every_nonce_is_drawn_at_random(product: Sources) -> None:
    assert rules.nonces_not_drawn(product) == []


def test_database_errors_hide_values(product: Sources) -> None:
    assert rules.engines_that_print_values(product) == []


def test_modules_have_telling_names(product: Sources) -> None:
    assert rules.shapeless_names(product) == []


def test_nothing_is_left_unfinished(product: Sources) -> None:
    assert rules.unfinished_remarks(product) == []
