"""The rules of journeys and of segments, which reach nothing outside."""
