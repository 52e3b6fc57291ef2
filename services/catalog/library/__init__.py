"""Images on disk: what is in IMAGES_DIR, and how it boots.

Read in this order: `look` (what lies there) -> `pick` and `recognise` (pure: which files boot, and
as what) -> `assess` and `tarball` (one candidate, read from disk) -> `library` (all of them, with
ids and revisions) -> `watch` (again whenever something changes).
"""
