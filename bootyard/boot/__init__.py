"""What a machine gets, decided without I/O: facts and a snapshot in, a decision out."""
