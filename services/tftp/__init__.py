"""The TFTP server of Bootyard: UDP 69, read only (RFC 1350, 2347, 2348, 2349, 7440).

Read in this order: `packet` and `options` (bytes and what they negotiate), `transfer` with
`retransmission` and `netascii` (one transfer as arithmetic), all of them without sockets, clock or
files; then `content` (the disk), `engine` (moves blocks), `server` (who is answered), `report`
and `metrics` (what is told about it); then the processes it runs in: `service`, or several times
`worker`, which `workers` keeps running, with `port`, `nursery` and `messages` between them.
"""
