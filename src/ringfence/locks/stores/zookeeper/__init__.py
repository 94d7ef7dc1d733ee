"""The lock store in ZooKeeper.

`nodes` says what the nodes are called and whose turn it is, `opening` reads the URL, `client` keeps the session, and
`store` asks.
"""
