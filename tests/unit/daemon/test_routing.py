import pytest

from stackfile.daemon import routes
from stackfile.daemon.routing import Router


@pytest.fixture(scope="module")
def router() -> Router:
    return Router(routes.find())


@pytest.mark.parametrize(
    ("method", "path", "route", "parts"),
    [
        ("GET", "/containers/json", "/containers/json", {}),
        ("GET", "/v1.41/containers/json", "/containers/json", {}),
        ("GET", "/v1.24/containers/abc/json", "/containers/{id}/json", {"id": "abc"}),
        ("HEAD", "/_ping", "/_ping", {}),
        ("POST", "/containers/prune", "/containers/prune", {}),
        ("GET", "/images/a/b/c:1/json", "/images/{name*}/json", {"name": "a/b/c:1"}),
        ("GET", "/images/sha256%3Aabc/json", "/images/{name*}/json", {"name": "sha256:abc"}),
        ("DELETE", "/images/a/b", "/images/{name*}", {"name": "a/b"}),
        ("GET", "/stackfile/v1/ping", "/stackfile/v1/ping", {}),
        ("GET", "/stackfile/v1/projects/x/containers", "/stackfile/v1/projects/{name}/containers", {"name": "x"}),
    ],
)
def test_routes(router: Router, method: str, path: str, route: str, parts: dict[str, str]) -> None:
    found = router.find(method, path)
    assert found is not None
    assert (found[0].path, found[1]) == (route, parts)


@pytest.mark.parametrize("path", ["/", "/nothing", "/v1.41", "/v2.0/containers/json", "/containers//json"])
def test_no_such_page(router: Router, path: str) -> None:
    assert router.find("GET", path) is None


def test_methods_of_a_path(router: Router) -> None:
    assert router.methods("/containers/abc/start") == ["POST"]


def test_every_module_of_routes_registers_and_none_twice() -> None:
    seen = [(route.method, route.path) for route in routes.find()]
    assert len(seen) == len(set(seen))
    assert ("GET", "/version") in seen
    assert ("POST", "/stackfile/v1/jobs") in seen


def test_what_follows_something_ends_with_its_client() -> None:
    streams = {route.path for route in routes.find() if route.stream}
    assert {"/events", "/containers/{id}/logs", "/containers/{id}/wait", "/containers/{id}/attach"} <= streams
    assert "/containers/{id}/start" not in streams
