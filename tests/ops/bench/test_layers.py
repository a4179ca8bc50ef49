from pathlib import Path

from ops.bench.layers import layer_of, parts_of

ROOT = Path(__file__).resolve().parents[3]
INSTALLED = "/anywhere/vault/lib/python3/site-packages"


def test_the_innermost_frame_that_belongs_to_a_layer_decides() -> None:
    stack = (f"{INSTALLED}/asyncpg/connection.py:fetch", f"{ROOT}/vault/store/cards.py:find")
    assert layer_of(stack) == "database driver"
    assert layer_of(stack[1:]) == "services, rows, events, ids"


def test_the_standard_library_counts_for_its_caller() -> None:
    assert layer_of(("/usr/lib/python3.11/json/decoder.py:decode", f"{ROOT}/vault/strict_json.py:parse")) == (
        "body: JSON and fields"
    )
    assert layer_of(("/usr/lib/python3.11/asyncio/runners.py:run",)) == "HTTP server and event loop"


def test_one_module_can_belong_to_layers_by_its_functions() -> None:
    model = f"{INSTALLED}/pydantic/main.py:BaseModel"
    assert layer_of((f"{model}.model_validate",)) == "body: JSON and fields"
    assert layer_of((f"{model}.model_dump_json",)) == "views"


def test_parts_add_up_to_one() -> None:
    parts = parts_of([((f"{ROOT}/vault/logs.py:write",), 3), ((f"{INSTALLED}/uvicorn/server.py:run",), 1)])
    assert parts["log line"] == 0.75
    assert sum(parts.values()) == 1
    assert sum(parts_of([]).values()) == 0
