"""Three independent Redis servers, of which one fails."""

from typing import Self

from ringfence.testing.servers.redis import Redis


class OneOfThree(Redis):
    """A server that can be killed and stopped, and two beside it that run on; it keeps its disk."""

    def __init__(self) -> None:
        super().__init__(durable=True)
        self._others = (Redis(durable=True), Redis(durable=True))

    @property
    def url(self) -> str:
        """`redis+quorum://` and the addresses of the three."""
        ports = (self.port, *(other.port for other in self._others))
        hosts = ",".join(f"{self.host}:{port}" for port in ports)
        return f"redis+quorum://{hosts}?restart_delay=0"

    def start(self) -> Self:
        """Start all three."""
        for other in self._others:
            other.start()
        return super().start()

    def close(self) -> None:
        """Close all three."""
        for other in self._others:
            other.close()
        super().close()
