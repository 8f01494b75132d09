"""The one interface of all containment actions."""
