"""`python -m services.proxydhcp`."""

from bootyard.runtime.garbage import keep_what_is_there
from bootyard.runtime.lifecycle import Service, follow_snapshot, run_service
from services.proxydhcp.server import ProxyDHCPServer


async def main(service: Service) -> None:
    """Serve until the service is stopped."""
    service.tasks.create_task(service.serve_telemetry(service.settings.proxydhcp_metrics_port))
    service.tasks.create_task(follow_snapshot(service))
    server = ProxyDHCPServer(service)
    keep_what_is_there()
    await server.run()


if __name__ == "__main__":
    run_service("proxydhcp", main, on_the_lan=True)
