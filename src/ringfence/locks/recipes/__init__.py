"""What is made of locks: one recipe a file, as generators that threads and asyncio share, and its face for threads."""
