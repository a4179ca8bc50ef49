"""Every example of the guide to payments, run in its order against a playground, with the answers that it promises."""

from pathlib import Path

from tests.docs.guide import answers, blocks, missing, outputs

BLOCKS = blocks("docs/payments.md")


def test_every_example_answers_what_the_guide_promises(playground: Path) -> None:
    printed = outputs(playground.parent, BLOCKS)
    answered = [(block, text) for block, text in zip(BLOCKS, printed, strict=True) if block.promise is not None]
    assert len(answered) > 1
    for block, text in answered:
        answer = answers(text)[-1]
        assert missing(block.promise, answer) == [], f"{block.script}\n{answer}"
