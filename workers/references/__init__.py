"""References as columns: many in little memory, an object only where somebody asks for one."""
