"""The edge: the only modules that know what is outside."""
