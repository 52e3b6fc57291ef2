"""HTTP on port 8080: files of the boot tree, the API and the user interface.

Read in this order: `routes` (all of them) -> `guard` (who may ask, and how failures are told) ->
`clients` (which machine asks) -> `boot` (boot.ipxe) -> `files`, `conditions`, `transfer`,
`sending`, `delivery` (the boot tree; RFC 9110 §13 and §14) -> `api`, `bodies`, `views` (JSON) ->
`feed`, `watching` (server-sent events) -> `ui`.
"""
