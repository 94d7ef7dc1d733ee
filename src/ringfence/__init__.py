"""Consistent-hash placement, distributed locks and distributed transactions, joined by fences."""
