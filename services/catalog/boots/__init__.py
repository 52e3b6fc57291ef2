"""Boots: what machines were seen to do, joined into one timeline per boot.

Read in this order: `boot` (what is known of one boot) -> `attempts` (which loaders it took and
where they led; pure) -> `outcome` (how it ended; pure) -> `belonging` and `timeline` (events
into boots; pure) -> `learning` (what that says of the machine; pure) -> `storage` and `learned`
(SQLite) -> `journal` (events come in, boots go out: to the database, the metrics and those who
watch). `verdict` is what people are told.
"""
