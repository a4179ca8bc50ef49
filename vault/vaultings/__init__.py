"""Cards that are stored at the gateway without a payment: asked for, followed, recorded.

It refuses to know HTTP. Invariants are those of payments (design section 3): written before the call, sent once, judged
by one function, asked about until the outcome is known.
"""
