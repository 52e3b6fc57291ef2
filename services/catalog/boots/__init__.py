"""Boots: what machines were seen to do, joined into one timeline per boot.

Read in this order: `boot` (what is known of one boot) -> `outcome` (how it ended; pure) ->
`timeline` (events into boots; pure) -> `storage` (SQLite) -> `journal` (events come in, boots go
out: to the database, the metrics and those who watch).
"""
