"""Incident sinks, one module each, behind one registry."""
