"""proxyDHCP: tells machines what to boot, and leaves addresses to the network's DHCP server.

UDP 67 hears DISCOVERs and answers with an OFFER that has no address; UDP 4011 is the boot server
that some firmware asks afterwards (PXE 2.1 §2.2; RFC 2131, RFC 4578, RFC 3046, RFC 3396).

Read in this order: packet, options, pxe (bytes) -> identify (facts) -> `bootyard.boot.choice`
(decision) -> reply (answer) -> responder (one packet's way) -> dhcp_socket, boot_server, server.
"""
