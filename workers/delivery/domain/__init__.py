"""What a message is, and what can become of it. Nothing here knows a database or a provider."""
