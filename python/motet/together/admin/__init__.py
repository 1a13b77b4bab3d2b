"""Files and jobs of the service."""
