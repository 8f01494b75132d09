"""The local cloud as a whole: start, stop, command, control port."""
