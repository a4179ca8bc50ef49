"""The rules of the gateway and the card schemes, as dated data: a module for each kind, and a question that it answers.

Refuses to know payments, rows and messages. Invariant: where a table has no row, the answer is the one that does no
harm.
"""
