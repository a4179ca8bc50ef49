"""Measures the vault beside what the same machine could do at most: `make bench`, or `python -m ops.bench`.

The package refuses to judge: it prints figures and never fails because of one. Invariants: every figure stands beside
its limit of the same run, in interleaved pairs; load, servers, gateway and database are processes of their own.
"""
