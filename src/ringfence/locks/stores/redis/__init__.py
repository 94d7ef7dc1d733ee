"""The lock store in Redis or Valkey: one for threads, one for asyncio, on the same scripts and the same wire."""
