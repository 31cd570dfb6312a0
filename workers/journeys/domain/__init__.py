"""The rules of journeys, which reach nothing outside."""
