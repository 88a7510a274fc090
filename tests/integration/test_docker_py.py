"""Docker's Python client against our daemon."""

from __future__ import annotations

import io
import tarfile

import pytest

from tests.integration.daemons import Served, served

__all__ = ["served"]
pytestmark = [pytest.mark.root, pytest.mark.peer]
docker = pytest.importorskip("docker", reason="docker-py is not installed")


def test_smoke(served: Served) -> None:
    client = docker.DockerClient(base_url=served.host, version="1.41")
    try:
        assert client.ping()
        assert client.version()["ApiVersion"] == "1.42"
        assert client.containers.run("busybox", "echo hello", remove=True) == b"hello\n"
        network = client.networks.create("py-net", labels={"a": "b"})
        volume = client.volumes.create("py-vol")
        container = client.containers.run(
            "busybox", ["sh", "-c", "echo out; sleep 1000"], detach=True, name="py", network="py-net",
            volumes={"py-vol": {"bind": "/data", "mode": "rw"}}, labels={"x": "y"}, mem_limit="64m",
        )  # fmt: skip
        assert [item.name for item in client.containers.list(filters={"label": ["x=y"]})] == ["py"]
        assert container.attrs["HostConfig"]["Memory"] == 64 << 20
        code, output = container.exec_run(["sh", "-c", "echo in; exit 3"])
        assert (code, output) == (3, b"in\n")
        _copy(container)
        assert {"Path": "/copied", "Kind": 1} in container.diff()
        assert container.stats(stream=False)["memory_stats"]["usage"] > 0
        assert container.top()["Processes"]
        assert container.logs(timestamps=False) == b"out\n"
        image = container.commit("py-image", "1")
        assert image.tags == ["py-image:1"]
        container.update(mem_limit="96m", memswap_limit="192m")
        container.reload()
        assert container.attrs["HostConfig"]["Memory"] == 96 << 20
        container.stop(timeout=0)
        assert container.wait()["StatusCode"] == 137
        container.remove()
        client.images.remove("py-image:1")
        network.remove()
        volume.remove()
        with pytest.raises(docker.errors.NotFound):
            client.containers.get("py")
        assert client.df()["Images"]
    finally:
        client.close()


def _copy(container: object) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        info = tarfile.TarInfo("copied")
        info.size = 2
        tar.addfile(info, io.BytesIO(b"hi"))
    assert container.put_archive("/", out.getvalue())  # type: ignore[attr-defined]
    chunks, stat = container.get_archive("/copied")  # type: ignore[attr-defined]
    assert stat["size"] == 2
    with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as tar:
        file = tar.extractfile("copied")
        assert file is not None
        assert file.read() == b"hi"
