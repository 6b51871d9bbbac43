"""The machine that flowseg runs on: files, memory, threads, optional packages."""
