"""The words of the boot domain as types. Pure: no I/O, no clock."""
