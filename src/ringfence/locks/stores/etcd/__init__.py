"""Locks in etcd: what a key says, what is asked in one step, and the store."""
