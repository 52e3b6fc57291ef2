"""The catalog: what can be booted, by whom, and what became of it. HTTP on port 8080.

It owns the truth, on its own disk, and is the only writer of the snapshot that proxydhcp and tftp
serve from. Read in this order: `database` -> `library` (images on disk) -> `machines`, `policy`,
`boot_once` -> `publisher` (the snapshot) -> `boots` (the timeline) -> `http` -> `parts` and
`__main__` (how it is put together, and run).
"""
