"""The deployed system, through the vendor's HTTP API."""
