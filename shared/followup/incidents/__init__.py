"""Where incidents are filed, one module a service, behind one registry."""
