"""Locks: leases that end by themselves, fences that only grow, and guards that refuse stale ones."""
