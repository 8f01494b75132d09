"""Pure decisions: which key signed a token, what would be done about it, and who may decide."""
