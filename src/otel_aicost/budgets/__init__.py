"""What a budget is, and when its windows begin and end. Pure: no clock, no database, no OpenTelemetry."""
