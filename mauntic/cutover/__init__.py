"""The change from the old scheduler to this one."""
