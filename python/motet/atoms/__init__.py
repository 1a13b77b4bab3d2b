"""Atoms: models behind slugs, and their construction."""
