"""What Bootyard's three services share.

Rooms: ``model`` (the words), ``boot`` (what a machine gets), ``runtime`` (how a service runs) and
``cli`` (the ``bootyard`` command). The first two do no I/O.

Words:

- *machine*: a computer on the LAN, known by its MAC address.
- *image*: a file or folder in the library that machines can be booted from.
- *boot target*: one way to boot an image (kernel, initrds, command line).
- *snapshot*: one complete, immutable, numbered state of what can be booted and by whom.
- *boot tree*: the names machines ask for, over TFTP and HTTP alike.
- *first script*: ``boot.ipxe``, ``autoexec.ipxe`` or ``grub.cfg`` over TFTP: "try the catalog,
  else the menu kept here, else the local disk".
- *boot event*: one thing a machine was seen to do.
"""

__version__ = "0.1.0"
