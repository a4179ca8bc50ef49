"""A simulator of the payment gateway, as its own process over HTTP.

It exists to be believed and to misbehave: it signs, verifies, keeps state and enforces the gateway's rules, and on
request it loses answers, lies in signatures and repeats itself. It refuses to know the vault: nothing here imports
`vault` or `keys`, so that two independent readings of the gateway's rules check each other.
"""
