"""The faces for asyncio of the recipes in `ringfence.locks.recipes`, under the same names."""
