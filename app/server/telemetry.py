"""FastAPI's own telemetry is off, because its spans have the queries of requests, and its logs the messages of errors.

Both contain what people have written.
"""

from fastapi.telemetry import TelemetryConfig

TELEMETRY: TelemetryConfig = {"tracing": False, "logs": False}
